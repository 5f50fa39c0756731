"""Installed alone in a fresh environment, with pydantic and orjson and nothing else, it reads a stream of records."""

import json
import subprocess
import sys
import venv
from base64 import b64encode
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from crm_contracts import Headers
from crm_contracts.catalogue import examples
from crm_contracts.tooling.examples import example_record, example_watermark

PROJECT = Path(__file__).parents[1]

# Runs in the fresh environment: reads records from standard input, and says what became of each.
READ = """
import base64, importlib.util, json, sys
from crm_contracts import EnvelopeError, decode_known, read_watermark

def told(key, value, headers):
    if (mark := read_watermark(headers, value)) is not None:
        return ["watermark", mark.service, mark.sequence]
    try:
        event = decode_known(key, value, headers)
        return ["skipped"] if event is None else ["event", type(event.payload).__name__, event.sequence]
    except ValueError as error:
        return ["poison", type(error).__name__]

def text(value):
    return None if value is None else base64.b64decode(value)

answers = [
    told(text(key), text(value), [(name, text(header)) for name, header in headers])
    for key, value, headers in json.load(sys.stdin)
]
there = [name for name in sys.argv[1:] if importlib.util.find_spec(name)]
print(json.dumps({"answers": answers, "there": there}))
"""

# Runs the example of the README in the fresh environment.
HANDLE = """
import sys
exec(sys.stdin.read())
from crm_contracts.tooling.examples import example_record, example_watermark
from crm_contracts.events.contacts import EXAMPLES
for record in map(example_record, EXAMPLES[:6]):
    print(handle(record.key, record.value, record.headers))
value, headers = example_watermark("contacts")
print(handle(None, value, headers))
"""

FOREIGN = [
    *("crm_shared", "contacts_service", "interactions_service", "segmentation_service", "feedback_service"),
    *("customer360_service", "relata_local", "eventsourcing", "aiokafka", "fastapi", "pymongo", "psycopg", "yaml"),
    "faststream",
]


def needed(*names: str) -> set[str]:
    """These distributions and all that they require."""
    found: set[str] = set()
    wanted = list(names)
    while wanted:
        name = wanted.pop()
        if name not in found:
            found.add(name)
            requirements = map(Requirement, distribution(name).requires or ())
            wanted += [each.name for each in requirements if each.marker is None or each.marker.evaluate({"extra": ""})]
    return found


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a fresh environment with crm-contracts, and with what it declares to need.

    The latter is linked from where the tests run, so that nothing has to be downloaded.
    """
    folder = tmp_path_factory.mktemp("alone")
    venv.create(folder, with_pip=False, symlinks=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    install = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-build-isolation", "--no-index", "--quiet"]
    subprocess.run([*install, "--target", str(packages), str(PROJECT)], check=True)
    for name in needed("pydantic", "orjson"):
        one = distribution(name)
        for top in {Path(file).parts[0] for file in one.files or ()} - {".."}:
            if not (packages / top).exists():
                (packages / top).symlink_to(Path(str(one.locate_file(top))))
    return folder / "bin" / "python"


def run(python: Path, program: str, given: str, *arguments: str) -> str:
    """What the program prints; without this process's paths, and where there are no sources of ours."""
    done = subprocess.run(
        [str(python), "-I", "-W", "error", "-c", program, *arguments],
        input=given,
        capture_output=True,
        text=True,
        check=False,
        cwd=python.parent,
        env={},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def as_json(key: bytes | None, value: bytes | None, headers: Headers) -> list[Any]:
    def text(data: bytes | None) -> str | None:
        return None if data is None else b64encode(data).decode()

    return [text(key), text(value), [[name, text(header)] for name, header in headers]]


def test_its_declared_needs_are_pydantic_and_orjson() -> None:
    declared = [Requirement(each) for each in distribution("crm-contracts").requires or ()]
    assert {each.name for each in declared if each.marker is None} == {"pydantic", "orjson"}


def test_alone_it_decodes_validates_and_skips_a_stream_of_records(python: Path) -> None:
    # given every example, a watermark, what is unknown, and poison
    expected: list[list[Any]] = []
    stream: list[Any] = []
    for position, example in enumerate(examples(), 1):
        record = example_record(example, position)
        stream.append(as_json(record.key, record.value, record.headers))
        expected.append(["event", type(example).__name__, position])
    record = example_record(examples()[0], 100)
    value, headers = example_watermark("contacts", 101)
    new_field = (record.value or b"")[:-1] + b',"unheard_of":{"a":[1]}}'
    others: list[tuple[bytes | None, bytes | None, Headers, list[Any]]] = [
        (None, value, headers, ["watermark", "contacts", 101]),
        (record.key, record.value, changed(record.headers, ce_type=b"crm.contacts.Unheard.v1"), ["skipped"]),
        (record.key, record.value, changed(record.headers, ce_type=b"crm.nowhere.Unheard.v7"), ["skipped"]),
        (record.key, new_field, record.headers, ["event", type(examples()[0]).__name__, 100]),
        (record.key, record.value, [*record.headers, ("more", b"\xff")], ["event", type(examples()[0]).__name__, 100]),
        (record.key, b"{", record.headers, ["poison", "EnvelopeError"]),
        (record.key, None, record.headers, ["poison", "EnvelopeError"]),
        (record.key, b"{}", record.headers, ["poison", "ValidationError"]),
        (record.key, record.value, record.headers[1:], ["poison", "EnvelopeError"]),
        (record.key, record.value, [], ["poison", "EnvelopeError"]),
        (record.key, record.value, changed(record.headers, ce_time=b"\xff"), ["poison", "EnvelopeError"]),
    ]
    stream += [as_json(*other[:3]) for other in others]
    expected += [other[3] for other in others]
    # when the fresh environment reads them
    told = json.loads(run(python, READ, json.dumps(stream), *FOREIGN))
    # then each is what it should be, and nothing else is installed there
    assert told == {"answers": expected, "there": []}


def changed(headers: Headers, **values: bytes) -> Headers:
    return [(name, values.get(name, value)) for name, value in headers]


def test_the_example_of_the_readme_runs_there(python: Path) -> None:
    example = (PROJECT / "README.md").read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    told = run(python, HANDLE, example).splitlines()
    # the other events, and the watermark at the end, are skipped
    assert [line for line in told if line != "None"] == ["3f0d4a52-6a0e-4b0f-9a51-0c6f4f1d2b7e is now khách quen"]
    assert len(told) == 7
