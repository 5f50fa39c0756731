"""The partition of a key is the one that other Kafka clients choose."""

from aiokafka.partitioner import murmur2 as reference
from hypothesis import given
from hypothesis import strategies as st

from crm_shared.partitioning import murmur2


@given(st.binary(max_size=100))
def test_a_key_has_the_hash_that_the_java_client_gives_it(key: bytes) -> None:
    # given any key, when it is hashed, then it is as the library does it
    assert murmur2(key) == reference(key) & 0xFFFFFFFF
