"""Events told again, in any order and any number of times, leave every board as it would be from scratch."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from closedloop.approvals.v1 import events_pb2 as approvals
from closedloop.approvals.v1 import requests_pb2, tasks_pb2
from closedloop.common.v1.common_pb2 import Ownership
from closedloop.customers.v1 import events_pb2 as customers
from closedloop.funnel.v1 import events_pb2 as funnel
from closedloop.funnel.v1 import opportunities_pb2
from closedloop.integrations.v1 import events_pb2 as integrations
from closedloop.integrations.v1 import tickets_pb2
from closedloop.targets.v1 import actuals_pb2, boards_pb2, plans_pb2
from closedloop_chassis import protos
from closedloop_devstack.testing.service import Live

from .staff import request_id
from .test_actuals import ledger, won
from .test_boards import boards, in_force, people
from .test_plans import new_plan, plans, put, target
from .test_reviews import follow_up, prepared, record

REPS = ("rep1", "rep2", "rep3", "rep4")
FORGET = """
WITH a AS (DELETE FROM actual), b AS (DELETE FROM actual_source), c AS (DELETE FROM pipeline_deal),
     d AS (DELETE FROM account_copy), e AS (DELETE FROM account_deal), f AS (DELETE FROM account_meeting),
     g AS (DELETE FROM proof), h AS (DELETE FROM lead_fate),
     k AS (UPDATE key_action SET state = 'planned', evidence_kind = '', evidence = '', completed_at = NULL, verified_by = ''),
     m AS (DELETE FROM stock_days),
     n AS (UPDATE alarm SET state = 'open', responder_id = '', first_answered_at = NULL, cause = '', action = '',
                            check_date = NULL, task_id = ''),
     o AS (UPDATE sum_exception SET state = 'waiting', decided_by = '', decided_at = NULL, comment = '',
                                    approval_request_id = ''),
     p AS (UPDATE review_follow_up SET task_id = '', task_state = 'requested')
