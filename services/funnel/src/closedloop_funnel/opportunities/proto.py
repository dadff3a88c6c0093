"""Deals between the contract and Python."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Any

from google.type.money_pb2 import Money

from closedloop.common.v1 import common_pb2
from closedloop.funnel.v1 import opportunities_pb2 as pb
from closedloop.funnel.v1 import pipelines_pb2
from closedloop_chassis import errors, etags, protos
from closedloop_chassis.ids import new_id
from closedloop_chassis.structs import plain, struct
from closedloop_chassis.work import Work
from closedloop_funnel.opportunities.dwell import Dwell
from closedloop_funnel.opportunities.record import (
    DateChange,
    DealLine,
    Evidence,
    Line,
    Move,
    Opportunity,
    Seen,
    Standing,
)
from closedloop_funnel.opportunities.rules import OpportunityRules, validity
from closedloop_funnel.pipelines import removed
from closedloop_funnel.pipelines.stages import StageRule
from closedloop_funnel.words import number, word


def money(minor: int | None, currency: str) -> Money | None:
    return None if minor is None or not currency else protos.money(minor, currency)


def line_to_proto(line: Line) -> pb.OpportunityLine:
    return pb.OpportunityLine(
        product_id=line["product_id"],
        quantity=line["quantity"],
        unit_price=money(line["unit_price_minor"], line["currency"]),
        amount=money(line["amount_minor"], line["currency"]),
    )


def line_from_proto(line: pb.OpportunityLine, field: str) -> Line:
    priced, summed = line.HasField("unit_price"), line.HasField("amount")
    currencies = {m.currency_code for m, there in ((line.unit_price, priced), (line.amount, summed)) if there}
    if len(currencies) > 1:
        raise errors.InvalidArgument("CURRENCY_MIXED", "one deal, one currency", {field: "mixed currencies"})
    return {
        "product_id": line.product_id,
        "quantity": line.quantity,
        "unit_price_minor": protos.minor_units(line.unit_price, f"{field}.unit_price") if priced else None,
        "amount_minor": protos.minor_units(line.amount, f"{field}.amount") if summed else None,
        "currency": next(iter(currencies), ""),
    }


class Writer:
    """Turns deals into answers; one for all deals of a call, so that calendars are walked once."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._stages: dict[tuple[str, str], StageRule] = {}
        self._rules = work.rules(OpportunityRules)
        self._version = work.process.rulebooks.version(OpportunityRules, work.now)
        self._dwell = Dwell(work.calendars, work.now)

    def stage(self, deal: Opportunity | Standing) -> StageRule:
        key = deal.pipeline_id, deal.stage_key
        if key not in self._stages:
            self._stages[key] = removed.stage_of(*key, self._work)
        return self._stages[key]

    def dwell_days(self, deal: Opportunity | Standing) -> float:
        """Zero once it is closed, and where it reaches into years no calendar knows: one deal must not fail a list."""
        if deal.state != "open":
            return 0.0
        try:
            return self._dwell.days(deal.stage_entered_at, self.stage(deal).calendar, deal.unit_id)
        except errors.FailedPrecondition:
            return 0.0

    def write(self, deal: Seen) -> pb.Opportunity:
        valid, explanation = validity(self._rules, deal)
        result = pb.Opportunity(
            id=deal.id,
            etag=etags.of(deal.version),
            name=deal.name,
            need=deal.need,
            ownership=ownership(deal),
            provenance=provenance(deal),
            imported=deal.imported,
            pipeline_id=deal.pipeline_id,
            pipeline_version=deal.pipeline_version,
            stage_key=deal.stage_key,
            state=number(pb.OpportunityState, deal.state),
            account_id=deal.account_id or "",
            account_name=deal.account_name,
            lines=[line_to_proto(line) for line in deal.lines],
            amount=money(deal.amount_minor, deal.currency),
            reporting_amount=money(deal.reporting_minor, deal.reporting_currency),
            probability_ratio=deal.probability,
            forecast_category=number(pipelines_pb2.ForecastCategory, deal.category),
            engage_date=protos.date_proto(deal.engage_date),
            expected_close_date=protos.date_proto(deal.expected_close_date),
            close_date=protos.date_proto(deal.close_date),
            push_count=deal.push_count,
            pushed_days=deal.pushed_days,
            reason_code=deal.reason_code,
            reason_comment=deal.reason_comment,
            competitors=deal.competitors,
            participants=[
                pb.Participant(person_id=person, role=number(pb.ParticipantRole, role))
                for person, role in deal.participants.items()
            ],
            stage_enter_time=protos.timestamp(deal.stage_entered_at),
            dwell_days=self.dwell_days(deal),
            dwell_light=number(common_pb2.Light, deal.dwell_light),
            stage_due_time=protos.timestamp(deal.dwell_due_at),
            review_id=deal.review_id or "",
            valid=valid,
            validity=common_pb2.RuleReference(
                rulebook=OpportunityRules.rulebook, version=self._version, rule="valid_needs", explanation=explanation
            ),
            repurchase=deal.repurchase,
            lead_id=deal.lead_id or "",
            opportunity_point_id=deal.opportunity_point_id or "",
            customer_type=deal.customer_type,
            custom_fields=struct(deal.custom_fields),
            create_time=protos.timestamp(deal.created_at),
            update_time=protos.timestamp(deal.updated_at),
            last_activity_time=protos.timestamp(deal.last_activity_at),
        )
        if deal.override is not None:
            result.forecast_override.CopyFrom(override(deal.override))
        if deal.margin_ratio is not None:
            result.margin_ratio = deal.margin_ratio
        return result


