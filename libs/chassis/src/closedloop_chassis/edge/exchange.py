"""What travels along the chain, and what the links of one process share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from google.rpc.status_pb2 import Status
from opentelemetry.trace import Span

from closedloop_chassis.contract import Method
from closedloop_chassis.work import Caller, Scope

if TYPE_CHECKING:
    import grpc.aio

    from closedloop_chassis.edge.drain import Streams
    from closedloop_chassis.edge.load_shedding import Load
    from closedloop_chassis.edge.tokens import Tokens
    from closedloop_chassis.edge.validation import Validator
    from closedloop_chassis.process import Process

NOBODY = Caller("", frozenset())
NOTHING = Scope(company=False, owner_id="", unit_ids=frozenset())


class Exchange:
    """One call on its way through the chain. A link fills in what the ones behind it need."""

    __slots__ = ("caller", "context", "expires", "metadata", "method", "payload", "refusal", "request", "scope", "span")

    def __init__(self, payload: bytes, context: grpc.aio.ServicerContext[bytes, bytes], method: Method) -> None:
        self.payload = payload
        self.context = context
        self.method = method
        self.metadata: Mapping[str, str | bytes] = {}
        self.span: Span | None = None
        self.refusal: Status | None = None
        self.caller = NOBODY
        self.scope = NOTHING
        self.request: Any = None
        # On time.monotonic().
        self.expires = 0.0

    def header(self, name: str) -> str:
        value = self.metadata.get(name, "")
        return value if isinstance(value, str) else ""

    def facts(self) -> Mapping[str, str]:
        """For log lines written during the call."""
        return {"method": self.method.full_name, "caller": self.caller.subject}


# Answers the serialised response; of a streaming RPC, which has written its messages by then, nothing.
Handler = Callable[[Exchange], Awaitable[bytes]]


@dataclass(frozen=True)
class Edge:
    """What the links of one process share, made once."""

    process: Process
    tokens: Tokens
    load: Load
    validator: Validator
    streams: Streams


Link = Callable[[Method, Edge, Handler], Handler]