DELETE FROM inbox RETURNING 1
"""
ACTIONS = "SELECT id, state, evidence, completed_at FROM key_action ORDER BY id"
STOCK = "SELECT product_id, date, days, light FROM stock_days ORDER BY product_id"
ANSWERS = """
SELECT id, state, responder_id, first_answered_at, cause, action, check_date, task_id FROM alarm ORDER BY id
"""
SIGNATURES = "SELECT id, state, decided_by, decided_at, comment, approval_request_id FROM sum_exception ORDER BY id"
FOLLOW_UPS = "SELECT id, task_id, task_state FROM review_follow_up ORDER BY id"
PIPELINE = "SELECT id, owner_id, minor, probability, close_date FROM pipeline_deal WHERE open ORDER BY id"


def life(number: int, seed: random.Random) -> list[tuple[Any, str, str]]:
    """One deal: won, perhaps taken back and won again at another price; or an invoice that is booked anew."""
    deal, rep = f"deal-{number}", seed.choice(REPS)
    day = date(2026, 1, seed.randint(1, 5))
    if seed.random() < 0.3:
        return [
            (
                integrations.InvoiceRecorded(
                    number=deal, version=version, person_id=rep, unit_id="east-1",
                    net_amount=protos.money(seed.randint(1, 10**6), "CNY"), date=protos.date_proto(day),
                ),
                deal,
                "integrations",
            )
            for version in range(1, seed.randint(2, 4))
        ]  # fmt: skip
    told: list[Any] = [won(deal, seed.randint(100, 20_000), rep, 1, day)]
    for version in range(2, seed.randint(2, 5)):
        if version % 2 == 0:
            told.append(
                funnel.OpportunityReopened(
                    opportunity_id=deal, version=version, ownership=Ownership(owner_id=rep), reason="not signed"
                )
            )
        else:
            told.append(won(deal, seed.randint(100, 20_000), rep, version, day))
    return [(one, deal, "funnel") for one in told]


def customer(number: int, seed: random.Random) -> list[tuple[Any, str, str]]:
    """One customer: graded up and down, met, with a deal that climbs, and is won or lost in the end, or not."""
    account, deal, rep = f"account-{number}", f"open-{number}", seed.choice(REPS)
    owner = Ownership(owner_id=rep, unit_id="east-1")
    told: list[tuple[Any, str, str]] = [
        (
            customers.AccountChanged(
                account_id=account,
                name=f"{account} v{version}",
                grade=seed.choice("AAB"),
                version=version,
                ownership=owner,
            ),
            account,
            "customers",
        )
        for version in range(1, seed.randint(2, 5))
    ]
    versions = seed.randint(1, 4)
    for version in range(1, versions + 1):
        changed = funnel.OpportunityChanged(
            opportunity_id=deal, version=version, account_id=account, stage_key=f"stage-{version}",
            probability_ratio=version / 10, amount=protos.money(seed.randint(1, 10**7), "CNY"), ownership=owner,
            state=opportunities_pb2.OPPORTUNITY_STATE_OPEN, expected_close_date=protos.date_proto(date(2026, 2, version)),
            stage_enter_time=protos.timestamp(datetime(2026, 1, version, 9, tzinfo=UTC)),
        )  # fmt: skip
        told.append((changed, deal, "funnel"))
    if seed.random() < 0.3:
        lost = funnel.OpportunityLost(opportunity_id=deal, version=versions + 1, account_id=account)
        told.append((lost, deal, "funnel"))
    elif seed.random() < 0.4:
        told.append((won(deal, seed.randint(100, 20_000), rep, versions + 1, date(2026, 1, 5)), deal, "funnel"))
    for met in range(seed.randint(0, 2)):
        at = protos.timestamp(datetime(2026, 1, seed.randint(1, 4), 9, tzinfo=UTC))
        logged = funnel.ActivityLogged(
            activity_id=f"{account}-{met}",
            account_id=account,
            effective=seed.random() < 0.7,
            start_time=at,
            ownership=owner,
        )
        told.append((logged, logged.activity_id, "funnel"))
    return told


def process(rep: str, seed: random.Random) -> list[tuple[Any, str, str]]:
    """A week of process metrics, measured again and again."""
    week = date(2025, 12, 29)
    return [
        (
            funnel.ProcessMetricsMeasured(
                person_id=rep, unit_id="east-1", week=protos.date_proto(week), version=version,
                metrics=[
                    funnel.MeasuredMetric(key=key, value=seed.randint(0, 20), sample_size=seed.randint(1, 9))
                    for key in ("new_opportunities", "visit_quality")
                ],
            ),
            f"{rep}:{week}",
            "funnel",
        )
        for version in range(1, seed.randint(2, 4))
    ]  # fmt: skip


def deeds(rep: str, seed: random.Random) -> list[tuple[Any, str, str]]:
    """Activities around the day of a rep's key actions: several that may prove one, some found false later, or true again."""
    told: list[tuple[Any, str, str]] = []
    for number in range(seed.randint(1, 4)):
        name, day = f"deed-{rep}-{number}", seed.randint(1, 27)
        keys = seed.sample(["needs_diagnosis", "competitor_comparison", "custom_demo"], seed.randint(1, 3))
        for version in range(1, seed.randint(2, 4)):
            logged = funnel.ActivityLogged(
                activity_id=name,
                ownership=Ownership(owner_id=rep, unit_id="east-1"),
                start_time=protos.timestamp(datetime(2026, 2, day, 2, tzinfo=UTC)),
                verified_action_unit_keys=keys,
                effective=seed.random() < 0.7,
                version=version,
            )
            told.append((logged, name, "funnel"))
    return told


def care(rep: str, seed: random.Random) -> list[tuple[Any, str, str]]:
    """How a rep keeps what he owns, measured anew within one second."""
    return [
        (
            customers.StewardshipMeasured(
                ownership=Ownership(owner_id=rep, unit_id="east-1"), month=protos.date_proto(date(2025, 12, 1)),
                accounts=seed.randint(1, 9), fresh_ratio=seed.random(), fill_ratio=1.0, resolved_ratio=1.0,
                version=1_767_229_200_000_000 + version,
            ),
            rep,
            "customers",
        )
        for version in range(1, seed.randint(2, 4))
    ]  # fmt: skip


