"""Managers certified on real figures of their own unit: what is right follows from the figures, the rest a person grades (S99)."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from closedloop.approvals.v1 import events_pb2 as approvals
from closedloop.funnel.v1 import certifications_pb2 as pb
from closedloop.funnel.v1 import certifications_pb2_grpc as rpc
from closedloop_funnel.certifications.rules import CertificationRules, graded, sample_size, settled, subjects

from .conftest import Company, remember, rid
from .raw_history import moment
from .test_effects import stay

OTHER = "0190a000-0000-7000-8000-00000000ffff"
RIGHT = {
    "本期赢单率": "50%",
    "变化了多少": "30",
    "积压": "need",
    "偶然": "确有上升",
    "随机分到": "整个团队",
}


@pytest.mark.mission("S99")
def test_the_sample_size_is_that_of_the_tables() -> None:
    """Cohen 1988, table 6.4.1: at a power of 0.80 an effect of h = 0.20 takes 392 on each side, h = 0.50 63."""
    assert sample_size(0.5, 0.1, 0.8, 0.05) == 388, "h = 0.2014"
    assert sample_size(0.5, 0.2397, 0.8, 0.05) == 63
    assert sample_size(1.0, 0.1, 0.8, 0.05) == sample_size(0.9, 0.1, 0.8, 0.05), "more than all is not to be had"


@pytest.mark.mission("S99")
def test_answers_are_graded_where_one_is_right() -> None:
    number = {"kind": "number", "right": 50.0, "tolerance": 2.0}
    assert [graded(number, said) for said in ("50", " 51.9 % ", "53", "一半", "1,000")] == [100, 100, 0, 0, 0]
    choice = {"kind": "choice", "right": "need"}
    assert [graded(choice, said) for said in ("need", "demo", "")] == [100, 0, 0]
    assert [graded({"kind": "free"}, said) for said in ("对照组", " ")] == [None, 0]
    sat = [{"subject": "a", "grade": 100}, {"subject": "a", "grade": 40}, {"subject": "b", "grade": None}]
    assert subjects(sat) == {"a": 70, "b": None}
    rules = CertificationRules()
    assert settled(rules, sat) == "submitted"
    assert settled(rules, sat[:2]) == "passed"
    assert settled(rules, [{"subject": "a", "grade": 69}]) == "failed"


def client(company: Company, person: str = "m1", role: str = "manager") -> rpc.CertificationServiceStub:
    return company.live.stub(rpc.CertificationServiceStub, person, role)


async def _figures(company: Company) -> None:
    """20 of 100 won before, 50 of 100 now; three deals stand in need, one in proposal."""
    deals = []
    for number in range(200):
        later = number >= 100
        deal, _ = stay(date(2026, 6, 10) if later else date(2026, 3, 10), went_on=False)
        won = number % 100 < (50 if later else 20)
        at = moment(date(2026, 6, 10) if later else date(2026, 3, 10), 12)
        deals.append({**deal, "state": "won" if won else "lost", "closed_at": at, "close_date": at.date()})
    for stage in ("need", "need", "need", "proposal"):
        deal, _ = stay(date(2026, 6, 1), went_on=True)
        deals.append({**deal, "stage_key": stage})
    await remember(company, "opportunity", deals)


def answers(sitting: pb.Certification, free: str = "对照组与停止规则", **wrong: str) -> list[pb.ExerciseAnswer]:
    given = []
    for one in sitting.exercises:
        known = next((said for part, said in {**RIGHT, **wrong}.items() if part in one.question), None)
        if known is None:
            known = "388" if "每组至少" in one.question else free
        given.append(pb.ExerciseAnswer(exercise_id=one.id, answer=known))
    return given


def handed(sitting: pb.Certification, given: list[pb.ExerciseAnswer]) -> pb.SubmitCertificationRequest:
    return pb.SubmitCertificationRequest(
        request_id=rid(), certification_id=sitting.id, etag=sitting.etag, answers=given
    )


@pytest.mark.mission("S99")
async def test_a_manager_reads_his_own_figures_and_somebody_else_grades_the_rest(company: Company) -> None:
    live, refused, me = company.live, company.live.refused, client(company)
    live.process.time.stop_at(moment(date(2026, 7, 1), 9))

    async def start(**fields: Any) -> pb.Certification:
        return await me.StartCertification(pb.StartCertificationRequest(request_id=rid(), **fields))

    with refused("FAILED_PRECONDITION", "TOO_LITTLE_DATA"):
        await start()
    await _figures(company)
    sitting = await start()
    assert len(sitting.exercises) == 8
    assert (sitting.state, sitting.due_time.seconds - sitting.start_time.seconds) == (
        pb.CERTIFICATION_STATE_RUNNING,
        7200,
    )
    assert {figure.name: figure.value for figure in sitting.exercises[0].figures} == {"本期关单": 100, "本期赢单": 50}
    assert not any(one.solution or one.HasField("grade") for one in sitting.exercises)
    with refused("FAILED_PRECONDITION", "CERTIFICATION_RUNNING"):
        await start()
    stray = pb.ExerciseAnswer(exercise_id=OTHER, answer="x")
    with refused("INVALID_ARGUMENT", "EXERCISE_UNKNOWN"):
        await me.SubmitCertification(handed(sitting, [stray]))
    with refused("PERMISSION_DENIED"):
        await client(company, "lead1").SubmitCertification(handed(sitting, [stray]))
    done = await me.SubmitCertification(handed(sitting, answers(sitting)))
    assert done.state == pb.CERTIFICATION_STATE_SUBMITTED
    assert not any(one.solution for one in done.exercises), "not before all of it is graded"
    [task] = [one.content for one in await live.told(approvals.TaskRequested) if one.content.subject_id == sitting.id]
    assert (task.assignee_role, task.ownership.owner_id) == ("manager_of_owner", "m1")

    free = [
        one.id for one in done.exercises if not one.choices and ("证据" in one.question or "停止规则" in one.question)
    ]
    assert len(free) == 2

    def grade(etag: str, ids: list[str], value: float = 80) -> pb.GradeCertificationRequest:
        return pb.GradeCertificationRequest(
            request_id=rid(),
            certification_id=sitting.id,
            etag=etag,
            grades=[pb.ExerciseGrade(exercise_id=one, grade=value, comment="可以") for one in ids],
        )

    boss = client(company, "boss")
    with refused("PERMISSION_DENIED", "OWN_CERTIFICATION"):
        await me.GradeCertification(grade(done.etag, free))
    with refused("INVALID_ARGUMENT", "GRADES_MISSING"):
        await boss.GradeCertification(grade(done.etag, free[:1]))
    with refused("INVALID_ARGUMENT", "GRADE_FIXED"):
        await boss.GradeCertification(grade(done.etag, [done.exercises[0].id]))
    with refused("ABORTED", "ETAG_MISMATCH"):
        await boss.GradeCertification(grade(sitting.etag, free))
    passed = await boss.GradeCertification(grade(done.etag, free))
    assert passed.state == pb.CERTIFICATION_STATE_PASSED
    assert (passed.valid_until_date.year, passed.valid_until_date.month) == (2027, 7)
    assert [one.grade for one in passed.grades] == pytest.approx([100, 90, 280 / 3])
    assert all(one.passed for one in passed.grades)
    assert "+30.0 个百分点" in passed.exercises[1].solution
    assert "388" in next(one.solution for one in passed.exercises if "每组至少" in one.question)
    with refused("FAILED_PRECONDITION", "NOTHING_TO_GRADE"):
        await boss.GradeCertification(grade(passed.etag, free))

    # Somebody else fails at what has one right answer, and waits; and one that nobody hands in is over.
    other = client(company, "lead1")
    ask = pb.StartCertificationRequest(request_id=rid(), subjects=[pb.CERTIFICATION_SUBJECT_READING_METRICS])
    with refused("INVALID_ARGUMENT", "SUBJECTS_MISSING"):
        await other.StartCertification(ask)
    ask.ClearField("subjects")
    ask.request_id = rid()
    wrong = await other.StartCertification(ask)
    failed = await other.SubmitCertification(handed(wrong, answers(wrong, "", 本期赢单率="20")))
    assert (failed.state, failed.grades[0].passed) == (pb.CERTIFICATION_STATE_FAILED, False)
    ask.request_id = rid()
    with refused("FAILED_PRECONDITION", "RETRY_TOO_EARLY"):
        await other.StartCertification(ask)
    live.process.time.stop_at(live.now + timedelta(days=15))
    ask.request_id = rid()
    late = await other.StartCertification(ask)
    live.process.time.stop_at(live.now + timedelta(hours=3))
    with refused("FAILED_PRECONDITION", "TIME_OVER"):
        await other.SubmitCertification(handed(late, answers(late)))
    # Whoever has read the exercises and lets the time run out waits as well.
    ask.request_id = rid()
    with refused("FAILED_PRECONDITION", "RETRY_TOO_EARLY"):
        await other.StartCertification(ask)
    listed = await boss.ListCertifications(pb.ListCertificationsRequest(unit_id="co"))
    states = {
        (one.person_id, pb.CertificationState.Name(one.state)[20:], len(one.exercises)) for one in listed.certifications
    }
    assert states == {("lead1", "EXPIRED", 0), ("lead1", "FAILED", 0), ("m1", "PASSED", 0)}
    assert listed.certifications[0].id == late.id
    with refused("PERMISSION_DENIED"):
        await client(company, "m2").GetCertification(pb.GetCertificationRequest(certification_id=sitting.id))
