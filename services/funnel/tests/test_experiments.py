"""Management actions put to the test: drawn by seed, looked at when it was said, and said how sure it is (S95)."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from itertools import product
from typing import Any

import numpy
import protovalidate
import pydantic
import pytest
from google.protobuf.duration_pb2 import Duration

from closedloop.approvals.v1 import events_pb2 as approvals
from closedloop.funnel.v1 import experiments_pb2 as pb
from closedloop_funnel import estimates
from closedloop_funnel.experiments import power, rules
from closedloop_funnel.experiments.rules import Candidate, ExperimentRules, FoundWord

from .conftest import NORTH, Company, account, day, remember, rid
from .raw_history import moment
from .test_management import client
from .test_performance import visit

SELLERS = [f"s{number:02}" for number in range(40)]


@pytest.mark.mission("S95")
def test_the_same_seed_draws_the_same_arms_and_strata_are_split_evenly() -> None:
    people = [Candidate(f"p{number}", "old" if number % 3 else "new") for number in range(31)]
    arms = rules.drawn(people, 7)
    assert rules.drawn(list(reversed(people)), 7) == arms
    assert rules.drawn(people, 8) != arms
    for stratum in ("old", "new"):
        sides = [arms[one.unit_id] for one in people if one.stratum == stratum]
        assert abs(sides.count("control") - sides.count("treatment")) <= 1
    assert abs(list(arms.values()).count("control") - list(arms.values()).count("treatment")) <= 1
    # Anybody can draw them again: ranked by SHA-256 of "<seed>:<id>".
    assert rules.drawn([Candidate("a"), Candidate("b"), Candidate("c")], 1) == {
        "a": "control",
        "b": "treatment",
        "c": "control",
    }
    first = [rules.drawn(people, seed)["p0"] for seed in range(200)]
    assert 70 <= first.count("treatment") <= 130, "chance, not place, decides"


@pytest.mark.mission("S95")
def test_power_is_known_beforehand() -> None:
    """Cohen 1988, table 2.4.1: for d = 0.5 at 5 % and a power of 0.80 it takes 64 on each side; with 20, 0.33."""
    values = list(numpy.random.default_rng(1).normal(10, 2, 40))
    plan = power.plan(values, 1.0, 0.8, 0.05)
    assert plan is not None
    exact = power.plan([10 + 2 * value for value in (-1, 1) * 20], 2 * 0.5 * (40 / 39) ** 0.5, 0.8, 0.05)
    assert exact is not None
    assert (exact.needed, round(exact.power, 2)) == (64, 0.34)
    again = power.plan(values, plan.detectable or 0, 0.8, 0.05)
    assert again is not None
    assert again.power == pytest.approx(0.8), "what is detectable is found at the power wanted"
    assert power.plan(values, -1.0, 0.8, 0.05) == plan, "which way is no matter of power"
    # What is as good as nothing, or larger than anything, is said as well, and not by a solver that gives up.
    tiny, huge = (power.plan(values, effect, 0.8, 0.05) for effect in (1e-300, 1e9))
    assert tiny is not None
    assert huge is not None
    assert (tiny.needed > 10**9, round(tiny.power, 3), huge.needed, round(huge.power, 3)) == (True, 0.05, 2, 1)
    for units, deviation, effect, wanted in product((4, 40, 300), (0.1, 1, 100), (0.01, 0.1, 50), (0.5, 0.95)):
        told = power.plan(list(numpy.random.default_rng(2).normal(0, deviation, units)), effect, wanted, 0.05)
        assert told is not None
        assert (told.needed >= 2, 0 < told.power <= 1) == (True, True), (units, deviation, effect, wanted)
    assert power.plan([1.0] * 40, 1.0, 0.8, 0.05) is None
    assert power.plan([1.0, 2.0, 3.0], 1.0, 0.8, 0.05) is None


@pytest.mark.mission("S95")
def test_the_looks_together_err_no_more_often_than_was_said_and_find_what_is_there() -> None:
    """300 tests of nothing with three looks on the way, and 300 of an effect as large as planned for."""
    judged_by, chance, interim, each = rules.stopping(ExperimentRules()), numpy.random.default_rng(5), 3, 34
    errors = [rules.error_at(judged_by, 0.05, interim, number) for number in range(1, interim + 2)]
    assert errors == pytest.approx([0.001, 0.001, 0.001, 0.047])
    planned = power.plan(list(chance.normal(0, 1, 2 * each)), 0.7, 0.8, errors[-1])
    assert planned is not None

    def found(effect: float) -> bool:
        # What a unit has come to by each look: a mean over more and more weeks.
        weeks = chance.normal(0, 2, (2 * each, interim + 1))
        seen = weeks.cumsum(axis=1) / numpy.arange(1, interim + 2)
        treated = seen[:each] + effect
        return any(
            estimates.welch(list(treated[:, look]), list(seen[each:, look]), "1", 1 - error, 5).verdict
            in (pb.ESTIMATE_VERDICT_HIGHER, pb.ESTIMATE_VERDICT_LOWER)
            for look, error in enumerate(errors)
        )

    of_nothing = sum(found(0.0) for _ in range(300)) / 300
    of_effect = sum(found(0.7) for _ in range(300)) / 300
    assert of_nothing <= 0.05 + 3 * (0.05 * 0.95 / 300) ** 0.5
    assert of_effect == pytest.approx(0.8, abs=0.08)


@pytest.mark.mission("S95")
@pytest.mark.parametrize(
    ("found", "low", "high", "least", "expected"),
    [
        ("higher", 0.1, 0.3, 0.2, "keep"),
        ("higher", 0.1, 0.3, -0.2, "drop"),
        ("lower", -3.0, -1.0, -2.0, "keep"),
        ("lower", -3.0, -1.0, 2.0, "drop"),
        ("no_difference", -0.1, 0.15, 0.2, "drop"),
        ("no_difference", -0.1, 0.25, 0.2, "cannot say"),
        ("no_difference", -2.5, 0.1, -2.0, "cannot say"),
        ("cannot_say", 0.0, 0.0, 0.2, "cannot say"),
    ],
)
def test_the_verdict_in_words(found: FoundWord, low: float, high: float, least: float, expected: str) -> None:
    assert rules.verdict(found, low, high, least) == expected
    assert rules.why(expected, found, least, "1")


@pytest.mark.mission("S95")
def test_too_little_data_gives_no_number() -> None:
    for ones, others in (([1.0, 2.0], [1.0, 2.0, 3.0, 4.0, 5.0]), ([1.0] * 6, [2.0] * 6)):
        told = estimates.welch(ones, others, "1", 0.95, 5)
        assert told.verdict == pb.ESTIMATE_VERDICT_CANNOT_SAY
        assert not any(told.HasField(field) for field in ("value", "low", "high", "p_value"))
    known = ExperimentRules()
    fixed = rules.stopping(known)
    assert rules.lacking(fixed, {"control": 10, "treatment": 10}, {"control": 8, "treatment": 7}) == "treatment"
    assert rules.lacking(fixed, {"control": 10, "treatment": 10}, {"control": 8, "treatment": 8}) == ""
    assert [rules.tenure(known, years) for years in (None, 0.5, 1, 7)] == ["?", "0", "1", "2"]


@pytest.mark.mission("S95")
@pytest.mark.parametrize(
    "body",
    [
        # Nothing would be left for the last look, once there is one on the way.
        {"interim_significance": 0.009, "significance": 0.01},
        {"significance": 0.2},
        {"power": 0.4},
        {"least_days": 200},
    ],
)
def test_rules_by_which_no_test_could_end_are_not_published(body: dict[str, float]) -> None:
    with pytest.raises(pydantic.ValidationError):
        ExperimentRules.model_validate(body)


def design(**fields: Any) -> pb.ExperimentDesign:
    fields.setdefault("metric_key", "visit_completion")
    fields.setdefault("least_effect", 0.2)
    fields.setdefault("assignment_unit", pb.ASSIGNMENT_UNIT_PERSON)
    return pb.ExperimentDesign(length=Duration(seconds=30 * 86400), **fields)


async def _visits(company: Company, first: date, better: set[str], weeks: int = 4) -> None:
    """Ten planned visits of each seller a week: half of them made, more or less; 8 or 9 by those who do better."""
    rows = []
    for place, person in enumerate(SELLERS):
        done = (8 + place % 2) if person in better else 4 + place % 3
        for week in range(weeks):
            begins = first + timedelta(weeks=week)
            rows += [
                {
                    **visit("rep1", begins, number, number < done, feedback="满意" if number < place % 4 else ""),
                    "owner_id": person,
                }
                for number in range(10)
            ]
    await remember(company, "activity", rows)


async def _moment(company: Company, at: datetime) -> None:
    company.live.process.time.stop_at(at)
    await company.live.settle()


async def _customers(company: Company) -> list[str]:
    """Twelve customers of the first seller, each visited one to three of four times."""
    ids = [f"0190a000-0000-7000-8000-0000000001{number:02}" for number in range(12)]
    rows = []
    for place, one in enumerate(ids):
        await company.live.hear(
            account(one, f"客户{place}", grade="A", ownership={"owner_id": "s00", "unit_id": "team1"})
        )
        rows += [
            {**visit("rep1", date(2025, 12, 9), number, done=number <= place % 3), "owner_id": "s00", "account_id": one}
            for number in range(4)
        ]
    await remember(company, "activity", rows)
    return ids


@pytest.mark.mission("S95")
async def test_a_test_is_fixed_begun_looked_at_and_concluded(company: Company) -> None:
    live, refused, me = company.live, company.live.refused, client(company)
    await live.organise(
        units=[("team2", "east", "team", "二队", "lead1")],
        people=[(one, ("team1", "team2")[place % 2], one, ["rep"]) for place, one in enumerate(SELLERS)],
    )
    await remember(
        company,
        "onboarding",
        [
            {"person_id": one, "version": 1, "unit_id": "team1", "start_date": date(2025 - place % 4, 1, 1),
             "style": "mixed", "guide_id": "", "leave_date": None, "updated_at": live.now}
            for place, one in enumerate(SELLERS[:30])
        ],
    )  # fmt: skip
    action, other = [
        await me.CreateManagementAction(
            pb.CreateManagementActionRequest(
                request_id=rid(), name=name, metric_key="visit_completion", core=True, start_date=day(2026, 1, 1)
            )
        )
        for name in ("每日晨会", "周复盘")
    ]

    async def create(action_id: str = action.id, **fields: Any) -> pb.Experiment:
        return await me.CreateExperiment(
            pb.CreateExperimentRequest(
                request_id=rid(), action_id=action_id, hypothesis="晨会提高拜访完成率", design=design(**fields)
            )
        )

    with refused("FAILED_PRECONDITION", "TOO_FEW_UNITS"):
        await create()
    await _visits(company, date(2025, 12, 8), set())
    for fields, reason in (
        ({"metric_key": "moon"}, "METRIC_UNKNOWN"),
        ({"least_effect": 0}, "EFFECT_MISSING"),
        ({"power_ratio": 0.3}, "POWER_OUT_OF_RANGE"),
        ({"significance_ratio": 0.5}, "SIGNIFICANCE_OUT_OF_RANGE"),
        ({"interim_looks": 20, "significance_ratio": 0.03}, "TOO_MANY_LOOKS"),
        ({"strata": ["star_sign"]}, "STRATUM_UNKNOWN"),
        ({"strata": ["grade"]}, "STRATUM_UNKNOWN"),
        ({"candidate_ids": ["nobody"]}, "UNIT_UNKNOWN"),
        ({"unit_id": "moon"}, "UNIT_UNKNOWN"),
        (
            {"assignment_unit": pb.ASSIGNMENT_UNIT_TEAM, "candidate_ids": ["east", "team1"]},
            "UNITS_OVERLAP",
        ),
    ):
        with refused("INVALID_ARGUMENT", reason):
            await create(**fields)
    for fields in ({"unit_id": "north"}, {"candidate_ids": ["rep2"]}):
        with refused("PERMISSION_DENIED"):
            await create(**fields)
    # Two teams are two: nothing can be said of them. An effect too small for forty people says so, with its power.
    for fields in ({"assignment_unit": pb.ASSIGNMENT_UNIT_TEAM}, {"least_effect": 0.01}):
        with refused("FAILED_PRECONDITION", "TOO_FEW_UNITS"):
            await create(**fields)
    draft = await create(strata=["unit", "tenure"], interim_looks=1)
    assert (draft.state, draft.design.power_ratio, draft.design.unit_id) == (pb.EXPERIMENT_STATE_DRAFT, 0.8, "east")
    assert (draft.baseline.sample_size, draft.baseline.method) == (40, "student_t")
    assert draft.baseline.low < 0.5 < draft.baseline.high
    assert draft.power_ratio > 0.99
    assert 0 < draft.detectable_effect < 0.2
    assert draft.needed_sample_size < 20
    assert draft.effect.verdict == pb.ESTIMATE_VERDICT_CANNOT_SAY
    assert "p < 0.049" in draft.stopping_rule
    assert not draft.arms

    start = pb.StartExperimentRequest(request_id=rid(), experiment_id=draft.id, etag="x", seed=2026)
    with refused("ABORTED", "ETAG_MISMATCH"):
        await me.StartExperiment(start)
    with refused("PERMISSION_DENIED"):
        await client(company, "m2").StartExperiment(start)
    start.etag = draft.etag
    running = await me.StartExperiment(start)
    control, treatment = running.arms
    assert (control.name, treatment.name, running.seed) == ("control", "treatment", 2026)
    assert (len(control.unit_ids), len(treatment.unit_ids)) == (20, 20)
    assert {*control.unit_ids, *treatment.unit_ids} == set(SELLERS)
    teams = [sum(SELLERS.index(one) % 2 for one in arm.unit_ids) for arm in running.arms]
    assert abs(teams[0] - teams[1]) <= 2, "both teams are on both sides"
    start.request_id, start.etag = rid(), running.etag
    with refused("FAILED_PRECONDITION", "EXPERIMENT_STARTED"):
        await me.StartExperiment(start)
    listed = await me.GetManagementAction(pb.GetManagementActionRequest(action_id=action.id))
    assert listed.experiment_id == running.id
    # Nobody is in two at a time: not he himself, nor by his customers.
    mine = {"assignment_unit": pb.ASSIGNMENT_UNIT_ACCOUNT, "candidate_ids": await _customers(company)}
    of_customers = await create(other.id, least_effect=0.5, strata=["grade"], **mine)
    assert of_customers.baseline.sample_size == 12
    with refused("FAILED_PRECONDITION", "UNIT_IN_ANOTHER_EXPERIMENT"):
        await me.StartExperiment(
            pb.StartExperimentRequest(request_id=rid(), experiment_id=of_customers.id, etag=of_customers.etag)
        )
    # By another rule of the company only tests of the same metric contradict each other; an action has one at a time.
    shelf = live.process.rulebooks
    given, beside = shelf.in_force, ExperimentRules(overlap="other_metric")
    shelf.in_force = lambda model, at: beside if model is ExperimentRules else given(model, at)  # type: ignore[method-assign]
    same = await create(other.id, least_effect=0.3)
    with refused("FAILED_PRECONDITION", "UNIT_IN_ANOTHER_EXPERIMENT"):
        await me.StartExperiment(pb.StartExperimentRequest(request_id=rid(), experiment_id=same.id, etag=same.etag))
    for tested, reason in ((action.id, "ACTION_UNDER_TEST"), (other.id, "")):
        draft = await create(tested, metric_key="feedback_collected", least_effect=0.3)
        start = pb.StartExperimentRequest(request_id=rid(), experiment_id=draft.id, etag=draft.etag)
        if reason:
            with refused("FAILED_PRECONDITION", reason):
                await me.StartExperiment(start)
    two = await me.StartExperiment(start)
    await me.ConcludeExperiment(
        pb.ConcludeExperimentRequest(request_id=rid(), experiment_id=two.id, etag=two.etag, stop_reason="只为试规则")
    )
    shelf.in_force = given  # type: ignore[method-assign]
    with refused("INVALID_ARGUMENT", "UNIT_UNKNOWN"):
        await create(assignment_unit=pb.ASSIGNMENT_UNIT_ACCOUNT, candidate_ids=["0190a000-0000-7000-8000-00000000ffff"])
    with refused("PERMISSION_DENIED"):
        await create(assignment_unit=pb.ASSIGNMENT_UNIT_ACCOUNT, candidate_ids=[NORTH])
    second = await create(other.id, candidate_ids=SELLERS[:20], least_effect=0.3)
    with refused("FAILED_PRECONDITION", "UNIT_IN_ANOTHER_EXPERIMENT"):
        await me.StartExperiment(pb.StartExperimentRequest(request_id=rid(), experiment_id=second.id, etag=second.etag))
    third = await create(least_effect=0.3)
    with refused("FAILED_PRECONDITION", "UNIT_IN_ANOTHER_EXPERIMENT"):
        await me.StartExperiment(pb.StartExperimentRequest(request_id=rid(), experiment_id=third.id, etag=third.etag))

    # What it ends by is what was fixed when it began, whatever the company's rules have become since.
    fixed = running.stopping_rule
    changed = ExperimentRules(significance=0.1, interim_significance=0.009, least_measured=1, least_units=1000)
    shelf.in_force = lambda model, at: changed if model is ExperimentRules else given(model, at)  # type: ignore[method-assign]
    with refused("INVALID_ARGUMENT", "TOO_MANY_LOOKS"):
        await create(interim_looks=6, least_effect=0.3)
    # Before the first look nothing is shown, and who ends it now learns nothing.
    await _visits(company, date(2026, 1, 6), set(treatment.unit_ids), weeks=2)
    await _moment(company, moment(date(2026, 1, 15), 9))
    seen = await me.GetExperiment(pb.GetExperimentRequest(experiment_id=running.id))
    assert (seen.effect.verdict, seen.effect.HasField("value")) == (pb.ESTIMATE_VERDICT_CANNOT_SAY, False)
    assert not any(arm.HasField("value") for arm in seen.arms)
    # At half time the difference is so clear that it may end.
    await _moment(company, moment(date(2026, 1, 21), 9))
    seen = await me.GetExperiment(pb.GetExperimentRequest(experiment_id=running.id))
    assert (seen.effect.verdict, seen.effect.method) == (pb.ESTIMATE_VERDICT_HIGHER, "welch_t")
    assert (seen.effect.confidence_ratio, seen.effect.sample_size) == (pytest.approx(0.999), 40)
    assert seen.effect.low < 0.35 < seen.effect.high
    assert seen.stopping_rule == fixed
    shelf.in_force = given  # type: ignore[method-assign]
    requested = await live.told(approvals.TaskRequested)
    for one in requested:
        protovalidate.validate(one)
    [task] = [one.content for one in requested if one.content.subject_id == running.id]
    assert (task.assignee_role, task.ownership.owner_id) == ("owner", "m1")
    end = pb.ConcludeExperimentRequest(request_id=rid(), experiment_id=running.id, etag=seen.etag)
    with refused("INVALID_ARGUMENT", "STOP_REASON_MISSING"):
        await me.ConcludeExperiment(end)
    end.stop_reason, end.request_id = "中途界限已达", rid()
    done = await me.ConcludeExperiment(end)
    assert done.state == pb.EXPERIMENT_STATE_CONCLUDED
    assert done.verdict.startswith("keep: it moves the metric the way it should; +0.3")
    assert "n = 40, welch_t" in done.verdict
    assert done.effect == seen.effect
    [withdrawn] = await live.told(approvals.TaskWithdrawn)
    assert withdrawn.cause_key == task.cause_key
    end.request_id = rid()
    with refused("FAILED_PRECONDITION", "EXPERIMENT_NOT_RUNNING"):
        await me.ConcludeExperiment(end)

    # The second test runs to its end, with nothing to find: planned for 0.3, which is ruled out.
    begun = await me.StartExperiment(
        pb.StartExperimentRequest(request_id=rid(), experiment_id=second.id, etag=second.etag, seed=1)
    )
    await _visits(company, date(2026, 1, 26), set())
    early = await me.GetExperiment(pb.GetExperimentRequest(experiment_id=begun.id))
    await _moment(company, moment(date(2026, 2, 21), 9))
    over = await me.ConcludeExperiment(
        pb.ConcludeExperimentRequest(request_id=rid(), experiment_id=begun.id, etag=early.etag)
    )
    assert over.effect.verdict == pb.ESTIMATE_VERDICT_NO_DIFFERENCE
    assert over.verdict.startswith("drop: an effect of 0.3 is ruled out")
    assert over.effect.confidence_ratio == pytest.approx(0.95)
    # A third, ended before its only look, says nothing.
    third = await me.GetExperiment(pb.GetExperimentRequest(experiment_id=third.id))
    begun = await me.StartExperiment(
        pb.StartExperimentRequest(request_id=rid(), experiment_id=third.id, etag=third.etag)
    )
    assert begun.seed > 0
    stopped = await me.ConcludeExperiment(
        pb.ConcludeExperimentRequest(request_id=rid(), experiment_id=begun.id, etag=begun.etag, stop_reason="部门重组")
    )
    assert stopped.verdict.startswith("cannot say")
    assert (stopped.effect.verdict, stopped.effect.HasField("value")) == (pb.ESTIMATE_VERDICT_CANNOT_SAY, False)

    boss = client(company, "boss", "executive")
    ran = await boss.ListExperiments(pb.ListExperimentsRequest(quarter=day(2026, 2, 1), unit_id="co"))
    assert {one.id for one in ran.experiments} == {running.id, second.id, third.id, two.id}
    none = await boss.ListExperiments(pb.ListExperimentsRequest(quarter=day(2025, 12, 1)))
    assert not none.experiments
    page = await boss.ListExperiments(pb.ListExperimentsRequest(page_size=1, action_id=action.id))
    assert len(page.experiments) == 1
    assert page.next_page_token
    assert not (await client(company, "m2").ListExperiments(pb.ListExperimentsRequest())).experiments
