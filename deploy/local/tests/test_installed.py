"""Services are found by what is installed: a further one needs no entry in any list."""

from pathlib import Path

import pytest

from relata_local import LocalError
from relata_local.installed import InstalledService, declared_port, installed_services, without_collisions


def install(folder: Path, name: str, definition: str) -> None:
    """What installing a service leaves behind: its package, and its distribution with its command."""
    package = folder / f"{name}_service"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise AssertionError('nobody may import a service')\n")
    (package / "main.py").write_text(definition)
    info = folder / f"{name}_service-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}-service\nVersion: 1.0\nSummary: Owns {name}\n")
    (info / "entry_points.txt").write_text(f"[console_scripts]\n{name}-service = {name}_service.main:main\n")


def service(name: str, port: int) -> InstalledService:
    return InstalledService(name, port, "")


def test_the_services_of_today_have_their_ports_and_their_order() -> None:
    ports = {name: one.port for name, one in installed_services().items()}

    assert list(ports.items())[:5] == [
        ("contacts", 8101),
        ("interactions", 8102),
        ("segmentation", 8103),
        ("feedback", 8104),
        ("customer360", 8105),
    ]


def test_a_further_service_is_found_by_being_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, "billing", 'DEFINITION = Definition(service="billing", port=8190)\n')
    monkeypatch.syspath_prepend(tmp_path)

    assert installed_services()["billing"] == InstalledService("billing", 8190, "Owns billing")


def test_a_copied_service_gets_a_port_of_its_own_and_moves_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = installed_services()
    install(tmp_path, "toy", 'DEFINITION = Definition(service="toy", port=8101)\n')
    monkeypatch.syspath_prepend(tmp_path)

    after = installed_services()

    assert {name: found for name, found in after.items() if name != "toy"} == before
    assert after["toy"].port not in {found.port for found in before.values()}


def test_the_ports_of_the_servers_are_left_to_them() -> None:
    crowd = [service(f"s{number}", 8101 + number) for number in range(10)]

    found = without_collisions([*crowd, service("late", 8112), service("low", 80)])

    assert [(one.name, one.port) for one in found[10:]] == [("low", 8114), ("late", 8115)]


def test_a_service_that_names_no_port_is_told_so(tmp_path: Path) -> None:
    main = tmp_path / "main.py"
    main.write_text("DEFINITION = Definition(service='billing')\n")

    with pytest.raises(LocalError, match=r"main\.py names no port: write port=8106"):
        declared_port(main)
