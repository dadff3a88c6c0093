"""Leads as protobuf."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from google.protobuf import json_format
from google.protobuf.struct_pb2 import Struct

from closedloop.common.v1.common_pb2 import Light
from closedloop.customers.v1 import assignment_pb2, interactions_pb2
from closedloop.customers.v1 import events_pb2 as events
from closedloop.customers.v1 import leads_pb2 as pb
from closedloop_chassis import enums, etags, protos
from closedloop_customers import explanations, profiles, provenance, records
from closedloop_customers.leads.rules import Lead
from closedloop_customers.leads.store import Need, Submission, Transition


def to_proto(
    lead: Lead,
    submissions: Sequence[Submission] = (),
    transitions: Sequence[Transition] = (),
    needs: Sequence[Need] = (),
) -> pb.Lead:
    return pb.Lead(
        id=lead.id,
        profile=profiles.fill(pb.LeadProfile, lead.profile),
        stage=enums.number(pb.LeadStage, lead.stage),
        outcome=enums.number(pb.LeadOutcome, lead.outcome),
        close_reason=lead.close_reason,
        ownership=records.ownership(lead.owner_id, lead.unit_id),
        assignment_rule=explanations.reference(lead.assignment_rule),
        priority=lead.priority,
        account_id=lead.account_id or "",
        contact_id=lead.contact_id or "",
        opportunity_id=lead.opportunity_id or "",
        submissions=[_submission(submission) for submission in submissions],
        provenance=provenance.to_proto(lead.provenance),
        receive_time=protos.timestamp(lead.received_at),
        response_due_time=protos.timestamp(lead.response_due_at),
        alarm_time=protos.timestamp(lead.alarm_at),
        first_response_time=protos.timestamp(lead.responded_at),
        escalation_level=lead.escalation_level,
        response_light=enums.number(Light, lead.response_light),
        last_interaction_time=protos.timestamp(lead.last_interaction_at),
        pause_until_time=protos.timestamp(lead.paused_until),
        convert_time=protos.timestamp(lead.converted_at),
        close_time=protos.timestamp(lead.closed_at),
        transitions=[_transition(step) for step in transitions],
        merged_into_id=lead.merged_into_id or "",
        create_time=protos.timestamp(lead.created_at),
        update_time=protos.timestamp(lead.updated_at),
        version=lead.version,
        etag=etags.of(lead.version),
        needs=[_need(need) for need in needs],
    )


def for_strangers(lead: Lead) -> pb.Lead:
    """What somebody learns whose inquiry joined a lead beyond their reach: that it is in hands, and in whose."""
    return pb.Lead(
        id=lead.id,
        stage=enums.number(pb.LeadStage, lead.stage),
        ownership=records.ownership(lead.owner_id, lead.unit_id),
        receive_time=protos.timestamp(lead.received_at),
        version=lead.version,
    )


def received(lead: Lead) -> events.LeadReceived:
    return events.LeadReceived(
        lead_id=lead.id,
        provenance=provenance.to_proto(lead.provenance),
        campaign=lead.profile.get("campaign", ""),
        industry=lead.profile.get("industry", ""),
        region_code=lead.profile.get("region_code", ""),
        product_lines=lead.profile.get("product_lines", ()),
        receive_time=protos.timestamp(lead.received_at),
    )


def assigned(lead: Lead, previous_owner_id: str, method: str) -> events.LeadAssigned:
    return events.LeadAssigned(
        lead_id=lead.id,
        ownership=records.ownership(lead.owner_id, lead.unit_id),
        previous_owner_id=previous_owner_id,
        method=enums.number(assignment_pb2.AssignmentMethod, method),
        rule=explanations.reference(lead.assignment_rule),
        assign_time=protos.timestamp(lead.updated_at),
        version=lead.version,
    )


def responded(lead: Lead, channel: interactions_pb2.Channel.ValueType) -> events.LeadResponded:
    return events.LeadResponded(
        lead_id=lead.id,
        ownership=records.ownership(lead.owner_id, lead.unit_id),
        channel=channel,
        receive_time=protos.timestamp(lead.received_at),
        respond_time=protos.timestamp(lead.responded_at),
        in_time=bool(lead.responded_in_time),
        version=lead.version,
    )


def converted(lead: Lead, request: pb.ConvertLeadRequest, needs: Sequence[Need] = ()) -> events.LeadConverted:
    """With all that was asked for: what the lead says of it now, then what it did not say yet, the oldest first."""
    own = lead.profile.get("need", "")
    others = [need.text for need in reversed(needs) if need.text not in own]
    profile = lead.profile
    budget, expected = profile.get("budget"), profile.get("expected_date")
    amount = request.expected_amount if request.HasField("expected_amount") else None
    close = request.expected_close_date if request.HasField("expected_close_date") else None
    return events.LeadConverted(
        lead_id=lead.id,
        account_id=lead.account_id or "",
        contact_id=lead.contact_id or "",
        ownership=records.ownership(lead.owner_id, lead.unit_id),
        open_opportunity=request.open_opportunity,
        opportunity_name=request.opportunity_name or lead.title,
        expected_amount=amount or (protos.money(budget["minor"], budget["currency"]) if budget else None),
        expected_close_date=close or (protos.date_proto(date.fromisoformat(expected)) if expected else None),
        product_lines=profile.get("product_lines", ()),
        need="\n".join(filter(None, [own, *others])),
        provenance=provenance.to_proto(lead.provenance),
        campaign=profile.get("campaign", ""),
        convert_time=protos.timestamp(lead.converted_at),
        version=lead.version,
    )


def closed(lead: Lead) -> events.LeadClosed:
    return events.LeadClosed(
        lead_id=lead.id,
        outcome=enums.number(pb.LeadOutcome, lead.outcome),
        reason=lead.close_reason,
        ownership=records.ownership(lead.owner_id, lead.unit_id),
        account_id=lead.account_id or "",
        opportunity_id=lead.opportunity_id or "",
        provenance=provenance.to_proto(lead.provenance),
        campaign=lead.profile.get("campaign", ""),
        close_time=protos.timestamp(lead.closed_at),
        version=lead.version,
    )


def _need(need: Need) -> pb.LeadNeed:
    return pb.LeadNeed(
        text=need.text,
        receive_time=protos.timestamp(need.received_at),
        provenance=provenance.to_proto(need.provenance),
    )


def _submission(submission: Submission) -> pb.Submission:
    return pb.Submission(
        provenance=provenance.to_proto(submission.provenance),
        profile=profiles.fill(pb.LeadProfile, submission.profile),
        payload=json_format.ParseDict(submission.payload, Struct()) if submission.payload else None,
        receive_time=protos.timestamp(submission.received_at),
    )


def _transition(step: Transition) -> pb.LeadTransition:
    return pb.LeadTransition(
        from_stage=enums.number(pb.LeadStage, step.from_stage),
        to_stage=enums.number(pb.LeadStage, step.to_stage),
        actor_id=step.actor_id,
        cause=step.cause,
        reason=step.reason,
        time=protos.timestamp(step.time),
    )
