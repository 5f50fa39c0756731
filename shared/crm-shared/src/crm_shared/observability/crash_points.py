"""Where a process may be told to die, so that tests prove what survives; nothing happens unless its start asked for it.

`RELATA_CRASH_AT=after_send` kills the process, as `kill -9` would, when it first gets there; `after_send:3` the third
time. The variable is read once, when the process starts: nothing that arrives over the network can set it.
"""

import os
import signal
from typing import Final, Literal, get_args

Point = Literal[
    "after_store",
    "after_send",
    "before_position",
    "after_decisions",
    "after_rows",
    "after_new_documents",
    "after_view_write",
    "before_commit",
]
"""`after_store`: a command's events are stored, its answer is not given.
`after_send`: the broker has acknowledged a batch of the relay, and maybe not the others of the page.
`before_position`: the broker has acknowledged a page, the relay's position is not saved.
`after_decisions`: the commands of a policy are stored, neither its view nor how far it is has been noted.
`after_rows`: a batch's rows are written by a command of their own, neither its documents nor how far it is.
`after_new_documents`: a batch's new documents are written so, neither the changed ones nor how far it is.
`after_view_write`: a batch is in the view; a small one with how far that brought it, a large one without that.
`before_commit`: how far the view is is durable, the consumer group's offsets are not committed.
"""

VARIABLE: Final = "RELATA_CRASH_AT"


def _asked_for(text: str) -> tuple[str, int]:
    point, _, times = text.partition(":")
    if point and point not in get_args(Point):
        raise ValueError(f"{VARIABLE} names no crash point: {point} (there are {', '.join(get_args(Point))})")
    return point, int(times or "1")


_point, _times_left = _asked_for(os.environ.get(VARIABLE, ""))


def reach(point: Point) -> None:
    """Die here if the process was started for that; else nothing."""
    global _times_left  # noqa: PLW0603
    if point == _point:
        _times_left -= 1
        if _times_left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)
