"""Every day the day before is scored, and every month that has ended is kept as it ended: a durable timer, once each."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from closedloop_chassis.clocks.due import Rung
from closedloop_chassis.figures import collected, credibility, measuring, store
from closedloop_chassis.service import Reactions
from closedloop_chassis.work import Work

if TYPE_CHECKING:
    from closedloop_chassis.process import Process

reactions = Reactions()

FIGURES_DAY = "platform.figures_day"
COMPANY = "company"


@reactions.timer(FIGURES_DAY)
async def figures_day(_: list[Rung], work: Work) -> None:
    await score_day(work)
    await keep_month(work)
    kept = collected.rules_of(collected.of(work), work).kept_days
    store.forget(work.tx, work.home.today() - timedelta(days=kept))
    next_day(work)


async def score_day(work: Work) -> None:
    """The day that has ended, where the company is."""
    day = work.home.today() - timedelta(days=1)
    if not await store.begin(work.tx, "day", day, work.now):
        return
    begins, ends = work.home.moment(day), work.home.moment(day + timedelta(days=1))
    found = await measuring.measure(work, work.tx, collected.of(work), begins, ends)
    # Examples are asked for by the month.
    store.keep(work.tx, "day", day, [replace(one, examples=[]) for one in found])


async def keep_month(work: Work) -> None:
    """The month before this one."""
    month = credibility.previous(work.home.today().replace(day=1))
    if not await store.begin(work.tx, "month", month, work.now):
        return
    found = await measuring.measure(work, work.tx, collected.of(work), *credibility.span(work, month))
    store.keep(work.tx, "month", month, found)


def next_day(work: Work) -> None:
    """Sets the timer for the next time the company's clocks show the hour; one that is set stays."""
    hour = collected.rules_of(collected.of(work), work).hour
    day = work.home.today()
    moment = work.home.moment(day, hour)
    if moment <= work.now:
        moment = work.home.moment(day + timedelta(days=1), hour)
    work.timers.set(FIGURES_DAY, COMPANY, moment)


async def begin(process: Process) -> None:
    """Sets the first timer, of a service that has figures."""
    tx = process.database.transaction()
    work = Work(process, process.time.now(), "figures", "start", tx)
    if collected.of(work).figures:
        next_day(work)
        await tx.commit()