def line(deal: DealLine) -> pb.Opportunity:
    """As OPPORTUNITY_VIEW_BASIC has it: nothing that time changes by itself."""
    return pb.Opportunity(
        id=deal.id,
        etag=etags.of(deal.version),
        name=deal.name,
        ownership=common_pb2.Ownership(owner_id=deal.owner_id, unit_id=deal.unit_id),
        pipeline_id=deal.pipeline_id,
        stage_key=deal.stage_key,
        state=number(pb.OpportunityState, deal.state),
        account_id=deal.account_id or "",
        account_name=deal.account_name,
        amount=money(deal.amount_minor, deal.currency),
        probability_ratio=deal.probability,
        forecast_category=number(pipelines_pb2.ForecastCategory, deal.category),
        expected_close_date=protos.date_proto(deal.expected_close_date),
        close_date=protos.date_proto(deal.close_date),
        dwell_light=number(common_pb2.Light, deal.dwell_light),
        review_id=deal.review_id or "",
        update_time=protos.timestamp(deal.updated_at),
    )


def override(row: dict[str, Any]) -> pb.ForecastOverride:
    """A row of `forecast_override`; instants and days as they are or as JSON has them."""
    day = row["expected_close_date"]
    return pb.ForecastOverride(
        id=row["id"],
        opportunity_id=row["opportunity_id"],
        author_id=row["author_id"],
        unit_id=row["unit_id"],
        category=number(pipelines_pb2.ForecastCategory, row["category"]),
        amount=money(row["amount_minor"], row["currency"]),
        expected_close_date=protos.date_proto(date.fromisoformat(day) if isinstance(day, str) else day),
        reason=row["reason"],
        time=protos.timestamp(_moment(row["at"])),
        lifted_time=protos.timestamp(_moment(row["lifted_at"])),
    )


def _moment(value: datetime | str | None) -> datetime | None:
    return datetime.fromisoformat(value) if isinstance(value, str) else value


def ownership(deal: Opportunity) -> common_pb2.Ownership:
    return common_pb2.Ownership(owner_id=deal.owner_id, unit_id=deal.unit_id)


def provenance(deal: Opportunity) -> common_pb2.Provenance:
    return common_pb2.Provenance(
        source=deal.source,
        source_id=deal.source_id,
        brought_by=deal.brought_by,
        observed_time=protos.timestamp(deal.observed_at),
    )


def evidence_to_proto(evidence: Evidence) -> pb.StageEvidence:
    return pb.StageEvidence(
        id=evidence.id,
        requirement_key=evidence.requirement_key,
        kind=number(pipelines_pb2.EvidenceKind, evidence.kind),
        note=evidence.note,
        attachment_ids=evidence.attachment_ids,
        record_id=evidence.record_id or "",
        content=struct(evidence.content),
        author_id=evidence.author_id,
        time=protos.timestamp(evidence.at),
    )


def evidence_from_proto(given: Iterable[pb.StageEvidence], opportunity_id: str, work: Work) -> list[Evidence]:
    return [
        Evidence(
            id=new_id(),
            opportunity_id=opportunity_id,
            requirement_key=one.requirement_key,
            kind=word(pipelines_pb2.EvidenceKind, one.kind),
            note=one.note,
            attachment_ids=list(one.attachment_ids),
            record_id=one.record_id or None,
            content=plain(one.content, "evidence.content") if one.HasField("content") else None,
            author_id=work.actor,
            at=work.now,
        )
        for one in given
    ]


def records_named(given: Sequence[pb.StageEvidence]) -> list[str]:
    return [one.record_id for one in given if one.record_id]


def date_change_to_proto(change: DateChange) -> pb.CloseDateChange:
    return pb.CloseDateChange(
        from_date=protos.date_proto(change.from_date),
        to_date=protos.date_proto(change.to_date),
        author_id=change.author_id,
        reason=change.reason,
        time=protos.timestamp(change.at),
    )


def move_to_proto(move: Move) -> pb.StageMove:
    return pb.StageMove(
        opportunity_id=move.opportunity_id,
        sequence=move.sequence,
        from_stage_key=move.from_stage_key,
        to_stage_key=move.to_stage_key,
        time=protos.timestamp(move.at),
        author_id=move.author_id,
        dwell=protos.duration(move.dwell),
        dwell_days=move.dwell_days or 0.0,
        backward=move.direction == "backward",
        skipped_stage_keys=move.skipped_stage_keys,
        skipped_requirement_keys=move.skipped_requirement_keys,
        reason=move.reason,
        evidence_ids=move.evidence_ids,
        pipeline_version=move.pipeline_version,
        imported=move.imported,
    )
