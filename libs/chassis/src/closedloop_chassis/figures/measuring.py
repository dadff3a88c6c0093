"""Looks at the data: all checks over one span, for everybody at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_chassis.figures import collected, store
from closedloop_chassis.figures.collected import Collected
from closedloop_chassis.figures.rules import Count
from closedloop_chassis.figures.store import Found
from closedloop_chassis.work import Work


async def measure(
    work: Work, reader: Reader | Transaction, known: Collected, begins: datetime, ends: datetime
) -> list[Found]:
    """What stands at `ends` or came in since `begins`, by whose it is; a statement per kind of record."""
    rules = collected.rules_of(known, work)
    base = {
        "from": begins,
        "to": ends,
        "now": work.now,
        "zone": str(work.home.zone()),
        "timely_days": rules.timely_days,
        "tolerance": rules.tolerance,
        "examples": rules.most_examples,
    }
    found: list[Found] = []
    for record in known.records.values():
        wanted = [one.name for one in record.fields if f"{record.name}.{one.name}" in rules.obligatory]
        params = {**base, **record.params(work), "aspects": [*wanted, store.TIMELY]}
        found += await store.found(reader, store.of_record(record), params)
    for one in known.agreements:
        found += await store.found(reader, store.of_agreement(one), {**base, **one.params(work)})
    return found


def together(found: Iterable[Found], sees: Callable[[Found], bool], most_examples: int) -> list[Count]:
    """One count per check, over those that `sees` lets through."""
    groups: defaultdict[tuple[str, str, str], list[Found]] = defaultdict(list)
    for one in found:
        if sees(one):
            groups[one.record, one.dimension, one.aspect].append(one)
    return [
        Count(
            record,
            dimension,
            aspect,
            sum(one.examined for one in group),
            sum(one.failed for one in group),
            sum(one.apart for one in group),
            sum(one.whole for one in group),
            _examples(group, most_examples),
        )
        for (record, dimension, aspect), group in groups.items()
    ]


def _examples(group: Sequence[Found], most: int) -> tuple[str, ...]:
    worst = sorted(group, key=lambda one: (-one.failed, one.owner_id))
    return tuple(example for one in worst for example in one.examples)[:most]
