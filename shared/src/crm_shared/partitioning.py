"""Which partition a key belongs to: the Java client's default partitioner."""

from functools import lru_cache
from struct import Struct

_MULTIPLIER = 0x5BD1E995
_SEED = 0x9747B28C
_MASK = 0xFFFFFFFF


def murmur2(key: bytes) -> int:
    """The 32 bits of the Java client's hash (org.apache.kafka.common.utils.Utils.murmur2), without sign.

    The same as aiokafka's, which is written in Python too, in half its time: the relay needs one per event.
    """
    size = len(key)
    hashed = _SEED ^ size
    for word in _words(size >> 2).unpack_from(key):
        mixed = word * _MULTIPLIER & _MASK
        hashed = hashed * _MULTIPLIER & _MASK ^ ((mixed ^ mixed >> 24) * _MULTIPLIER & _MASK)
    if size & 3:
        hashed = (hashed ^ int.from_bytes(key[size & ~3 :], "little")) * _MULTIPLIER & _MASK
    hashed = (hashed ^ hashed >> 13) * _MULTIPLIER & _MASK
    return hashed ^ hashed >> 15


@lru_cache(maxsize=64)
def _words(number: int) -> Struct:
    return Struct(f"<{number}I")
