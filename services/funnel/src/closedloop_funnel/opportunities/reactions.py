"""What opens deals from elsewhere, and what happens when one stands still."""

from __future__ import annotations

from collections import defaultdict

from closedloop.approvals.v1 import events_pb2 as approvals
from closedloop.approvals.v1 import tasks_pb2
from closedloop.common.v1 import common_pb2
from closedloop.customers.v1 import events_pb2 as customers
from closedloop.integrations.v1 import events_pb2 as integrations
from closedloop_chassis import protos
from closedloop_chassis.clocks.due import Due
from closedloop_chassis.rulebook.rules import ClockSetting
from closedloop_chassis.service import Reactions
from closedloop_chassis.work import Heard, Work
from closedloop_funnel.opportunities import opening, proto, store, telling
from closedloop_funnel.opportunities.opening import DWELL, Beginning
from closedloop_funnel.opportunities.record import Seen
from closedloop_funnel.opportunities.rules import OpportunityRules
from closedloop_funnel.opportunities.steps import PACE
from closedloop_funnel.pipelines.rules import PipelineRules
from closedloop_funnel.warnings import raising
from closedloop_funnel.warnings.rules import KindWord
from closedloop_funnel.words import number

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
    """Over the dwell limit, the supervisor's task (S41); over the healthy pace, the director's (S58)."""
    lights = {one.subject: "blue" if one.phase == "warn" else "yellow" if one.level == 0 else "red" for one in due}
    deals = {deal.id: deal for deal in await store.darken(work.tx, lights)}
    writer, warned = proto.Writer(work), []
    going_on: defaultdict[ClockSetting, list[Due]] = defaultdict(list)
    for one in due:
        deal = deals.get(one.subject)
        if deal is None:
            continue
        telling.tell(work, deal, writer.stage(deal), deal.account_name)
        work.audit(deal.id, "dwell", {"dwell_light": EARLIER[deal.dwell_light]}, {"dwell_light": deal.dwell_light})
        if one.phase == "due":
            task = _task(deal, one, writer, work)
            work.tell(task, deal.id)
            kind: KindWord = "stage_pace" if one.level else "stage_dwell"
            context = {"stage_key": deal.stage_key}
            warned.append(raising.of_task(kind, task.content, work, name=deal.name, context=context))
            further = writer.stage(deal).pace_clock
            if one.level == 0 and further is not None:
                going_on[further].append(one)
    for setting, clocks in going_on.items():
        work.clocks.rearm_many(clocks, setting)
    raising.raise_all(work, warned)


def _task(deal: Seen, due: Due, writer: proto.Writer, work: Work) -> approvals.TaskRequested:
    rules, stage = work.rules(OpportunityRules), writer.stage(deal)
    days, late = writer.dwell_days(deal), due.level > 0
    limit = stage.pace_limit_days if late else stage.dwell_limit_days
    warning = PACE if late else DWELL
    words = f"在「{stage.name}」阶段已停留 {days:.1f} 个工作日, 上限 {limit:g}"
    rule = common_pb2.RuleReference(
        rulebook=PipelineRules.rulebook,
        version=work.process.rulebooks.version(PipelineRules, work.now),
        rule=f"{deal.pipeline_id}.{stage.key}.{'pace' if late else 'dwell'}_limit_days",
        explanation=f"{days:.2f} days in {stage.key}, limit {limit:g} on calendar {stage.calendar}",
    )
    content = tasks_pb2.TaskContent(
        kind=rules.dwell_task_kind,
        title=f"商机停滞: {deal.name}"[:200],
        description=words,
        assignee_role=rules.pace_assignee if late else rules.dwell_assignee,
        ownership=proto.ownership(deal),
        origin="funnel",
        cause_key=f"{warning}:{deal.id}",
        warning=warning,
        light=number(common_pb2.Light, deal.dwell_light),
        priority=tasks_pb2.TASK_PRIORITY_HIGH if late else tasks_pb2.TASK_PRIORITY_NORMAL,
        subject_type="opportunity",
        subject_id=deal.id,
        account_id=deal.account_id or "",
        opportunity_id=deal.id,
        cause_time=protos.timestamp(due.due_time),
        evidence=[
            common_pb2.Evidence(name="dwell", value=days, unit="d", text=words),
            common_pb2.Evidence(name="limit", value=limit, unit="d"),
        ],
        rule=rule,
    )
    return approvals.TaskRequested(content=content)
