"""Structured logs: one JSON object a line on standard output, with the ids that join them to calls and traces."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Mapping, MutableMapping
from contextvars import ContextVar
from typing import IO, Any

import structlog

from closedloop_chassis.settings import Settings
from closedloop_chassis.telemetry import tracing
from closedloop_chassis.telemetry.masking import masked, masked_value

__all__ = ["facts", "logger", "masked", "start"]

# What is known about the work at hand (method, caller...); a function, so that it costs nothing until a line is logged.
facts: ContextVar[Callable[[], Mapping[str, str]] | None] = ContextVar("facts", default=None)

Event = MutableMapping[str, Any]

# HTTP clients say each address they call, and in some addresses stands a key.
TELL_ADDRESSES = ("httpx", "httpcore", "urllib3")
# gRPC's core says with a traceback that an answer could not be sent: its caller had left, as callers may.
CORE = "grpc._cython.cygrpc"


def start(settings: Settings, service: str, process: str, stream: IO[str] | None = None) -> None:
    """Call once per process, first thing. `process` is "api", "courier", "reactor" or "migrate"."""

    def identify(_: Any, __: str, event: Event) -> Event:
        event["service"], event["process"] = service, process
        return event

    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.add_logger_name,
            structlog.stdlib.add_log_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer(ensure_ascii=False, default=str)
        if settings.log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty())
    )
    handler = logging.StreamHandler(stream or sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            # Libraries that log through the standard library come the same way.
            foreign_pre_chain=[
                structlog.stdlib.add_logger_name,
                structlog.stdlib.add_log_level,
                structlog.stdlib.ExtraAdder(),
            ],
            processors=[
                identify,
                _present,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                structlog.processors.StackInfoRenderer(),
                structlog.processors.format_exc_info,
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _mask,
                renderer,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level)
    for name in TELL_ADDRESSES:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger(CORE).addFilter(_caller_left)


def _caller_left(record: logging.LogRecord) -> bool:
    if record.exc_info and str(record.msg).startswith("ExecuteBatchError"):
        record.levelno, record.levelname, record.exc_info = logging.INFO, "INFO", None
        record.msg, record.args = "the caller left before the answer", ()
    return True


def logger(name: str) -> structlog.stdlib.BoundLogger:
    bound: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return bound


def _present(_: Any, __: str, event: Event) -> Event:
    known = facts.get()
    if known is not None:
        tracing.current_traceparent()  # so that all lines of one call share an id, sampled or not
        for key, value in known().items():
            event.setdefault(key, value)
    trace_id, span_id = tracing.present_ids()
    if trace_id:
        event["trace_id"], event["span_id"] = trace_id, span_id
    return event


def _mask(_: Any, __: str, event: Event) -> Event:
    hidden: Event = masked_value(dict(event))
    return hidden
