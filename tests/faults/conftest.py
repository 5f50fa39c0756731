"""Faults: run by their path, `pytest tests/faults`, and never along with the other tests."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.faults import oracle
from tests.faults.fleet import Fleet

HERE = Path(__file__).parent
TIMEOUT_SECONDS = 600
_tallies: list[str] = []


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--count", type=int, default=1, help="how many times as many faults as continuous integration")


def pytest_configure(config: pytest.Config) -> None:
    oracle.patience_seconds *= config.getoption("--count", default=1)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    asked = any(Path(one.partition("::")[0]).absolute().is_relative_to(HERE) for one in config.args)
    return None if asked else True


def pytest_collection_modifyitems(items: list[pytest.Item], config: pytest.Config) -> None:
    for item in items:
        if item.path.is_relative_to(HERE) and not any(item.iter_markers("timeout")):
            item.add_marker(pytest.mark.timeout(TIMEOUT_SECONDS * config.getoption("--count")))


@pytest.fixture(scope="session")
def count(pytestconfig: pytest.Config) -> int:
    """How many times as many faults as continuous integration runs."""
    return int(pytestconfig.getoption("--count"))


@pytest.fixture
def tally(request: pytest.FixtureRequest) -> Callable[..., None]:
    """`tally(kills=12, commands=900)`: what the run says at its end that this test has done."""

    def note(**counts: int) -> None:
        _tallies.append(f"{request.node.name}: " + ", ".join(f"{value:,} {name}" for name, value in counts.items()))

    return note


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for line in _tallies:
        terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Everything as processes: contacts with a process for each role, the others with all roles in one."""
    with Fleet(tmp_path_factory.mktemp("fleet"), split=["contacts"]) as running:
        yield running
