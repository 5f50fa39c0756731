"""The formulas: NPS, CSAT and means, with their rounding and their edges."""

import math

import pytest

from feedback_service import scores
from feedback_service.queries import question_results


@pytest.mark.parametrize(
    ("counts", "score", "promoters", "passives", "detractors"),
    [
        ({}, None, 0, 0, 0),
        ({10: 1}, 100.0, 1, 0, 0),
        ({0: 1}, -100.0, 0, 0, 1),
        ({7: 3, 8: 4}, 0.0, 0, 7, 0),
        ({9: 1, 6: 1}, 0.0, 1, 0, 1),
        ({9: 50, 10: 20, 7: 10, 8: 5, 0: 5, 6: 10}, 55.0, 70, 15, 15),
        ({9: 1, 8: 2}, 33.3, 1, 2, 0),
        ({9: 2, 8: 1}, 66.7, 2, 1, 0),
        # 1/16 is 6.25 % and 3/16 is 18.75 %: halves go to the even digit.
        ({10: 1, 8: 15}, 6.2, 1, 15, 0),
        ({10: 3, 8: 13}, 18.8, 3, 13, 0),
        ({0: 1, 8: 15}, -6.2, 0, 15, 1),
    ],
)
def test_nps_is_the_percentage_of_promoters_less_that_of_detractors(
    counts: dict[int, int], score: float | None, promoters: int, passives: int, detractors: int
) -> None:
    assert scores.nps(counts) == scores.Nps(score, promoters, passives, detractors)


def test_a_score_that_rounds_to_zero_from_below_has_no_sign() -> None:
    score = scores.nps({0: 1, 8: 9_999}).score

    assert score == 0
    assert math.copysign(1, score) == 1


@pytest.mark.parametrize(
    ("counts", "score", "satisfied", "count"),
    [
        ({}, None, 0, 0),
        ({4: 1, 5: 1}, 100.0, 2, 2),
        ({1: 1, 2: 1, 3: 1}, 0.0, 0, 3),
        ({3: 1, 4: 1, 5: 1}, 66.7, 2, 3),
    ],
)
def test_csat_is_the_percentage_of_the_two_highest_answers(
    counts: dict[int, int], score: float | None, satisfied: int, count: int
) -> None:
    assert scores.csat(counts) == scores.Csat(score, satisfied, count)


@pytest.mark.parametrize(
    ("counts", "mean"), [({}, None), ({7: 3}, 7.0), ({1: 1, 7: 2}, 5.0), ({1: 2, 2: 1}, 1.33), ({1: 7, 2: 1}, 1.12)]
)
def test_the_mean_is_rounded_to_two_places(counts: dict[int, int], mean: float | None) -> None:
    assert scores.mean(counts) == mean


def test_a_distribution_shows_every_value_of_the_scale() -> None:
    results = question_results({"key": "q", "kind": "csat", "prompt": "?", "choices": []}, {5: 2, 1: 1})

    assert results["distribution"] == {"1": 1, "2": 0, "3": 0, "4": 0, "5": 2}
    assert (results["count"], results["mean"], results["nps"]) == (3, 3.67, None)


def test_a_distribution_shows_every_choice_and_those_that_are_no_longer_offered() -> None:
    question = {"key": "q", "kind": "choice", "prompt": "?", "choices": ["Huế", "Hà Nội"]}

    results = question_results(question, {"Hà Nội": 2, "Đà Nẵng": 1})

    assert results["distribution"] == {"Huế": 0, "Hà Nội": 2, "Đà Nẵng": 1}
    assert (results["count"], results["mean"], results["csat"]) == (3, None, None)


def test_texts_are_counted_and_not_shown() -> None:
    results = question_results({"key": "q", "kind": "text", "prompt": "?", "choices": []}, {None: 4})

    assert (results["count"], results["distribution"]) == (4, {})
