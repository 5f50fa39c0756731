"""Passwords and TLS: our settings connect, and what is wrong with them is said where an operator looks."""

import datetime
import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from contacts_service.main import DEFINITION as CONTACTS
from relata_kafka import Apache, Security, apache_kafka
from relata_local.ports import free_port

USER, PASSWORD = "relata", "fine-words"


@dataclass(frozen=True)
class Secured:
    """A broker with secured listeners, and the certificate to trust."""

    broker: Apache
    authority: Path

    def settings(self, protocol: str, **changes: Any) -> dict[str, Any]:
        return {
            "kafka_bootstrap_servers": self.broker.secured(protocol),
            "kafka_security_protocol": protocol,
            "kafka_ssl_cafile": str(self.authority),
            "kafka_sasl_username": USER,
            "kafka_sasl_password": PASSWORD,
            "kafka_enable_idempotence": True,
            **changes,
        }


def certify(folder: Path) -> Path:
    """A certificate for loopback that signs itself, beside a file of it with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a test's broker")])
    now = datetime.datetime.now(datetime.UTC)
    public = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(public, critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "broker.pem").write_bytes(private + pem)
    (folder / "authority.pem").write_bytes(pem)
    return folder / "authority.pem"


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Iterator[Secured]:
    folder = tmp_path_factory.mktemp("secured")
    authority = certify(folder)
    make = apache_kafka(pytestconfig.getoption("kafka"))
    broker = make(folder, free_port(), Security({USER: PASSWORD}, folder / "broker.pem"))
    broker.start()
    try:
        yield Secured(broker, authority)
    finally:
        broker.stop()


async def reasons(launched: Any) -> dict[str, str]:
    """What the readiness of relay and projection says."""
    checks = (await launched.client.get("/readyz")).json()["checks"]
    return {one["check"].split()[0]: one.get("error", "") for one in checks}


@pytest.mark.parametrize("protocol", ["SASL_PLAINTEXT", "SSL", "SASL_SSL"])
async def test_a_service_works_by_passwords_and_tls(
    secured: Secured, launch: Any, identify: Any, caught_up: Any, eventually: Any, protocol: str
) -> None:
    contacts = await launch(CONTACTS, **secured.settings(protocol))

    done = await identify(contacts, "lan@example.com")
    await caught_up(contacts, done["position"], of="contacts")

    async def ready() -> bool:
        return bool((await contacts.client.get("/readyz")).status_code == 200)

    await eventually(ready)
    customer = await contacts.client.get(f"/v1/customers/{done['customer_id']}")
    assert customer.json()["identifiers"][0]["value"] == "lan@example.com"


async def test_a_wrong_password_is_said_by_readiness(secured: Secured, launch: Any, eventually: Any) -> None:
    contacts = await launch(CONTACTS, **secured.settings("SASL_SSL", kafka_sasl_password="wrong"))

    async def told() -> bool:
        said = await reasons(contacts)
        return all("SaslAuthenticationFailed" in said[role] for role in ("relay", "projection"))

    await eventually(told)
    said = await reasons(contacts)
    assert secured.broker.secured("SASL_SSL") in said["relay"]
    assert "wrong" not in said["relay"]


async def test_a_certificate_that_is_not_trusted_is_said_by_readiness(
    secured: Secured, launch: Any, eventually: Any
) -> None:
    contacts = await launch(CONTACTS, **secured.settings("SSL", kafka_ssl_cafile=None))

    async def told() -> bool:
        said = await reasons(contacts)
        return all("certificate verify failed" in said[role] for role in ("relay", "projection"))

    await eventually(told)


async def test_an_open_client_at_a_secured_port_is_not_ready(secured: Secured, launch: Any, eventually: Any) -> None:
    contacts = await launch(CONTACTS, kafka_bootstrap_servers=secured.broker.secured("SASL_SSL"))

    async def told() -> bool:
        said = await reasons(contacts)
        return all("no broker at" in said[role] for role in ("relay", "projection"))

    await eventually(told)
