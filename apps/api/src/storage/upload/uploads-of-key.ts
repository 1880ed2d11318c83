import {
  ListMultipartUploadsCommand,
  type ListMultipartUploadsCommandOutput,
  type MultipartUpload,
} from '@aws-sdk/client-s3';
import type { ObjectPlace } from './upload-attempt.js';

/** Uploads under way at exactly this key, whoever began them; `ask` sends the call for each page. */
export async function listUploadsOf(
  { bucket, key }: ObjectPlace,
  ask: (list: ListMultipartUploadsCommand) => Promise<ListMultipartUploadsCommandOutput>,
): Promise<(MultipartUpload & { UploadId: string })[]> {
  const uploads = new Map<string, MultipartUpload & { UploadId: string }>();
  let markers: { KeyMarker?: string | undefined; UploadIdMarker?: string | undefined } = {};
  for (;;) {
    // By both markers: by the key's alone Swift skips uploads of one key, and Ceph gives the same page for ever.
    const page = await ask(new ListMultipartUploadsCommand({ Bucket: bucket, Prefix: key, ...markers }));
    for (const upload of page.Uploads ?? []) {
      const { Key, UploadId } = upload;
      if (Key === key && UploadId) uploads.set(UploadId, { ...upload, UploadId });
    }
    const next = { KeyMarker: page.NextKeyMarker, UploadIdMarker: page.NextUploadIdMarker };
    const isStuck = next.KeyMarker === markers.KeyMarker && next.UploadIdMarker === markers.UploadIdMarker;
    if (page.IsTruncated !== true || isStuck) return [...uploads.values()];
    markers = next;
  }
}
