"""The embedded servers that these tests share, one set for the whole run."""

from collections.abc import Iterator

import pytest

from relata_local import EmbeddedServers


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServers]:
    with EmbeddedServers(tmp_path_factory.mktemp("servers")) as running:
        yield running
