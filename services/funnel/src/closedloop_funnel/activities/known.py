"""Deals that somebody has just worked on: who works on one again need not read what it is, only say what it was taken for.

Whose it is, whose customer, and whether it is closed seldom changes between two contacts. What is remembered goes with the
commit as a presumption (`store.touch_as_known`), so it is as true as if it had been read; a refusal is never founded on it.
"""

from __future__ import annotations

from collections import OrderedDict
from weakref import WeakKeyDictionary

from closedloop_chassis.process import Process
from closedloop_chassis.work import Work
from closedloop_funnel.activities.record import Around

# Some 600 bytes each.
MOST = 10_000

_deals: WeakKeyDictionary[Process, OrderedDict[str, Around]] = WeakKeyDictionary()


def deal(work: Work, opportunity_id: str) -> Around | None:
    """As this process last saw it; None for one it does not know, and for who was overtaken."""
    known = _deals.get(work.process)
    if known is None or work.overtaken or opportunity_id not in known:
        return None
    known.move_to_end(opportunity_id)
    return known[opportunity_id]


def learn(work: Work, around: Around) -> None:
    if around.opportunity is None:
        return
    known = _deals.setdefault(work.process, OrderedDict())
    known[around.opportunity["id"]] = Around(opportunity=around.opportunity)
    if len(known) > MOST:
        known.popitem(last=False)
