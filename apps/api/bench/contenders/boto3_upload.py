"""boto3's upload_fileobj from a URL: boto3_upload.py URL ENDPOINT BUCKET KEY. Prints its CPU seconds."""

import resource
import sys
from urllib.request import urlopen

import boto3
from boto3.s3.transfer import TransferConfig

MIB = 1024 * 1024


def cpu_seconds():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


url, endpoint, bucket, key = sys.argv[1:]
client = boto3.client("s3", endpoint_url=endpoint)
config = TransferConfig(multipart_threshold=10 * MIB, multipart_chunksize=10 * MIB, max_concurrency=4)
before = cpu_seconds()
with urlopen(url) as body:
    client.upload_fileobj(body, bucket, key, Config=config)
print(cpu_seconds() - before)
