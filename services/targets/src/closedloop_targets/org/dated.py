"""States that hold from a day until the next one's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Any, TypeVar

State = TypeVar("State", bound=Any)


def as_of(states: Sequence[State], day: date) -> State:
    """The state that holds on the day; the first one for days before it."""
    found: State = next((state for state in reversed(states) if state.start_date <= day), states[0])
    return found


def change(states: Sequence[State], day: date, fields: Mapping[str, Any]) -> tuple[State, ...]:
    """The states after `fields` hold from `day` on. What a later state changed by itself, it keeps."""
    base = as_of(states, day)
    changed = replace(base, start_date=day, **fields)
    result = [state for state in states if state.start_date < day] + [changed]
    carried = {name: getattr(base, name) for name in fields}
    for later in (state for state in states if state.start_date > day):
        carried = {name: value for name, value in carried.items() if getattr(later, name) == value}
        result.append(replace(later, **{name: fields[name] for name in carried}))
    return merged(result)


def merged(states: Sequence[State]) -> tuple[State, ...]:
    """Without states that say nothing new."""
    kept: list[State] = []
    for state in states:
        if not kept or replace(state, start_date=kept[-1].start_date) != kept[-1]:
            kept.append(state)
    return tuple(kept)
