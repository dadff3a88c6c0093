"""What other slices may ask of playbooks: to begin where a record comes to a stage; the one way a step is opened."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from closedloop_chassis.work import Work
from closedloop_customers.playbooks import store
from closedloop_customers.playbooks.rules import Facts, PlaybookRules, Step, choose
from closedloop_customers.playbooks.store import StepRow


@dataclass(frozen=True, slots=True)
class Arrival:
    """A record that has just come to a stage, in the hands of a unit."""

    id: str
    facts: Facts
    unit_id: str


def arrived(work: Work, arrivals: Sequence[Arrival], *, fresh: bool = False) -> None:
    """Queues the first step of the playbook that applies now, and drops what applied before; `fresh` records had none."""
    if not arrivals:
        return
    rules = work.rules(PlaybookRules)
    chosen = [(one, choose(one.facts, rules)) for one in arrivals]
    if not fresh:
        store.drop(work.tx, [(one.id, key) for one, key in chosen])
    moments: dict[tuple[str, str], tuple[datetime, datetime]] = {}
    opened = []
    for one, key in chosen:
        if not key:
            continue
        first = rules.playbooks[key].steps[0]
        if (key, one.unit_id) not in moments:
            moments[key, one.unit_id] = due(work, first, work.now, one.unit_id)
        opened.append(row(one.facts.type, one.id, key, first, moments[key, one.unit_id]))
    store.open_first(work.tx, opened, fresh=fresh)


def due(work: Work, step: Step, since: datetime, unit_id: str) -> tuple[datetime, datetime]:
    """The best moment of a step, and from when on it is overdue."""
    at = work.calendars.due(step.after, since, unit_id)
    return at, work.calendars.due(work.rules(PlaybookRules).tolerance, at, unit_id)


def row(type_: str, id_: str, playbook: str, step: Step, moments: tuple[datetime, datetime]) -> StepRow:
    return StepRow(
        record_type=type_,
        record_id=id_,
        playbook=playbook,
        step=step.key,
        state="open",
        due_at=moments[0],
        overdue_at=moments[1],
        answers={},
        note="",
        completed_by="",
        completed_at=None,
    )
