"""Neighbours beside what they drive: the tie is stated with its sample, or it says that it cannot be."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import pytest
from google.type.decimal_pb2 import Decimal as DecimalProto

from closedloop.common.v1.common_pb2 import LIGHT_NONE, LIGHT_RED, LIGHT_UNSPECIFIED, LIGHT_YELLOW
from closedloop.customers.v1 import events_pb2 as customers
from closedloop.integrations.v1 import events_pb2 as integrations
from closedloop.integrations.v1 import tickets_pb2
from closedloop.targets.v1 import alarms_pb2, cascade_pb2, metrics_pb2, plans_pb2
from closedloop.targets.v1 import boards_pb2 as pb
from closedloop_chassis import protos
from closedloop_devstack.testing.service import Live
from closedloop_targets.alignment import rules
from closedloop_targets.alignment.rules import AlignmentRules

from .test_actuals import fact, import_facts
from .test_alarms import SHANGHAI, listed, monday
from .test_boards import boards
from .test_cascade import split
from .test_plans import cny, new_plan, publish, set_, target

RULES = AlignmentRules()


@pytest.mark.mission("S18")
def test_a_tie_is_stated_with_its_interval_or_not_at_all() -> None:
    months = [0.10, 0.12, 0.11, 0.15, 0.18, 0.17, 0.20, 0.22, 0.25, 0.24]
    together = rules.tie(months, [value * 4 + 0.1 for value in months], 6, 0.95)
    assert together.correlation == pytest.approx(1)
    assert together.lower > 0.8
    assert together.verdict.startswith("they rise and fall together")
    against = rules.tie(months, [1 - value for value in months], 6, 0.95)
    assert (against.correlation, against.upper < -0.8) == (pytest.approx(-1), True)
    chance = rules.tie(months, [0.5, 0.9, 0.2, 0.7, 0.3, 0.8, 0.1, 0.6, 0.4, 0.7], 6, 0.95)
    assert chance.verdict.startswith("no tie that can be told from chance")
    few = rules.tie([*months[:5], None, 0.3], [1.0] * 5 + [1.0, None], 6, 0.95)
    assert (few.correlation, few.sample) == (None, 5)
    assert few.verdict == "cannot say: 5 months are known, 6 are needed"
    assert rules.tie(months, [1.0] * 10, 6, 0.95).verdict.startswith("cannot say: one of the two stood still")
    assert rules.ranks([3, 1, 3, 2]) == [3.5, 1, 3.5, 2]


@pytest.mark.mission("S18")
@pytest.mark.parametrize(
    ("value", "goal", "lower_is_better", "light"),
    [
        (95, 100, False, "none"), (94, 100, False, "blue"), (89, 100, False, "yellow"), (79, 100, False, "red"),
        (130, 100, False, "none"), (105, 100, True, "none"), (121, 100, True, "red"), (50, 100, True, "none"),
        (None, 100, False, "none"), (5, None, False, "none"),
    ],
)  # fmt: skip
def test_lights_of_neighbours(value: int | None, goal: int | None, lower_is_better: bool, light: str) -> None:
    assert rules.light(value, goal, lower_is_better, RULES) == light


def figure(metric: str, value: float, day: date, unit: str = "co") -> Any:
    number = metrics_pb2.Amount(number=DecimalProto(value=str(value)))
    holder = plans_pb2.Holder(unit_id=unit)
    return fact(f"{metric}-{day}", metric=metric, holder=holder, day=day, amount=number)


async def alignment(live: Live, **more: Any) -> dict[str, pb.Alignment]:
    request = pb.ListAlignmentRequest(**{"view": pb.BOARD_VIEW_LIVE, **more})
    return {one.metric: one for one in (await boards(live, "boss", "executive").ListAlignment(request)).lines}


@pytest.mark.mission("S18")
async def test_what_marketing_supply_and_support_do_stands_beside_the_attainment_they_drive(company: Live) -> None:
    plan = await new_plan(company, period="2025", name="2025")
    top = await set_(company, plan, target(1_200_000, unit="co", period="2025"))
    await split(company, top, cascade_pb2.CascadeRules())
    await publish(company, plan, effective_date=protos.date_proto(date(2025, 1, 1)))
    quarter = await new_plan(company)
    top = await set_(company, quarter, target(400_000, unit="co"))
    await split(company, top, cascade_pb2.CascadeRules())
    await publish(company, quarter)
    await company.settle()
    rows = []
    for month in range(1, 13):
        # More leads turn into deals as the year goes on, and more is won; delivery goes up and down as it likes.
        day = date(2025, month, 15)
        rows += [
            fact(f"won-{month}", 50_000 + 5_000 * month, "rep1", day),
            figure("lead_conversion", round(0.10 + month / 100, 4), day),
            figure("on_time_delivery", round(0.9 + (month * 7 % 5) / 50, 4), day),
        ]
    rows += [figure("lead_conversion", 0.16, date(2026, 1, 5)), figure("resolution_time", 26, date(2026, 1, 5))]
    summary = await import_facts(company, *rows)
    assert not summary.errors, summary.errors

    found = await alignment(company)
    assert list(found) == ["lead_conversion", "on_time_delivery", "resolution_time"]
    leads = found["lead_conversion"]
    assert (leads.value.number.value, leads.target.number.value, leads.light) == ("0.16", "0.2", LIGHT_YELLOW)
    assert (leads.driven_unit_id, leads.driven_metric) == ("co", "won_value")
    assert leads.association.sample_size == 12
    assert leads.association.correlation > 0.9
    assert leads.association.verdict.startswith("they rise and fall together")
    assert found["on_time_delivery"].association.verdict.startswith("no tie that can be told from chance")
    assert not found["on_time_delivery"].HasField("value")
    support = found["resolution_time"]
    assert support.association.verdict == "cannot say: 0 months are known, 6 are needed"
    assert support.light not in (LIGHT_UNSPECIFIED, LIGHT_NONE)
    # Of a unit that did nothing the whole year, attainment stands still.
    north = await alignment(company, unit_id="north")
    assert north["lead_conversion"].association.verdict.startswith("cannot say: one of the two stood still")
    assert found["lead_conversion"].attainment_ratio == 0

    with company.refused("NOT_FOUND", "SNAPSHOT_NOT_FOUND"):
        await alignment(company, view=pb.BOARD_VIEW_SNAPSHOT)
    # Taken every morning; on Mondays whoever answers is warned, once.
    await company.move_to(datetime(2026, 1, 6, 7, tzinfo=SHANGHAI))
    taken = await alignment(company, view=pb.BOARD_VIEW_SNAPSHOT)
    assert taken["lead_conversion"] == leads
    lines = await company.db.all("SELECT * FROM report.alignment ORDER BY place")
    assert [line["metric"] for line in lines] == list(found)
    first = lines[0]
    assert (float(first["value"]), float(first["target"]), first["light"]) == (0.16, 0.2, "yellow")
    assert (first["correlation"], first["months"]) == (leads.association.correlation, 12)
    assert not await listed(company, kinds=[alarms_pb2.ALARM_KIND_ALIGNMENT])
    await import_facts(company, figure("resolution_time", 40, date(2026, 1, 6)))
    await company.move_to(monday(3))
    warned = {one.metric: one for one in await listed(company, kinds=[alarms_pb2.ALARM_KIND_ALIGNMENT])}
    assert {name: one.light for name, one in warned.items()} == {
        "lead_conversion": LIGHT_YELLOW, "resolution_time": LIGHT_RED,
    }  # fmt: skip
    assert {one.ownership.owner_id for one in warned.values()} == {"boss"}
    assert "33 where 24 is the target" in warned["resolution_time"].message
    await import_facts(company, figure("lead_conversion", 0.26, date(2026, 1, 12)))
    await company.move_to(monday(4))
    still = await listed(company, kinds=[alarms_pb2.ALARM_KIND_ALIGNMENT], states=[alarms_pb2.ALARM_STATE_OPEN])
    assert [one.metric for one in still] == ["resolution_time"]
    assert still[0].repeat_count == 1
    page = await boards(company).ListAlignment(pb.ListAlignmentRequest(page_size=2))
    rest = await boards(company).ListAlignment(pb.ListAlignmentRequest(page_token=page.next_page_token))
    assert [one.metric for one in (*page.lines, *rest.lines)] == list(found)
    with company.refused("NOT_FOUND", "UNIT_NOT_FOUND"):
        await alignment(company, unit_id="west")
    with company.refused("INVALID_ARGUMENT", "UNKNOWN_METRIC"):
        await alignment(company, driven_metric="charm")


@pytest.mark.mission("S18")
@pytest.mark.parametrize("order", [1, -1], ids=["as it happened", "backwards"])
async def test_neighbours_own_systems_tell_what_they_do(company: Live, order: int) -> None:
    def at(day: int, hour: int = 9) -> Any:
        return protos.timestamp(datetime(2026, 1, day, hour, tzinfo=SHANGHAI))

    def lead(number: str, day: int) -> Any:
        return customers.LeadReceived(lead_id=number, receive_time=at(day))

    def turned(number: str, opens: bool = True) -> Any:
        return customers.LeadConverted(lead_id=number, open_opportunity=opens, version=3)

    def order_(number: str, promised: int, delivered: int, version: int = 1, **more: Any) -> Any:
        said = {"promised_date": date(2026, 1, promised), "delivered_date": date(2026, 1, delivered)}
        days = {name: protos.date_proto(day) for name, day in said.items()}
        return integrations.OrderRecorded(number=number, version=version, **days, **more)

    def ticket(number: str, hours: int, minute: int = 0, state: int = tickets_pb2.TICKET_STATE_RESOLVED) -> Any:
        opened = datetime(2026, 1, 2, 9, tzinfo=SHANGHAI)
        said = tickets_pb2.Ticket(id=number, number=number, state=state, open_time=protos.timestamp(opened))
        if state == tickets_pb2.TICKET_STATE_RESOLVED:
            said.resolve_time.CopyFrom(protos.timestamp(opened + timedelta(hours=hours)))
        said.update_time.CopyFrom(protos.timestamp(opened + timedelta(hours=hours, minutes=minute)))
        return integrations.TicketReceived(ticket=said)

    told = [
        *(("customers", f"l{number}", lead(f"l{number}", 2)) for number in range(1, 6)),
        ("customers", "l1", turned("l1")),
        ("customers", "l2", turned("l2", opens=False)),
        ("integrations", "A", order_("A", 3, 3)),
        ("integrations", "B", order_("B", 2, 4)),
        ("integrations", "B", order_("B", 4, 4, version=2)),
        ("integrations", "C", order_("C", 2, 3)),
        ("integrations", "D", order_("D", 2, 2, cancelled=True)),
        ("integrations", "t1", ticket("t1", 10)),
        ("integrations", "t2", ticket("t2", 20)),
        ("integrations", "t2", ticket("t2", 21, 1, tickets_pb2.TICKET_STATE_OPEN)),
        ("integrations", "t2", ticket("t2", 30, 2)),
        ("integrations", "t3", ticket("t3", 40)),
        ("integrations", "t3", ticket("t3", 41, 1, tickets_pb2.TICKET_STATE_OPEN)),
    ]
    for source, subject, message in (*told[::order], *told):
        await company.hear(message, subject, source=source)
    found = await alignment(company)
    values = {name: one.value.number.value for name, one in found.items()}
    assert values == {"lead_conversion": "0.2", "on_time_delivery": "0.666667", "resolution_time": "20"}


@pytest.mark.mission("S10", "S11")
async def test_plans_that_follow_each_other_add_up_on_the_board_of_the_year(company: Live) -> None:
    for quarter, yuan in (("2026-Q1", 400_000), ("2026-Q2", 800_000)):
        plan = await new_plan(company, period=quarter, name=quarter)
        top = await set_(company, plan, target(yuan, unit="co", period=quarter))
        await split(company, top, cascade_pb2.CascadeRules())
        await publish(company, plan)
    request = pb.ListPersonProgressRequest(view=pb.BOARD_VIEW_LIVE, period="2026", person_id="rep1")
    [mine] = (await boards(company).ListPersonProgress(request)).people
    assert mine.progress.target == cny(300_000)
