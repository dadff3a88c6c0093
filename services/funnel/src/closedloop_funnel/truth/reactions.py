"""Fresh logs are judged by themselves."""

from __future__ import annotations

from datetime import timedelta

from closedloop_chassis.clocks.due import Rung
from closedloop_chassis.service import Reactions
from closedloop_chassis.work import Work
from closedloop_funnel.truth import scanning, store
from closedloop_funnel.truth.watching import TRUTH

reactions = Reactions()


@reactions.timer(TRUTH)
async def look(rung: list[Rung], work: Work) -> None:
    owners = sorted({one.subject for one in rung})
    span = await work.tx.one(store.UNCHECKED, {"owners": owners})
    if span is not None and span["begins"] is not None:
        await scanning.scan(work, owners, span["begins"], span["ends"] + timedelta(seconds=1), fresh=True)
