"""Events in the order of their subjects, as few groups of one type as that order allows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, TypeVar


class Typed(Protocol):
    @property
    def source(self) -> str: ...

    @property
    def subject(self) -> str: ...

    @property
    def type(self) -> str: ...


Event = TypeVar("Event", bound=Typed)


def waves(events: Iterable[Event]) -> list[tuple[str, list[Event]]]:
    """(type, events) one after another. Of one (source, subject) every event stands behind those before it, in an
    earlier group or earlier in the same one; subjects do not wait for each other."""
    # How many groups a subject has gone through, and the type of the last of them.
    reached: dict[tuple[str, str], tuple[int, str]] = {}
    groups: dict[tuple[int, str], list[Event]] = {}
    for event in events:
        wave, last = reached.get((event.source, event.subject), (0, event.type))
        if last != event.type:
            wave += 1
        reached[event.source, event.subject] = wave, event.type
        groups.setdefault((wave, event.type), []).append(event)
    return [(type, groups[wave, type]) for wave, type in sorted(groups, key=lambda key: key[0])]