# The first lead, order and ticket have figures whatever the seed.


def lead(number: int, seed: random.Random) -> list[tuple[Any, str, str]]:
    """An inquiry that is answered, by one person and then rather by another, and becomes an opportunity, or an account, or
    nothing."""
    name, came = f"lead-{number}", datetime(2026, 1, seed.randint(1, 3), 9, tzinfo=UTC)
    told: list[Any] = [customers.LeadReceived(lead_id=name, receive_time=protos.timestamp(came))]
    for version in range(1, seed.randint(1 if number else 2, 4)):
        rep, hours = seed.choice(REPS), timedelta(hours=seed.randint(1, 30))
        told.append(
            customers.LeadResponded(
                lead_id=name, ownership=Ownership(owner_id=rep, unit_id="east-1"), version=version,
                receive_time=protos.timestamp(came), respond_time=protos.timestamp(came + hours),
            )
        )  # fmt: skip
    if seed.random() < 0.6:
        told.append(customers.LeadConverted(lead_id=name, open_opportunity=seed.random() < 0.7, version=9))
    return [(one, name, "customers") for one in told]


def order(number: int, seed: random.Random) -> list[tuple[Any, str, str]]:
    """Promised, delivered on its day or after, perhaps cancelled, perhaps booked anew."""
    told = []
    for version in range(1, seed.randint(2, 5)):
        recorded = integrations.OrderRecorded(
            number=f"order-{number}", version=version, cancelled=number > 0 and seed.random() < 0.2,
            promised_date=protos.date_proto(date(2026, 1, 3)),
        )  # fmt: skip
        if number == 0 or seed.random() < 0.7:
            recorded.delivered_date.CopyFrom(protos.date_proto(date(2026, 1, seed.randint(2, 5))))
        told.append((recorded, recorded.number, "integrations"))
    return told


def ticket(number: int, seed: random.Random) -> list[tuple[Any, str, str]]:
    """Opened, resolved within the same second or days later, opened again, closed."""
    opened = datetime(2026, 1, 1, 8, tzinfo=UTC)
    told, at = [], opened
    states = (tickets_pb2.TICKET_STATE_OPEN, tickets_pb2.TICKET_STATE_RESOLVED, tickets_pb2.TICKET_STATE_OPEN, 4)
    for state in states[: seed.randint(1, 4) if number else 4]:
        one = tickets_pb2.Ticket(
            id=f"ticket-{number}", state=state, open_time=protos.timestamp(opened), update_time=protos.timestamp(at)
        )
        if state in (tickets_pb2.TICKET_STATE_RESOLVED, tickets_pb2.TICKET_STATE_CLOSED):
            one.resolve_time.CopyFrom(protos.timestamp(at))
        told.append((integrations.TicketReceived(ticket=one), one.id, "integrations"))
        # Within the second only forwards: who opens again takes a moment.
        late = timedelta(hours=seed.randint(1, 20))
        at += late if state != tickets_pb2.TICKET_STATE_OPEN or seed.random() < 0.6 else timedelta(0)
    return told


def stock(number: int, seed: random.Random) -> list[tuple[Any, str, str]]:
    """How long a product's stock lasts, day by day, a day counted twice."""
    told = []
    for day in (1, 2, 2, 3, 3)[: seed.randint(2, 5)]:
        said = integrations.StockDaysChanged(
            product_id=f"product-{number}",
            date=protos.date_proto(date(2026, 1, day)),
            light=seed.randint(1, 4),  # type: ignore[arg-type]
        )
        if seed.random() < 0.8:
            said.days = seed.randint(5, 120)
        told.append((said, said.product_id, "integrations"))
    return told


