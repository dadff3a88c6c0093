"""Traces: W3C context in and out, OTLP over HTTP, and next to nothing for a request that is not sampled.

Whether a new trace is sampled is drawn here, before anything is built; everything that begins elsewhere follows its
parent. An unsampled request carries its trace context on as text and never touches the SDK.
The gRPC exporter must not be used: couriers run under eventlet, where grpcio hangs.
"""

from __future__ import annotations

import random
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from closedloop_chassis.settings import Settings

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

Attributes = Mapping[str, str | int | float | bool]
Entered = tuple[Span, Token[otel_context.Context]]

_TRACEPARENT = re.compile(r"^(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})")
SAMPLED = 0x01

_provider: TracerProvider | None = None
_tracer: trace.Tracer | None = None
_ratio = 0.0

# The context of an unsampled unit of work, as text; of a sampled one OpenTelemetry's own context knows more.
_unsampled: ContextVar[str] = ContextVar("unsampled_traceparent", default="")


def start(settings: Settings, service: str, process: str) -> None:
    """Exports to `settings.otlp_endpoint`; without one no trace begins here, though contexts are still passed on."""
    global _provider, _tracer, _ratio
    if not settings.otlp_endpoint:
        return
    # The SDK and its HTTP client weigh several megabytes, which a process that exports nothing can spare.
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased

    exporter = OTLPSpanExporter(endpoint=f"{settings.otlp_endpoint.rstrip('/')}/v1/traces", timeout=5)
    _provider = TracerProvider(
        sampler=ParentBased(ALWAYS_ON),
        resource=Resource.create(
            {"service.name": f"closedloop-{service}", "service.namespace": "closedloop", "closedloop.process": process}
        ),
        shutdown_on_exit=False,
    )
    _provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=1000))
    _tracer = _provider.get_tracer("closedloop")
    _ratio = settings.trace_ratio


def stop(seconds: float = 1.5) -> None:
    """Sends what is left, for at most `seconds`: a collector that is away must not hold a process."""
    global _provider, _tracer, _ratio
    provider, _provider, _tracer, _ratio = _provider, None, None, 0.0
    if provider is not None:
        flushing = threading.Thread(target=provider.shutdown, name="flush-traces", daemon=True)
        flushing.start()
        flushing.join(seconds)


def enter(name: str, traceparent: str, kind: SpanKind = SpanKind.SERVER) -> Entered | None:
    """Begins a unit of work under its parent ("" for none): the span if it is sampled. End it with `leave`."""
    parent = _TRACEPARENT.match(traceparent) if traceparent else None
    sampled = int(parent[3], 16) & SAMPLED if parent else _ratio > 0 and random.random() < _ratio
    if _tracer is None or not sampled:
        _unsampled.set(traceparent if parent else "")
        return None
    within = otel_context.Context()
    if parent:
        remote = SpanContext(int(parent[1], 16), int(parent[2], 16), is_remote=True, trace_flags=TraceFlags(SAMPLED))
        within = trace.set_span_in_context(NonRecordingSpan(remote), within)
    begun = _tracer.start_span(name, context=within, kind=kind)
    return begun, otel_context.attach(trace.set_span_in_context(begun, within))


def leave(entered: Entered) -> None:
    otel_context.detach(entered[1])
    entered[0].end()


@contextmanager
def work(name: str, traceparent: str = "", kind: SpanKind = SpanKind.CONSUMER) -> Iterator[Span]:
    """`enter` and `leave` around a block: an event or a clock being worked off. Errors mark the span."""
    before = _unsampled.get()
    entered = enter(name, traceparent, kind)
    if entered is None:
        try:
            yield trace.INVALID_SPAN
        finally:
            _unsampled.set(before)
        return
    try:
        yield entered[0]
    except Exception as error:
        entered[0].set_status(Status(StatusCode.ERROR, type(error).__name__))
        raise
    finally:
        leave(entered)


@contextmanager
def together(name: str, traceparents: Sequence[str], kind: SpanKind = SpanKind.CONSUMER) -> Iterator[None]:
    """`work` for what many causes share: each sampled trace gets its span, and what is told belongs to the last one."""
    *others, last = sorted(traceparents, key=_sampled)
    with ExitStack() as spans:
        for traceparent in others:
            if _sampled(traceparent):
                spans.enter_context(work(name, traceparent, kind))
        spans.enter_context(work(name, last, kind))
        yield


def _sampled(traceparent: str) -> bool:
    # The flags are the last two hex digits; the lowest bit says sampled (W3C trace context).
    return traceparent[-1:] in set("13579bdf")


@contextmanager
def span(name: str, attributes: Attributes | None = None, kind: SpanKind = SpanKind.INTERNAL) -> Iterator[Span]:
    """A step within the work at hand; nothing at all when that is not sampled."""
    present = trace.get_current_span()
    if _tracer is None or not present.is_recording():
        yield present
        return
    with _tracer.start_as_current_span(name, attributes=dict(attributes or {}), kind=kind) as begun:
        yield begun


def current_traceparent() -> str:
    """The W3C `traceparent` of the work at hand, to be carried by calls and events; made up if there was none."""
    # Asked for once per event and audit entry; nothing is sampled where nothing is exported.
    if _tracer is not None:
        present = trace.get_current_span().get_span_context()
        if present.is_valid:
            return f"00-{present.trace_id:032x}-{present.span_id:016x}-{present.trace_flags:02x}"
    known = _unsampled.get()
    if not known:
        known = f"00-{random.getrandbits(128) or 1:032x}-{random.getrandbits(64) or 1:016x}-00"
        _unsampled.set(known)
    return known


def present_ids() -> tuple[str, str]:
    """Trace and span id of the work at hand in hex; empty where there is none."""
    present = trace.get_current_span().get_span_context()
    if present.is_valid:
        return f"{present.trace_id:032x}", f"{present.span_id:016x}"
    known = _unsampled.get()
    return known[3:35], known[36:52]
