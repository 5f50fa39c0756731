"""The documents for people agree with the code: settings, metrics, error codes, links."""

import re
from pathlib import Path

import pytest
from prometheus_client.metrics import MetricWrapperBase

from crm_shared.observability import metrics
from crm_shared.settings import Settings

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    page
    for page in (
        *ROOT.glob("*.md"),
        *ROOT.glob(".github/*.md"),
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("services/*/*.md"),
        *ROOT.glob("shared/*/*.md"),
        *ROOT.glob("deploy/*/*.md"),
    )
)

# Modules whose errors only operators see: they reach no HTTP answer.
BEHIND = ("rebuild.py", "filling.py", "layouts.py")


def table(page: str, heading: str) -> list[list[str]]:
    """The cells of the first table below a heading of a page, without its two head lines."""
    section = (ROOT / page).read_text(encoding="utf-8").partition(f"\n## {heading}\n")[2]
    lines = section[section.index("\n|") + 1 :].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def anchors(page: Path) -> set[str]:
    """What links into a page can name."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_setting_is_explained_with_its_default() -> None:
    explained = {row[0].strip("`"): row[1].strip("`") for row in table("docs/reference/settings.md", "Settings")}

    assert list(explained) == [name.upper() for name in Settings.model_fields]
    for name, field in Settings.model_fields.items():
        default = str(field.default).lower() if isinstance(field.default, bool) else field.default
        if default and name != "http_port":  # each service has a default of its own
            assert explained[name.upper()] == str(default)


def test_every_metric_is_explained_with_its_labels() -> None:
    defined = {
        f"{one._name}_total" if one._type == "counter" else one._name: ", ".join(one._labelnames)
        for one in vars(metrics).values()
        if isinstance(one, MetricWrapperBase)
    }

    assert {row[0].strip("`"): row[1] for row in table("docs/reference/settings.md", "Metrics")} == defined


def test_every_code_that_an_error_can_have_is_explained() -> None:
    sources = [*ROOT.glob("shared/crm-shared/src/**/*.py"), *ROOT.glob("services/*/src/**/*.py")]
    text = "\n".join(source.read_text(encoding="utf-8") for source in sources if source.name not in BEHIND)
    raised = set(re.findall(r'\bcode ?= ?"([a-z_0-9]+)"', text)) | {"method_not_allowed", "internal_error"}
    # `error` and `conflict` are what classes say whose instances always say more.
    raised -= {"error", "conflict"}

    assert {row[0].strip("`") for row in table("docs/reference/http.md", "Errors")} == raised


def links(page: Path) -> list[tuple[str, Path, str]]:
    """Each link of a page to within the repository: as it is written, the file, and the anchor or an empty text."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    found = []
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" not in link:
            path, _, anchor = link.partition("#")
            found.append((link, (page.parent / path).resolve() if path else page, anchor))
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_within_the_repository_lead_somewhere(page: Path) -> None:
    for link, target, anchor in links(page):
        assert target.exists(), link
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target), link


def test_every_page_is_reached_from_the_readme() -> None:
    reached: set[Path] = set()
    waiting = [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page.suffix == ".md" and page not in reached:
            reached.add(page)
            waiting += [target for _, target, _ in links(page)]

    assert set(PAGES) - reached == set()
