"""The partition of a key is the one that other Kafka clients choose."""

from aiokafka.partitioner import murmur2 as reference
from hypothesis import given
from hypothesis import strategies as st

from crm_shared.kafka.partitioning import murmur2, murmur2_of_all


@given(st.binary(max_size=100))
def test_a_key_has_the_hash_that_the_java_client_gives_it(key: bytes) -> None:
    # given any key, when it is hashed, then it is as the library does it
    assert murmur2(key) == reference(key) & 0xFFFFFFFF


@given(
    st.lists(st.binary(max_size=40) | st.binary(min_size=36, max_size=36) | st.uuids().map(lambda id: str(id).encode()))
)
def test_keys_hashed_together_have_the_hashes_that_they_have_alone(keys: list[bytes]) -> None:
    # given keys of any length, ids among them, when all are hashed together, then each has its own hash
    assert murmur2_of_all(keys) == {key: murmur2(key) for key in keys}
