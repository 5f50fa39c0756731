"""Settings that cannot work are refused at the start."""

import pytest
from pydantic import ValidationError

from crm_shared.settings import Settings


@pytest.mark.parametrize("protocol", ["SASL_PLAINTEXT", "SASL_SSL"])
def test_passwords_are_asked_for_where_the_broker_asks_for_them(protocol: str) -> None:
    with pytest.raises(ValidationError, match="needs KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD"):
        Settings(kafka_security_protocol=protocol, kafka_sasl_username="relata")


def test_tls_alone_needs_no_password() -> None:
    assert Settings(kafka_security_protocol="SSL").kafka_sasl_password is None


@pytest.mark.parametrize("instance", ["", "contacts 0", "contacts/0", "x" * 201])
def test_the_id_of_a_member_is_a_name_that_a_broker_can_keep(instance: str) -> None:
    with pytest.raises(ValidationError, match="kafka_group_instance_id"):
        Settings(kafka_group_instance_id=instance)
