"""Actions bound to targets, as whoever publishes, copies and recalls versions needs them (S15)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

from closedloop_chassis import ids
from closedloop_chassis.data import rows
from closedloop_chassis.data.transaction import Transaction
from closedloop_chassis.work import Work

# A new version's targets take the bindings of those they were copied from: the same holder, metric, scope and period.
COPY = """
INSERT INTO binding (id, target_id, owner_id, unit_id, kind, name, verification, result_metric, quantity, start_date,
                     end_date, subject, source_id)
SELECT gen_random_uuid(), new.id, b.owner_id, b.unit_id, b.kind, b.name, b.verification, b.result_metric, b.quantity,
       b.start_date, b.end_date, b.subject, b.id
  FROM target old
  JOIN target new USING (holder_kind, holder_id, metric, product_id, product_line, segment, period)
  JOIN binding b ON b.target_id = old.id
 WHERE old.plan_id = %(plan_id)s AND old.number = %(base)s AND new.plan_id = %(plan_id)s AND new.number = %(number)s
"""
# Targets that somebody answers for, whether they are passed on, and how many actions carry each.
CARRIED = """
SELECT t.id, t.holder_kind, t.holder_id, t.owner_id, t.unit_id, t.metric, t.start_date, t.end_date,
       EXISTS (SELECT FROM target child WHERE child.parent_id = t.id) AS leads,
       (SELECT count(*) FROM binding b WHERE b.target_id = t.id AND b.end_date >= b.start_date)::int AS bound
  FROM target t
 WHERE t.plan_id = %(plan_id)s AND t.number = %(number)s AND t.counts AND t.minor > 0
"""
ADD = "INSERT INTO binding SELECT (jsonb_populate_record(NULL::binding, given)).* FROM jsonb_array_elements(%(rows)s) AS given"
PLAN = """
INSERT INTO key_action (id, binding_id, target_id, owner_id, unit_id, kind, name, date, state, subject)
SELECT given.id, b.id, b.target_id, b.owner_id, b.unit_id, b.kind, b.name, given.date, 'planned', b.subject
  FROM unnest(%(ids)s::uuid[], %(bindings)s::uuid[], %(dates)s::date[]) AS given (id, binding_id, date)
  JOIN binding b ON b.id = given.binding_id
"""
# What was done for the version before counts for this one; what is new has to be planned.
TAKE_OVER = """
UPDATE key_action k SET binding_id = b.id, target_id = b.target_id, version = k.version + 1
  FROM binding b JOIN target t ON t.id = b.target_id
 WHERE t.plan_id = %(plan_id)s AND t.number = %(number)s AND k.binding_id = b.source_id
"""
UNPLANNED = """
SELECT b.* FROM binding b JOIN target t ON t.id = b.target_id
 WHERE t.plan_id = %(plan_id)s AND t.number = %(number)s AND b.end_date >= b.start_date
   AND NOT EXISTS (SELECT FROM key_action k WHERE k.binding_id = b.id AND k.state <> 'cancelled')
"""
# Of a version that holds no more: nobody waits for its actions.
CANCEL = """
UPDATE key_action k SET state = 'cancelled', version = k.version + 1
  FROM target t
 WHERE t.id = k.target_id AND t.plan_id = %(plan_id)s AND t.number = %(number)s AND k.state = 'planned'
"""
GIVE_BACK = """
UPDATE key_action k SET binding_id = b.source_id, target_id = source.target_id, version = k.version + 1
  FROM binding b
  JOIN target t ON t.id = b.target_id
  JOIN binding source ON source.id = b.source_id
 WHERE t.plan_id = %(plan_id)s AND t.number = %(number)s AND k.binding_id = b.id
"""


# Fields of a binding that are no columns of its.
COUNTS = ("planned_count", "done_count", "verified_count")


@dataclass(frozen=True, slots=True)
class Binding:
    """Counts are of its key actions; 0 where nobody counted."""

    id: str
    target_id: str
    owner_id: str
    unit_id: str
    kind: str
    name: str
    verification: str
    result_metric: str
    quantity: int
    start_date: date
    end_date: date
    subject: str
    source_id: str | None = None
    version: int = 1
    planned_count: int = 0
    done_count: int = 0
    verified_count: int = 0


def add(tx: Transaction, bindings: Sequence[Binding]) -> None:
    if bindings:
        tx.do(ADD, {"rows": rows.pack(bindings, *COUNTS)})


def plan(work: Work, bindings: Iterable[Binding]) -> None:
    """Occurrences spread evenly over the binding's working days, over its own days."""
    spread: dict[tuple[date, date, int, str], list[date]] = {}
    planned: list[tuple[str, str, date]] = []
    for one in bindings:
        unit = work.org.unit(one.unit_id)
        key = (one.start_date, one.end_date, one.quantity, unit.calendar if unit else "")
        if key not in spread:
            spread[key] = _days(work, one)
        planned += [(ids.new_id(), one.id, day) for day in spread[key]]
    if planned:
        ids_, bound, dates = (list(column) for column in zip(*planned, strict=True))
        work.tx.do(PLAN, {"ids": ids_, "bindings": bound, "dates": dates})


def _days(work: Work, one: Binding) -> list[date]:
    """One in the middle of each of so many equal stretches of working days."""
    span = (date.fromordinal(day) for day in range(one.start_date.toordinal(), one.end_date.toordinal() + 1))
    worked = [day for day in span if work.calendars.is_workday(day, "business", one.unit_id)] or [one.end_date]
    return [worked[(2 * number + 1) * len(worked) // (2 * one.quantity)] for number in range(one.quantity)]


async def in_force(work: Work, plan_id: str, number: int, before: int) -> None:
    """A version comes into force after `before` (0: none). One round trip."""
    if before:
        work.tx.do(TAKE_OVER, {"plan_id": plan_id, "number": number})
        work.tx.do(CANCEL, {"plan_id": plan_id, "number": before})
    plan(work, await work.tx.all(UNPLANNED, {"plan_id": plan_id, "number": number}, into=Binding))


async def recalled(work: Work, plan_id: str, number: int, before: int) -> None:
    """A version is taken back and `before` (0: none) holds again. One round trip."""
    if before:
        work.tx.do(GIVE_BACK, {"plan_id": plan_id, "number": number})
    work.tx.do(CANCEL, {"plan_id": plan_id, "number": number})
    if before:
        plan(work, await work.tx.all(UNPLANNED, {"plan_id": plan_id, "number": before}, into=Binding))
