"""Fresh logs are judged by themselves."""

from __future__ import annotations

from datetime import timedelta

from closedloop_chassis.clocks.due import Rung
from closedloop_chassis.service import Reactions
from closedloop_chassis.work import Work
from closedloop_funnel.mornings import every_day
from closedloop_funnel.truth import scanning, store
from closedloop_funnel.truth.rules import TruthRules
from closedloop_funnel.truth.watching import TRUTH

reactions = Reactions()


NIGHT = "funnel.text_prints"


@every_day(reactions, NIGHT, lambda work: work.rules(TruthRules).hour)
async def forget_prints(work: Work) -> None:
    """Older than any log that could be held against them."""
    work.tx.do(store.FORGET, {"before": work.now - timedelta(days=2 * work.rules(TruthRules).copied_days)})


@reactions.timer(TRUTH)
async def look(rung: list[Rung], work: Work) -> None:
    owners = sorted({one.subject for one in rung})
    span = await work.tx.one(store.UNCHECKED, {"owners": owners})
    if span is not None and span["begins"] is not None:
        await scanning.scan(work, owners, span["begins"], span["ends"] + timedelta(seconds=1), fresh=True)
