"""A day has come on which units or people were planned to change."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from closedloop_chassis.clocks.due import Due, Rung
from closedloop_chassis.service import Reactions
from closedloop_chassis.work import Work
from closedloop_targets.org import announce, store

reactions = Reactions()


@reactions.timer(announce.ORG_DAY)
# Set as clocks by releases before there were timers.
@reactions.clock(announce.ORG_DAY)
async def day_of_change(due: Sequence[Due | Rung], work: Work) -> None:
    organisation = await store.load_for_change(work.tx)
    announce.save(work, organisation, organisation, max(date.fromisoformat(one.attributes["day"]) for one in due))
