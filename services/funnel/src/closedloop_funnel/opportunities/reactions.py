"""What opens deals from elsewhere, and what happens when one stands still."""

from __future__ import annotations

from collections import defaultdict

from closedloop.customers.v1 import events_pb2 as customers
from closedloop.integrations.v1 import events_pb2 as integrations
from closedloop_chassis import protos
from closedloop_chassis.clocks.due import Due
from closedloop_chassis.ids import new_ids
from closedloop_chassis.rulebook.rules import ClockSetting
from closedloop_chassis.service import Reactions
from closedloop_chassis.work import Heard, Work
from closedloop_funnel.opportunities import opening, proto, store
from closedloop_funnel.opportunities.opening import DWELL, Beginning
from closedloop_funnel.opportunities.rules import OpportunityRules
from closedloop_funnel.opportunities.standstill import Standstills
from closedloop_funnel.warnings import raising
from closedloop_funnel.warnings.record import Warning
from closedloop_funnel.watch.feed import tell_watchers

reactions = Reactions()

# The light a deal had before a clock darkened it.
EARLIER = {"blue": "none", "yellow": "none", "red": "yellow"}


@reactions.on(customers.LeadConverted)
async def open_from_lead(event: Heard[customers.LeadConverted], work: Work) -> None:
    lead = event.message
    if not lead.open_opportunity:
        return
    rules = work.rules(OpportunityRules)
    known = await store.find(work.tx, rules.lead_source, lead.lead_id)
    if known:
        return
    found = await store.references(work.tx, lead.account_id, [])
    account = (found.account or {}).get("name", "")
    begun = Beginning(
        name=lead.opportunity_name or " · ".join(filter(None, (account, *lead.product_lines)))[:200] or lead.lead_id,
        owner_id=lead.ownership.owner_id,
        unit_id=lead.ownership.unit_id,
        source=rules.lead_source,
        source_id=lead.lead_id,
        need=lead.need,
        account_id=lead.account_id,
        amount_minor=protos.minor_units(lead.expected_amount) if lead.HasField("expected_amount") else None,
        currency=lead.expected_amount.currency_code,
        expected_close_date=protos.day(lead.expected_close_date) if lead.HasField("expected_close_date") else None,
        lead_id=lead.lead_id,
    )
    await opening.open_deal(begun, found, work)


@reactions.on(customers.OpportunityPointFound)
async def open_from_point(event: Heard[customers.OpportunityPointFound], work: Work) -> None:
    point = event.message
    rules = work.rules(OpportunityRules)
    if await store.find(work.tx, rules.point_source, point.opportunity_point_id):
        return
    found = await store.references(work.tx, point.account_id, [])
    begun = Beginning(
        name=point.need[:200] or (found.account or {}).get("name", "") or point.opportunity_point_id,
        owner_id=point.ownership.owner_id,
        unit_id=point.ownership.unit_id,
        source=rules.point_source,
        source_id=point.opportunity_point_id,
        need=point.need,
        account_id=point.account_id,
        opportunity_point_id=point.opportunity_point_id,
    )
    await opening.open_deal(begun, found, work)


@reactions.on(integrations.DealMarginRestated)
async def note_margin(event: Heard[integrations.DealMarginRestated], work: Work) -> None:
    margin = event.message
    if margin.opportunity_id:
        known = margin.HasField("operational_margin_ratio")
        ratio = margin.operational_margin_ratio if known else None
        store.restate_margin(work.tx, margin.opportunity_id, ratio, margin.version)
        work.audit(margin.opportunity_id, "restate_margin", after={"margin_ratio": ratio, "version": margin.version})


@reactions.clock(DWELL)
async def stands_still(due: list[Due], work: Work) -> None:
    """Over the dwell limit, the supervisor's task (S41); over the healthy pace, the director's (S58).

    The task is all that other services hear: of ten thousand deals nothing has changed but the light, which none of them keeps.
    """
    lights = {one.subject: "blue" if one.phase == "warn" else "yellow" if one.level == 0 else "red" for one in due}
    deals = {deal.id: deal for deal in await store.darken(work.tx, lights, work.now)}
    writer, warned = proto.Writer(work), list[Warning]()
    standstills = Standstills(writer, work)
    going_on: defaultdict[ClockSetting, list[Due]] = defaultdict(list)
    for id_, one in zip(new_ids(len(due)), due, strict=True):
        deal = deals.get(one.subject)
        if deal is None:
            continue
        work.audit(deal.id, "dwell", {"dwell_light": EARLIER[deal.dwell_light]}, {"dwell_light": deal.dwell_light})
        if one.phase == "due":
            task, warning = standstills.put(id_, deal, one)
            work.tell(task, deal.id)
            warned.append(warning)
            further = writer.stage(deal).pace_clock
            if one.level == 0 and further is not None:
                going_on[further].append(one)
    for setting, clocks in going_on.items():
        work.clocks.rearm_many(clocks, setting)
    raising.raise_all(work, warned)
    tell_watchers(work)
