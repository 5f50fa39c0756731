"""The table of fields in the documentation is the catalogue of the code."""

from pathlib import Path

from segmentation_service.conditions import catalogue


def test_the_documentation_lists_every_field(project_root: Path) -> None:
    page = (project_root / "docs" / "reference" / "segments.md").read_text()

    rows = [f"| `{one.field}` | {one.type} | {', '.join(one.operators)} | {one.description} |" for one in catalogue()]

    assert page.split("| --- | --- | --- | --- |\n")[1].splitlines() == rows
