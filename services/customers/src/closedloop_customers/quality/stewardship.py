"""How well owners keep what they own, told once a month for their appraisal (S82)."""

from __future__ import annotations

from datetime import date, timedelta

from closedloop.customers.v1 import events_pb2 as events
from closedloop_chassis import protos
from closedloop_chassis.work import Work
from closedloop_customers import records
from closedloop_customers.freshness import QualityRules
from closedloop_customers.quality import store

MONTH = "customers.stewardship_month"


def again(work: Work) -> None:
    """The next one is told on the morning of the next month's first day; a timer that is set stays."""
    work.timers.set(MONTH, "company", work.home.morning(_next(work.home.today().replace(day=1))))


async def tell(work: Work) -> None:
    """Of the month before this one. One round trip."""
    rules = work.rules(QualityRules)
    this = work.home.today().replace(day=1)
    month = (this - timedelta(days=1)).replace(day=1)
    span = {"start": work.home.moment(month), "end": work.home.moment(this)}
    within = {"within": timedelta(days=rules.work_off_days)}
    # Nothing counts how often a month was measured; its moment orders as well.
    version = protos.timestamp(work.now).ToMicroseconds()
    for row in await work.tx.all(store.STEWARDSHIP, {**span, **within}):
        person = work.org.person(row["owner_id"])
        if person is None or not person.active:
            continue
        wanted = row["accounts"] * len(rules.required_fields)
        told = events.StewardshipMeasured(
            ownership=records.ownership(person.id, person.unit_id),
            month=protos.date_proto(month),
            accounts=row["accounts"],
            red_accounts=row["red"],
            yellow_accounts=row["yellow"],
            fresh_ratio=1 - row["stale"] / row["accounts"],
            fill_ratio=1 - row["missing"] / wanted if wanted else 1.0,
            resolved_ratio=row["in_time"] / row["due"] if row["due"] else 1.0,
            version=version,
        )
        work.tell(told, person.id)


def _next(first: date) -> date:
    return date(first.year + first.month // 12, first.month % 12 + 1, 1)
