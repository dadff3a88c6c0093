"""Of several tellings of one record, the one that counts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from closedloop_chassis.work import Heard

Payload = TypeVar("Payload", bound=Any)


def newest(events: Iterable[Heard[Payload]], record: Callable[[Payload], str]) -> dict[str, Heard[Payload]]:
    """The event with the highest `version` of each record, by its id; of equal ones the last."""
    found: dict[str, Heard[Payload]] = {}
    for event in events:
        id = record(event.message)
        if id not in found or found[id].message.version <= event.message.version:
            found[id] = event
    return found
