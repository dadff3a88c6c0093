"""What the other services hear of a deal."""

from __future__ import annotations

from google.protobuf.message import Message

from closedloop.approvals.v1 import events_pb2 as approvals
from closedloop.common.v1 import common_pb2
from closedloop.funnel.v1 import events_pb2 as events
from closedloop.funnel.v1 import opportunities_pb2, pipelines_pb2
from closedloop_chassis import protos
from closedloop_chassis.work import Work
from closedloop_funnel.opportunities.proto import line_to_proto, money, ownership
from closedloop_funnel.opportunities.record import Opportunity
from closedloop_funnel.opportunities.worth import apportion
from closedloop_funnel.pipelines.stages import StageRule
from closedloop_funnel.watch.feed import tell_watchers
from closedloop_funnel.words import number


def tell(work: Work, deal: Opportunity, stage: StageRule, account_name: str, contract_id: str = "") -> None:
    """The deal as it is now: open, won or lost."""
    work.tell(message(deal, stage, account_name, contract_id), deal.id)
    tell_watchers(work)


def message(deal: Opportunity, stage: StageRule, account_name: str, contract_id: str = "") -> Message:
    if deal.state == "won":
        return won(deal, account_name, contract_id)
    return lost(deal, account_name) if deal.state == "lost" else changed(deal, stage, account_name)


def changed(deal: Opportunity, stage: StageRule, account_name: str) -> events.OpportunityChanged:
    return events.OpportunityChanged(
        opportunity_id=deal.id,
        version=deal.version,
        name=deal.name,
        ownership=ownership(deal),
        account_id=deal.account_id or "",
        account_name=account_name,
        pipeline_id=deal.pipeline_id,
        stage_key=deal.stage_key,
        stage_name=stage.name,
        stage_kind=number(pipelines_pb2.StageKind, stage.kind),
        state=number(opportunities_pb2.OpportunityState, deal.state),
        lines=[line_to_proto(line) for line in deal.lines],
        amount=money(deal.amount_minor, deal.currency),
        reporting_amount=money(deal.reporting_minor, deal.reporting_currency),
        probability_ratio=deal.probability,
        forecast_category=number(
            pipelines_pb2.ForecastCategory, (deal.override or {}).get("category") or deal.category
        ),
        expected_close_date=protos.date_proto(deal.expected_close_date),
        push_count=deal.push_count,
        stage_enter_time=protos.timestamp(deal.stage_entered_at),
        dwell_light=number(common_pb2.Light, deal.dwell_light),
        lead_id=deal.lead_id or "",
        opportunity_point_id=deal.opportunity_point_id or "",
        under_review=deal.review_id is not None,
        update_time=protos.timestamp(deal.updated_at),
    )


def won(deal: Opportunity, account_name: str, contract_id: str = "") -> events.OpportunityWon:
    lines = apportion(deal.lines, deal.amount_minor or 0)
    return events.OpportunityWon(
        opportunity_id=deal.id,
        version=deal.version,
        name=deal.name,
        ownership=ownership(deal),
        account_id=deal.account_id or "",
        account_name=account_name,
        pipeline_id=deal.pipeline_id,
        lines=[line_to_proto({**line, "currency": deal.currency}) for line in lines],
        amount=money(deal.amount_minor, deal.currency),
        reporting_amount=money(deal.reporting_minor, deal.reporting_currency),
        close_date=protos.date_proto(deal.close_date),
        engage_date=protos.date_proto(deal.engage_date),
        reason_code=deal.reason_code,
        contract_id=contract_id,
        lead_id=deal.lead_id or "",
        repurchase=deal.repurchase,
        imported=deal.imported,
        win_time=protos.timestamp(deal.closed_at),
    )


def lost(deal: Opportunity, account_name: str) -> events.OpportunityLost:
    return events.OpportunityLost(
        opportunity_id=deal.id,
        version=deal.version,
        name=deal.name,
        ownership=ownership(deal),
        account_id=deal.account_id or "",
        account_name=account_name,
        pipeline_id=deal.pipeline_id,
        amount=money(deal.amount_minor, deal.currency),
        close_date=protos.date_proto(deal.close_date),
        stage_key=deal.closed_from,
        reason_code=deal.reason_code,
        competitors=deal.competitors,
        lead_id=deal.lead_id or "",
        imported=deal.imported,
        lose_time=protos.timestamp(deal.closed_at),
    )


def reopened(before: Opportunity, after: Opportunity, reason: str) -> events.OpportunityReopened:
    return events.OpportunityReopened(
        opportunity_id=after.id,
        version=after.version,
        ownership=ownership(after),
        account_id=after.account_id or "",
        previous_state=number(opportunities_pb2.OpportunityState, before.state),
        amount=money(before.amount_minor, before.currency),
        close_date=protos.date_proto(before.close_date),
        reason=reason,
        reopen_time=protos.timestamp(after.updated_at),
    )


def withdrawn(work: Work, kind: str, subject_id: str, revision: int, reason: str) -> None:
    """A pending quote or contract is taken back from the signers."""
    work.tell(
        approvals.ApprovalWithdrawn(
            origin="funnel", kind=kind, subject_id=subject_id, version=revision, reason=reason, actor_id=work.actor
        ),
        subject_id,
    )
