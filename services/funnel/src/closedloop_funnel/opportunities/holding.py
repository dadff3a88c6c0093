"""Deals held by a review, and let go again (S81)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from closedloop_chassis.data import rows
from closedloop_chassis.work import Call, Work
from closedloop_funnel.opportunities import moves, proto, steps, store, telling
from closedloop_funnel.opportunities.opening import plain_opportunity
from closedloop_funnel.opportunities.record import Held, Seen
from closedloop_funnel.pipelines.rules import PipelineRules


async def hold(work: Work, ids: Sequence[str], review_id: str) -> None:
    """They take no further step, and count nowhere, until the review is concluded."""
    writer = proto.Writer(work)
    for deal in await store.hold(work.tx, ids, review_id, work.now):
        work.audit(deal.id, "hold", {"review_id": None}, {"review_id": review_id})
        telling.tell(work, deal, writer.stage(deal), deal.account_name)


async def release(call: Call, review_id: str, rejected: Collection[str], reason_code: str, reason: str) -> None:
    """The rejected are lost for that reason, the others go on as if nothing had been."""
    writer, pipelines = proto.Writer(call), call.rules(PipelineRules)
    for deal in await store.lock_reviewed(call.tx, review_id, call.home.today()):
        if deal.id in rejected and deal.state == "open":
            pipeline = pipelines.pipeline(deal.pipeline_id)
            step = moves.lose(pipeline)
            after = steps.moved(
                deal,
                step,
                [],
                call,
                state="lost",
                review_id=None,
                closed_from=deal.stage_key,
                closed_at=call.now,
                close_date=call.home.today(deal.unit_id),
                probability=step.to.probability,
                category=step.to.category,
                reason_code=reason_code if pipeline.reason("lost", reason_code) else "unknown",
                reason_comment=reason,
            )
            steps.take_back(deal, reason, call)
            steps.answer(deal, after, "reject", call)
        else:
            _let_go(deal, writer, call)


def _let_go(deal: Held, writer: proto.Writer, call: Call) -> None:
    seen = Seen(**rows.row(deal, only=rows.columns(Seen)))
    after = replace(seen, review_id=None, version=deal.version + 1, updated_at=call.now)
    store.save(call.tx, [after])
    call.audit(after.id, "release", plain_opportunity(seen), plain_opportunity(after))
    telling.tell(call, after, writer.stage(after), after.account_name)
