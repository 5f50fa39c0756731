"""Imports a file of purchases, one JSON object per line, and loses none when services or networks fail meanwhile.

After `make up`: .venv/bin/python examples/bulk_import.py http://127.0.0.1:8102/v1/purchases/import purchases.ndjson
Lines that Relata refuses are printed with the reason; mend them and import the whole file again: nothing doubles.
"""

import hashlib
import json
import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import httpx

LINES_PER_CHUNK = 5_000
ATTEMPTS = 8
LONGEST_PAUSE_SECONDS = 30.0
# What another attempt may mend; every other error is about the line itself.
PASSING = {"store_unavailable", "concurrent_changes", "internal_error"}


def import_file(client: httpx.Client, url: str, path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Every line that is not blank: its number in the file, and what was stored or its `error`."""
    with path.open("rb") as file:
        start = 0
        while chunk := list(islice(file, LINES_PER_CHUNK)):
            for number, answer in sorted(import_chunk(client, url, chunk).items()):
                yield start + number, answer
            start += len(chunk)


def import_chunk(client: httpx.Client, url: str, lines: list[bytes]) -> dict[int, dict[str, Any]]:
    """The last answer to each line, by its number from 1."""
    # The same lines have the same key, also when the program is started again; each is remembered by its number.
    headers = {
        "Content-Type": "application/x-ndjson",
        "Idempotency-Key": hashlib.sha256(b"".join(lines)).hexdigest(),
    }
    answers: dict[int, dict[str, Any]] = {}
    for attempt in range(1, ATTEMPTS + 1):
        # A blank line is counted and left out: the others keep their numbers, and only what failed is sent again.
        rest = [b"\n" if _settled(answers.get(number)) else line for number, line in enumerate(lines, 1)]
        try:
            with client.stream("POST", url, content=b"".join(rest), headers=headers) as response:
                if response.is_error and response.status_code < 500:
                    raise SystemExit(f"{url} answers {response.status_code}: {response.read().decode()}")
                response.raise_for_status()
                for text in response.iter_lines():
                    answer = json.loads(text)
                    answers[answer.pop("line")] = answer
        except (httpx.TransportError, httpx.HTTPStatusError) as error:
            trouble: object = repr(error)  # what was answered until then counts; the rest is sent again
        else:
            trouble = [answer for answer in answers.values() if not _settled(answer)]
        unanswered = [number for number, line in enumerate(lines, 1) if line.strip() and number not in answers]
        if not unanswered and all(map(_settled, answers.values())):
            return answers
        if attempt < ATTEMPTS:
            time.sleep(min(2.0**attempt / 4, LONGEST_PAUSE_SECONDS))
    raise SystemExit(f"{url} did not take every line in {ATTEMPTS} attempts, at last: {trouble}")


def _settled(answer: dict[str, Any] | None) -> bool:
    return answer is not None and answer.get("error", {}).get("code") not in PASSING


def main(url: str, path: Path) -> None:
    stored = refused = 0
    with httpx.Client(timeout=60) as client:
        for number, answer in import_file(client, url, path):
            if "error" in answer:
                refused += 1
                print(f"{path}:{number}: {answer['error']['detail']}")
            else:
                stored += 1
    print(f"{stored} lines are stored, {refused} were refused")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
