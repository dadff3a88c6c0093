"""A tender names a customer, a deal is decided, time passes: the potential is judged anew (S39, S70)."""

from __future__ import annotations

from collections.abc import Sequence

from closedloop.funnel.v1 import events_pb2 as funnel
from closedloop.integrations.v1 import events_pb2 as integrations
from closedloop.integrations.v1 import notices_pb2
from closedloop_chassis import enums, ids, protos
from closedloop_chassis.clocks.due import Rung
from closedloop_chassis.service import Reactions
from closedloop_chassis.work import Heard, Work
from closedloop_customers import rounds
from closedloop_customers.grades import desk as grades
from closedloop_customers.health import desk as health
from closedloop_customers.potential import desk, soon, store
from closedloop_customers.potential.rules import PotentialRules

reactions = Reactions()

LOOK = "customers.potential_look"


@reactions.timer(soon.DUE)
async def due(rung: Sequence[Rung], work: Work) -> None:
    """Made, touched, or moved by the mere passing of days; who is looked at for the first time has a health, too."""
    outcome = await desk.follow(work, [one.subject for one in rung])
    await _regrade(work, outcome)
    health.touched(work, outcome.first, "made")


@rounds.every(reactions, LOOK, lambda work: work.rules(PotentialRules).follow_every)
async def look(work: Work) -> None:
    """Rules that changed reach those that nothing happens to."""
    await desk.look_through(work)


@reactions.on(integrations.NoticeMatched)
async def tender_found(event: Heard[integrations.NoticeMatched], work: Work) -> None:
    match, notice = event.message.match, event.message.match.notice
    if not ids.is_id(match.account_id):
        return
    amount = notice.amount if notice.HasField("amount") and notice.amount.currency_code else None
    row = {
        "notice_id": match.notice_id,
        "account_id": match.account_id,
        "title": notice.title,
        "buyer_name": notice.buyer or match.matched_name,
        "keywords": list(match.keywords),
        "sectors": list(match.sectors),
        "amount_minor": protos.minor_units(amount) if amount else None,
        "currency": amount.currency_code if amount else "",
        "published_on": protos.day(notice.publish_date) if notice.HasField("publish_date") else None,
        "url": notice.url,
        "confidence": match.confidence,
        "state": enums.word(notices_pb2.MatchState, match.state) or "found",
        "heard_at": work.now,
        "version": event.message.version,
    }
    account_id = await work.tx.value(store.PUT_MATCH, row)
    if account_id is not None:
        await _regrade(work, await desk.reevaluate(work, [account_id], "event:NoticeMatched", [match.notice_id]))


@reactions.on(funnel.OpportunityWon)
async def deal_won(event: Heard[funnel.OpportunityWon], work: Work) -> None:
    if ids.is_id(event.message.account_id) and not event.message.imported:
        await desk.reevaluate(work, [event.message.account_id], "event:OpportunityWon")


@reactions.on(funnel.OpportunityLost)
async def deal_lost(event: Heard[funnel.OpportunityLost], work: Work) -> None:
    if ids.is_id(event.message.account_id) and not event.message.imported:
        await desk.reevaluate(work, [event.message.account_id], "event:OpportunityLost")


async def _regrade(work: Work, outcome: desk.Outcome) -> None:
    """A potential is one of the things a grade is made of. Deals are graded where they are heard of, new accounts by the
    daily round: whoever made one a moment ago changes it without being overtaken by us."""
    if outcome.changed:
        await grades.evaluate(work, "potential", outcome.changed)