def signature(number: int, subject: requests_pb2.Subject, seed: random.Random) -> list[tuple[Any, str, str]]:
    """An exception on its way to its signers, and signed, refused, sent back or taken back; or it goes on waiting."""
    request = f"request-{subject.id}"
    told: list[Any] = [approvals.RequestOpened(request_id=request, subject=subject)]
    end = seed.choice(("signed", "refused", "returned", "recalled", "")[: 5 if number else 4])
    if end in ("signed", "refused"):
        state = requests_pb2.REQUEST_STATE_APPROVED if end == "signed" else requests_pb2.REQUEST_STATE_REJECTED
        at = protos.timestamp(datetime(2026, 1, 12, seed.randint(1, 9), tzinfo=UTC))
        told.append(
            approvals.RequestDecided(
                request_id=request, subject=subject, state=state, decided_by="boss", decide_time=at, comment=end
            )
        )
    if end == "returned":
        told.append(approvals.RequestReturned(request_id=request, subject=subject, returned_by="boss", comment="why?"))
    if end == "recalled" or (end == "returned" and seed.random() < 0.5):
        told.append(approvals.RequestRecalled(request_id=request, subject=subject, submitter_id="ops", reason="no"))
    return [(one, subject.id, "approvals") for one in told]


def tasks(alarm_id: str, seed: random.Random) -> list[tuple[Any, str, str]]:
    """Tasks of one alarm, of whoever was asked in turn: withdrawn, or done by one, or by two."""
    told = []
    for level in range(seed.randint(1, 3)):
        settled = approvals.TaskSettled(
            task_id=f"task-{alarm_id}-{level}", origin="targets", subject_type="alarm", subject_id=alarm_id,
            state=tasks_pb2.TASK_STATE_DONE if seed.random() < 0.7 else tasks_pb2.TASK_STATE_WITHDRAWN,
            settled_by=f"owner-{level}", comment=f"done by {level}",
            response_time=protos.timestamp(datetime(2026, 1, 12, seed.randint(1, 3), tzinfo=UTC)),
        )  # fmt: skip
        told.append((settled, alarm_id, "approvals"))
    return told


def follow_ups(follow_up_id: str, seed: random.Random) -> list[tuple[Any, str, str]]:
    state = seed.choice((tasks_pb2.TASK_STATE_DONE, tasks_pb2.TASK_STATE_CANCELLED, 0))
    settled = approvals.TaskSettled(
        task_id=f"task-{follow_up_id}", origin="targets", subject_type="review_follow_up", subject_id=follow_up_id,
        state=state,
    )  # fmt: skip
    return [(settled, follow_up_id, "approvals")] if state else []


MEASURED = (
    "visit_quality", "customer_care", "first_response", "lead_conversion", "on_time_delivery", "resolution_time",
)  # fmt: skip


async def board(live: Live) -> dict[str, Any]:
    """Everything people look at: people, ranking, key customers, neighbours, process metrics, pipeline."""
    found: dict[str, Any] = {}
    for metric in ("won_value", "invoiced_value", "new_opportunities"):
        for name, one in (await people(live, metric=metric)).items():
            found[f"{metric}:{name}"] = one.SerializeToString(deterministic=True)
    ranked = await boards(live).ListTeamRanking(boards_pb2.ListTeamRankingRequest(view=boards_pb2.BOARD_VIEW_LIVE))
    found["ranking"] = [one.SerializeToString(deterministic=True) for one in ranked.ranks]
    key = await boards(live).ListKeyCustomers(boards_pb2.ListKeyCustomersRequest(page_size=1000))
    found["customers"] = [one.SerializeToString(deterministic=True) for one in key.customers]
    request = boards_pb2.ListAlignmentRequest(view=boards_pb2.BOARD_VIEW_LIVE)
    lines = (await boards(live).ListAlignment(request)).lines
    found["alignment"] = [one.SerializeToString(deterministic=True) for one in lines]
    for metric in MEASURED:
        summing = actuals_pb2.SummarizeActualsRequest(
            filter=actuals_pb2.ActualFilter(metrics=[metric]), group_by=[actuals_pb2.ACTUAL_DIMENSION_PERSON]
        )
        summed = await ledger(live).SummarizeActuals(summing)
        found[metric] = [one.SerializeToString(deterministic=True) for one in summed.sums]
    found["pipeline"] = await live.db.all(PIPELINE)
    for name, sql in {
        "actions": ACTIONS,
        "stock": STOCK,
        "answers": ANSWERS,
        "signatures": SIGNATURES,
        "follow_ups": FOLLOW_UPS,
    }.items():
        found[name] = await live.db.all(sql)
    return found


