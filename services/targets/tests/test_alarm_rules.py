"""Colours, causes and effects, case by case."""

from __future__ import annotations

import pytest

from closedloop_targets.alarms import comparison, rules
from closedloop_targets.alarms.rules import AlarmRules, CauseRules, Signs
from closedloop_targets.metrics.rules import MetricRules

RULES = AlarmRules()


@pytest.mark.mission("S13", "S14")
@pytest.mark.parametrize(
    ("actual", "reference", "weeks", "light"),
    [
        (1000, 1000, 0, "none"),
        (950, 1000, 0, "none"),
        (949, 1000, 0, "blue"),
        (1050, 1000, 1, "none"),
        (1051, 1000, 0, "blue"),
        (900, 1000, 0, "blue"),
        (899, 1000, 1, "yellow"),
        (800, 1000, 0, "yellow"),
        (799, 1000, 0, "red"),
        (1270, 1000, 0, "red"),
        (999, 1000, 2, "red"),
        (0, 0, 0, "none"),
        (1, 0, 0, "red"),
    ],
)
def test_colours_either_way_with_exact_edges(actual: int, reference: int, weeks: int, light: str) -> None:
    assert rules.light(actual, reference, weeks, RULES) == light


@pytest.mark.mission("S8")
@pytest.mark.parametrize(
    ("done", "expected", "weeks", "raised"),
    [(599, 1000, 4, True), (600, 1000, 4, False), (100, 1000, 3, False), (0, 0, 13, False)],
)
def test_the_floor_of_a_quarter(done: int, expected: int, weeks: int, raised: bool) -> None:
    assert rules.low(done, expected, weeks, RULES) is raised


@pytest.mark.mission("S8")
@pytest.mark.parametrize(
    ("signs", "first"),
    [
        (Signs(growth=0.8, carried=0.2, spread=0.02, heads=10, tracked=12, trackable=12), "unrealistic_target"),
        (Signs(growth=0.0, carried=1.0, spread=0.27, heads=176, tracked=12, trackable=12), "uneven_allocation"),
        (Signs(growth=0.05, carried=1.0, spread=0.01, heads=4, tracked=1, trackable=12), "untracked_process"),
        (Signs(growth=0.05, carried=1.0, tracked=12, trackable=12, response_hours=60), "late_feedback"),
        (Signs(tracked=12, trackable=12, actions_done=1, actions_planned=10), "untracked_process"),
    ],
)
def test_the_likeliest_cause_comes_first_and_explains_itself(signs: Signs, first: str) -> None:
    found = rules.rank(signs, CauseRules())
    assert [found[0].cause, len(found)] == [first, 4]
    assert sum(one.share for one in found) == pytest.approx(1)
    assert found[0].numbers
    assert any(character.isdigit() for character in found[0].explanation)
    assert [one.share for one in found] == sorted((one.share for one in found), reverse=True)


@pytest.mark.mission("S8")
def test_whoever_is_measured_by_all_that_is_fed_is_not_untracked() -> None:
    fed = sum(metric.track == "process" and metric.fed for metric in MetricRules().metrics)
    signs = Signs(growth=0.25, carried=0.4, spread=0.10, heads=10, tracked=fed, trackable=fed, feedback_hours=10)
    found = rules.rank(signs, CauseRules())
    assert (found[0].cause, found[-1].cause, found[-1].share) == ("unrealistic_target", "untracked_process", 0)
    # What somebody has to import is nothing that could be seen here to be missing.
    assert not MetricRules().metric("won_value").model_copy(update={"fed_by": ("ImportActuals",)}).fed


def test_what_a_full_pipeline_takes_away_of_the_doubt_is_data() -> None:
    signs = Signs(growth=0.5, carried=1.0, spread=0.27, heads=2)

    def share(allowed: CauseRules, cause: str = "unrealistic_target") -> float:
        return next(one.share for one in rules.rank(signs, allowed) if one.cause == cause)

    assert share(CauseRules()) == pytest.approx(0.5 / 1.5)
    assert share(CauseRules(pipeline_relief=1.0)) == 0
    assert share(CauseRules(pipeline_relief=0.0)) == 0.5
    assert share(CauseRules(least_heads=3), "uneven_allocation") == 0


def test_nothing_known_speaks_for_nothing() -> None:
    assert {one.share for one in rules.rank(Signs(), CauseRules())} == {0.25}


@pytest.mark.mission("S102")
@pytest.mark.parametrize(
    ("before", "after", "out", "worked"),
    [(-0.27, -0.063, False, True), (-0.27, -0.22, False, False), (0.27, 0.04, True, True), (-0.06, None, False, None)],
)
def test_an_action_worked_when_the_deviation_shrank(
    before: float, after: float | None, out: bool, worked: bool | None
) -> None:
    assert rules.effect(before, after, out, RULES).worked is worked


@pytest.mark.mission("S20")
def test_before_and_after_with_an_interval_or_not_at_all() -> None:
    wide, narrow = (
        [0.27, -0.25, 0.2, -0.22, 0.24, -0.21, 0.26, -0.2],
        [0.063, -0.05, 0.04, -0.06, 0.05, 0.04, -0.03, 0.05],
    )
    shrank = comparison.change(wide, narrow, 8, 0.95)
    assert shrank.ratio == pytest.approx(-0.79, abs=0.02)
    assert shrank.verdict.startswith("shrank")
    assert shrank.upper is not None
    assert shrank.upper < 0
    assert comparison.change(wide, narrow[:7], 8, 0.95).verdict.startswith("cannot say: 8 and 7")
    assert comparison.change([0.0] * 8, narrow, 8, 0.95).ratio is None
    # Whoever wants to be surer gets a wider interval.
    surer = comparison.change(wide, narrow, 8, 0.99)
    assert surer.lower is not None
    assert shrank.lower is not None
    assert (surer.ratio, (surer.lower - shrank.ratio) / (shrank.lower - shrank.ratio)) == (
        shrank.ratio,
        pytest.approx(2.5758 / 1.96, abs=0.001),
    )
    assert comparison.change(wide, wide, 8, 0.95).verdict.startswith("no change")
