"""prepare_swift.py FOLDER ACCOUNT_PORT CONTAINER_PORT OBJECT_PORT

Builds the rings of a Swift with one disk, FOLDER/devices/d1, after a look at what that disk can do.
"""
import os
import sys

from swift.common.ring import RingBuilder

PART_POWER = 4
REPLICAS = 1
MIN_PART_HOURS = 0


def require_attributes(folder):
    """Swift keeps an object's metadata in user extended attributes; not every file system has them."""
    try:
        os.setxattr(folder, "user.swift.test", b"1")
        os.removexattr(folder, "user.swift.test")
    except OSError as error:
        sys.exit(f"its file system has no user extended attributes ({error.strerror}); choose a folder on ext4 or xfs")


def build_ring(folder, name, port):
    builder = RingBuilder(PART_POWER, REPLICAS, MIN_PART_HOURS)
    builder.add_dev({"region": 1, "zone": 1, "ip": "127.0.0.1", "port": port, "device": "d1", "weight": 1.0})
    builder.rebalance(seed=1)
    builder.get_ring().save(os.path.join(folder, f"{name}.ring.gz"))


if __name__ == "__main__":
    folder, *ports = sys.argv[1:]
    require_attributes(os.path.join(folder, "devices", "d1"))
    for name, port in zip(("account", "container", "object"), ports, strict=True):
        build_ring(folder, name, int(port))
