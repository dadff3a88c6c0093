"""Deals whose names were changed by what is no step of theirs."""

from __future__ import annotations

from collections.abc import Sequence

from closedloop_chassis.work import Work
from closedloop_funnel.opportunities import proto, store, telling


async def tell_again(work: Work, ids: Sequence[str]) -> None:
    """Tells others of these deals as they are now. One round trip."""
    writer = proto.Writer(work)
    for deal in await store.lock_many(work.tx, ids) if ids else ():
        telling.tell(work, deal, writer.stage(deal), deal.account_name)
