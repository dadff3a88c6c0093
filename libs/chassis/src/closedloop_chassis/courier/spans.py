"""Spans of a batch: one per event whose trace is sampled, nothing at all for the others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol
from uuid import UUID

from opentelemetry.trace import SpanKind

from closedloop_chassis.telemetry import tracing


class Traced(Protocol):
    @property
    def id(self) -> UUID: ...

    @property
    def type(self) -> str: ...

    @property
    def traceparent(self) -> str: ...


@contextmanager
def each(verb: str, kind: SpanKind, events: Sequence[Traced]) -> Iterator[None]:
    """`"tell funnel.opportunity..."` in the trace of the call that caused the event, while the block runs."""
    entered = []
    for event in events:
        if _sampled(event.traceparent) and (span := tracing.enter(f"{verb} {event.type}", event.traceparent, kind)):
            span[0].set_attribute("messaging.message.id", str(event.id))
            entered.append(span)
    try:
        yield
    finally:
        for span in reversed(entered):
            tracing.leave(span)


def _sampled(traceparent: str) -> bool:
    # The flags are the last two hex digits; the lowest bit says sampled (W3C trace context).
    return traceparent[-1:] in set("13579bdf")
