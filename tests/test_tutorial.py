"""The tutorial: its commands, run as a reader runs them, are answered as the page says."""

import doctest
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from relata_local.stack import Stack

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "tutorial" / "first-event.md"
# The ports of the page; the test's are free ones.
PORTS = {"contacts": 8101, "interactions": 8102, "segmentation": 8103, "feedback": 8104, "customer360": 8105}
ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
PATIENCE_SECONDS = 30.0


@dataclass(frozen=True)
class Step:
    """A command of the page and its answer: `kind` is json or text, or None for a command without one."""

    command: str
    kind: str | None = None
    answer: str = ""


def steps(page: str) -> list[Step]:
    """The fenced commands, each with the answer that follows it."""
    found: list[Step] = []
    for kind, content in re.findall(r"^```(\w+)\n(.*?)^```$", page, re.DOTALL | re.MULTILINE):
        if kind == "sh":
            found.append(Step(content))
        else:
            found[-1] = Step(found[-1].command, kind, content)
    return found


class Reader:
    """Somebody who follows the page: `ids` are the page's ids, with those that the reader was given instead."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._variables = ""
        self.ids: dict[str, str] = {}

    def run(self, command: str) -> str:
        """What the command prints; variables that it sets stay for later ones."""
        for name, port in PORTS.items():
            command = command.replace(f"http://127.0.0.1:{port}", self._stack.url(name))
        command = self.own(command.replace(".venv/bin/", f"{Path(sys.executable).parent}/"))
        self._variables += "".join(re.findall(r"^\w+=\S+\n", command, re.MULTILINE))
        environment = {**os.environ, "RELATA_DATA": str(self._stack.data)}
        return subprocess.run(
            ["bash", "-euo", "pipefail", "-c", self._variables + command],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        ).stdout

    def own(self, text: str) -> str:
        """The page's text with the reader's own ids, also where only their beginning is shown."""
        for shown, own in self.ids.items():
            text = text.replace(shown, own).replace(shown[:8], own[:8])
        return text

    def sees(self, step: Step, output: str) -> bool:
        """Whether the output is the step's answer; ids that the page shows first here are the reader's from now on."""
        if step.kind == "text":
            flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
            return doctest.OutputChecker().check_output(self.own(step.answer), output, flags)
        return self._holds(json.loads(step.answer), json.loads(output))

    def _holds(self, shown: Any, answered: Any) -> bool:
        """Answers are shortened: what the page shows of an object must be there."""
        match shown:
            case dict():
                return isinstance(answered, dict) and all(
                    name in answered and self._holds(value, answered[name]) for name, value in shown.items()
                )
            case list():
                return (
                    isinstance(answered, list)
                    and len(answered) == len(shown)
                    and all(map(self._holds, shown, answered))
                )
            case str() if ID.fullmatch(shown):
                return isinstance(answered, str) and self.ids.setdefault(shown, answered) == answered
            case _:
                return bool(shown == answered)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """All services as processes of their own, on embedded servers of their own, with nothing stored."""
    with Stack(tmp_path_factory.mktemp("stack")) as running:
        yield running


@pytest.mark.slow
def test_every_command_of_the_tutorial_is_answered_as_the_page_says(stack: Stack) -> None:
    reader = Reader(stack)

    for step in steps(PAGE.read_text(encoding="utf-8")):
        output = reader.run(step.command)
        # What only reads can be asked again: events are on their way to where it looks.
        deadline = time.monotonic() + (0 if " -d " in step.command else PATIENCE_SECONDS)
        while step.kind and not reader.sees(step, output):
            assert time.monotonic() < deadline, f"{step.command}\nanswers\n{output}\ninstead of\n{step.answer}"
            time.sleep(0.2)
            output = reader.run(step.command)


def test_every_command_of_the_tutorial_has_an_answer_but_the_one_that_keeps_the_id() -> None:
    found = steps(PAGE.read_text(encoding="utf-8"))

    assert all(step.kind in ("json", "text") or step.command.startswith("customer=") for step in found)