@pytest.mark.mission("S10", "S11", "S12", "S17")
@given(st.integers(0, 2**32))
@settings(max_examples=4, deadline=None, suppress_health_check=list(HealthCheck))
def test_the_board_after_a_replay_is_the_board_from_scratch(replays: Any, number: int) -> None:
    replays(number)


async def people_are_asked(live: Live) -> tuple[list[str], list[str], list[requests_pb2.Subject]]:
    """A plan in force whose first week nobody reached: alarms, follow-ups of a review; and a draft that does not sum."""
    await in_force(live)
    await live.move_to(datetime(2026, 1, 12, 10, tzinfo=ZoneInfo("Asia/Shanghai")))
    alarms_ = await live.db.all("SELECT id::text AS id FROM alarm ORDER BY id")
    pack = await prepared(live, "east-1", "2026-F01")
    await record(live, pack, follow_ups=[follow_up("visit them"), follow_up("write the logs")])
    draft = await new_plan(live, period="2026-Q2", name="Q2")
    sums = (("co", 100), ("east", 60), ("north", 30), ("east-1", 20), ("north-1", 10))
    await put(live, draft, *(target(amount, unit=unit, period="2026-Q2") for unit, amount in sums))
    for held in (await plans(live).ListTargets(plans_pb2.ListTargetsRequest(plan_id=draft.id, version=1))).targets:
        if held.HasField("difference"):
            ask = plans_pb2.RequestSumExceptionRequest(request_id=request_id(), target_id=held.id, reason="new market")
            await plans(live).RequestSumException(ask)
    subjects = [one.subject for one in await live.told(approvals.ApprovalRequested)]
    assert len(subjects) == 3
    assert len(alarms_) >= 4
    given = await live.db.all("SELECT id::text AS id FROM review_follow_up ORDER BY id")
    return [one["id"] for one in alarms_], [one["id"] for one in given], subjects


@pytest.fixture
def replays(company: Live) -> Any:
    """Runs one case on the test's own loop; the plan is published once."""
    import asyncio

    loop = asyncio.get_event_loop_policy().get_event_loop()
    alarms_, follow_ups_, subjects = loop.run_until_complete(people_are_asked(company))

    async def case(number: int) -> None:
        seed = random.Random(number)
        events = [one for deal in range(6) for one in life(deal, seed)]
        events += [one for account in range(3) for one in customer(account, seed)]
        events += [one for rep in REPS for one in (*process(rep, seed), *deeds(rep, seed), *care(rep, seed))]
        events += [one for number in range(3) for make in (lead, order, ticket) for one in make(number, seed)]
        events += [one for number in range(2) for one in stock(number, seed)]
        events += [one for number, subject in enumerate(subjects) for one in signature(number, subject, seed)]
        events += [one for alarm_id in alarms_ for one in tasks(alarm_id, seed)]
        events += [one for follow_up_id in follow_ups_ for one in follow_ups(follow_up_id, seed)]
        await company.db.all(FORGET)
        for message, subject, source in events:
            await company.hear(message, subject, source=source)
        scratch = await board(company)
        assert all(scratch[metric] for metric in MEASURED)
        assert scratch["actions"]
        assert scratch["stock"]
        assert {one["state"] for one in scratch["signatures"]} - {"waiting"}
        assert any(one["task_id"] for one in scratch["answers"])
        await company.db.all(FORGET)
        again = [one for one in events for _ in range(seed.randint(1, 3))]
        seed.shuffle(again)
        for message, subject, source in again:
            await company.hear(message, subject, source=source)
        replayed = await board(company)
        assert {key for key, value in replayed.items() if value != scratch[key]} == set()
        assert replayed.keys() == scratch.keys()

    return lambda number: loop.run_until_complete(case(number))
