"""Times as documents hold them."""

from datetime import UTC, datetime

LONG_AGO = datetime(1, 1, 1, tzinfo=UTC)
"""Before everything: a bound that matches every time, and nothing that has none."""


def stored(moment: datetime) -> datetime:
    """The time in UTC to the millisecond: what MongoDB gives back.

    Folds compare times that come from an event with ones that may have been stored in between, so both are cut.
    """
    utc = moment.astimezone(UTC)
    return utc.replace(microsecond=utc.microsecond // 1000 * 1000)


def earliest(*moments: datetime | None) -> datetime | None:
    """The first of the known times; None without any."""
    return min((moment for moment in moments if moment is not None), default=None)


def latest(*moments: datetime | None) -> datetime | None:
    """The last of the known times; None without any."""
    return max((moment for moment in moments if moment is not None), default=None)


def earlier(moment: datetime, known: datetime | None) -> datetime:
    """The time, or an earlier one that is known."""
    return moment if known is None or moment < known else known


def later(moment: datetime, known: datetime | None) -> datetime:
    """The time, or a later one that is known."""
    return moment if known is None or moment > known else known
