"""The configuration that every service reads from its environment; only `main.py` of a service constructs it."""

from typing import Any, Literal, Self

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

# A peer that has gone without a word is noticed within some ten seconds, where TCP alone takes a quarter of an hour.
POSTGRES_LIVENESS: dict[str, int] = {
    "connect_timeout": 3,  # s
    "keepalives_idle": 5,  # s
    "keepalives_interval": 2,  # s
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,  # ms
}


class Settings(BaseSettings):
    """Settings of one service. Each field is an environment variable of the same name in capitals."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True)

    http_host: str = "127.0.0.1"
    http_port: int = 8100

    kafka_bootstrap_servers: str = "127.0.0.1:9092"
    kafka_partitions: int = Field(24, ge=1)
    kafka_replication_factor: int = Field(1, ge=1)
    # Off only for brokers without idempotent producers, such as the embedded one.
    kafka_enable_idempotence: bool = True
    # Less only for brokers that let a reader wait although there is something new, such as the embedded one.
    kafka_fetch_max_wait_ms: int = Field(100, ge=1)
    # More only for such brokers: how long a reader waits by itself until it asks again.
    kafka_fetch_pause_ms: int = Field(0, ge=0)
    # Less only for brokers that let a group wait for it to form, such as the embedded one.
    kafka_session_timeout_ms: int = Field(10_000, ge=1_000)
    # Unique among the processes of a service, the same when one is started again: it has its partitions back at once.
    kafka_group_instance_id: str | None = Field(None, pattern=r"^[A-Za-z0-9._-]+$", max_length=200)
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    kafka_sasl_username: str | None = None
    kafka_sasl_password: str | None = None
    kafka_ssl_cafile: str | None = None

    mongodb_uri: str = "mongodb://127.0.0.1:27017/?directConnection=true"
    mongodb_database: str = ""

    # By default as many as there are processors, but not more than four.
    rebuild_processes: int | None = Field(None, ge=1)

    postgres_host: str = "127.0.0.1"
    postgres_port: int = 5432
    postgres_dbname: str = "relata"
    postgres_user: str = "postgres"
    postgres_password: str = ""
    postgres_schema: str = ""

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["json", "console"] = "json"

    @model_validator(mode="after")
    def _has_credentials(self) -> Self:
        protocol = self.kafka_security_protocol
        if protocol.startswith("SASL") and not (self.kafka_sasl_username and self.kafka_sasl_password):
            raise ValueError(f"KAFKA_SECURITY_PROTOCOL={protocol} needs KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD")
        return self

    def schema_name(self, service: str) -> str:
        """The PostgreSQL schema that the service's event store lives in."""
        return self.postgres_schema or service

    def database_name(self, service: str) -> str:
        """The MongoDB database that the service's views live in."""
        return self.mongodb_database or service

    def eventsourcing_env(self, service: str) -> dict[str, str]:
        """What the `eventsourcing` application of the service is constructed with."""
        return {
            "SERVICE": service,
            "POSTGRES_DBNAME": self.postgres_dbname,
            "POSTGRES_HOST": self.postgres_host,
            "POSTGRES_PORT": str(self.postgres_port),
            "POSTGRES_USER": self.postgres_user,
            "POSTGRES_PASSWORD": self.postgres_password,
            "POSTGRES_SCHEMA": self.schema_name(service),
            # The writer thread, and a spare connection for requests that read the store.
            "POSTGRES_POOL_SIZE": "1",
            "POSTGRES_MAX_OVERFLOW": "3",
            "POSTGRES_PRE_PING": "no",
            "POSTGRES_CONNECT_TIMEOUT": "3",
        }

    def postgres_connection(self) -> dict[str, Any]:
        """Arguments of `psycopg.connect`."""
        return {
            "dbname": self.postgres_dbname,
            "host": self.postgres_host,
            "port": self.postgres_port,
            "user": self.postgres_user,
            "password": self.postgres_password,
            **POSTGRES_LIVENESS,
        }
