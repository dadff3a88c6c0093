"""BulkIntakeLeads: the same door for spreadsheets and programs."""

from __future__ import annotations

from collections.abc import Sequence

from closedloop.common.v1.common_pb2 import BulkSummary
from closedloop.customers.v1 import leads_pb2 as pb
from closedloop_chassis import bulk, errors
from closedloop_chassis.work import Call, Work
from closedloop_customers import provenance
from closedloop_customers.leads import intake


async def take_in(request: pb.BulkIntakeLeadsRequest, call: Call) -> BulkSummary:
    good, refused = bulk.sift(request.rows)
    inquiries: dict[intake.Source, intake.Inquiry] = {}
    for position, row in good:
        try:
            kept = provenance.keep(row.provenance, call.actor, call.now)
            if not kept["source_id"]:
                raise errors.InvalidArgument(
                    "SOURCE_ID_MISSING", "a row is known again by it", {"provenance.source_id": ""}
                )
            inquiry = intake.read(call, row, kept, position, historical=request.historical)
        except errors.DomainError as error:
            field = next(iter(error.violations), "") if isinstance(error, errors.InvalidArgument) else ""
            refused.append(bulk.refused(position, error, field))
            continue
        # The same inquiry twice in one call is one; the later one is unchanged.
        inquiries.setdefault(inquiry.source, inquiry)
    taken = (
        await intake.take(call, list(inquiries.values()), historical=request.historical)
        if inquiries
        else intake.Taken()
    )
    fresh = [source for source in inquiries if source not in taken.known]
    joined = sum(
        taken.lead_of[source] not in taken.made or taken.lead_of[source] != inquiries[source].lead_id
        for source in fresh
    )
    if request.validate_only:
        await call.tx.rollback()
    return bulk.summary(read=len(request.rows), created=len(taken.made), updated=joined, refused=refused)


async def posted(work: Work, rows: Sequence[pb.LeadRow]) -> None:
    """What a webhook brought. Raises InvalidArgument, FailedPrecondition for what the door refuses: the event that
    brought it is parked then, and can be sent again once it or the rulebook is mended."""
    inquiries: dict[intake.Source, intake.Inquiry] = {}
    for position, row in enumerate(rows):
        inquiry = intake.read(work, row, provenance.keep(row.provenance, "webhook", work.now), position)
        inquiries.setdefault(inquiry.source, inquiry)
    await intake.take(work, list(inquiries.values()))
