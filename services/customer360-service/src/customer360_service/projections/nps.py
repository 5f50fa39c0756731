"""The net promoter score: who is a promoter, a passive, a detractor.

Source: Reichheld, F. F. (2003): The One Number You Need to Grow. Harvard Business Review 81 (12), 46-54.
"""

NPS_GROUPS = ("promoters", "passives", "detractors")


def nps_group(kind: str, number: int | None) -> str | None:
    """The group of an answer: 9 and 10 promote, 7 and 8 are passive, 0 to 6 detract; None for any other answer."""
    if kind != "nps" or number is None or not 0 <= number <= 10:
        return None
    if number >= 9:
        return "promoters"
    return "passives" if number >= 7 else "detractors"
