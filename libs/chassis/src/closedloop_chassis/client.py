"""How we call: channels that retry what may be retried, and pass on deadline, trace and token.

async with channel("dns:///targets:7400", "closedloop.targets.v1") as targets:
    await plans_pb2_grpc.PlanServiceStub(targets).GetPlan(request, timeout=2)
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import grpc
import grpc.aio
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from google.rpc.status_pb2 import Status

from closedloop_chassis import contract, packages, tls
from closedloop_chassis.contract import Method
from closedloop_chassis.edge.deadline import MARGIN_SECONDS, expires
from closedloop_chassis.settings import Settings
from closedloop_chassis.telemetry.logs import logger
from closedloop_chassis.telemetry.tracing import current_traceparent

Stub = TypeVar("Stub")

log = logger(__name__)

# A little more than the server allows itself, so that its answer comes and not our impatience.
PATIENCE_SECONDS = 0.25
RETRY_POLICY = {
    "maxAttempts": 4,
    "initialBackoff": "0.1s",
    "maxBackoff": "1s",
    "backoffMultiplier": 2,
    # A server that leaves cancels the calls it has received and not yet begun.
    "retryableStatusCodes": ["UNAVAILABLE", "CANCELLED"],
}
# gRPC's own patience doubles up to two minutes: a server back from a short absence would not be noticed for as long.
RECONNECTING = (
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    # How long one attempt may take; it has nothing to do with the pause before the next.
    ("grpc.min_reconnect_backoff_ms", 3_000),
)
# The retry budget: when more than about one call in ten fails, no more retries.
RETRY_THROTTLING = {"maxTokens": 10, "tokenRatio": 0.1}


def channel(
    target: str,
    *of: str,
    token_file: Path | None = None,
    credentials: grpc.ChannelCredentials | None = None,
    max_message_bytes: int = 32 * 1024 * 1024,
) -> grpc.aio.Channel:
    """A channel to a server of the contract packages `of` and the platform's. Plain text without `credentials`.

    The token in `token_file` is sent along, and read again when the file changes.
    """
    options = [
        ("grpc.service_config", service_config(*of, packages.PLATFORM)),
        ("grpc.max_receive_message_length", max_message_bytes),
        ("grpc.max_send_message_length", max_message_bytes),
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        *RECONNECTING,
    ]
    caps = {method.path: method.deadline + PATIENCE_SECONDS for method in _methods(*of, packages.PLATFORM)}
    passing_on = _PassingOn(caps, TokenFile(token_file) if token_file else None)
    interceptors: list[Any] = [_UnaryPassingOn(passing_on), _StreamPassingOn(passing_on)]
    if credentials is None:
        return grpc.aio.insecure_channel(target, options=options, interceptors=interceptors)
    return grpc.aio.secure_channel(target, credentials, options=options, interceptors=interceptors)


def service_config(*of: str) -> str:
    """gRPC's service config in JSON, for the packages `of`: round robin, and retries where a repeat acts once.

    No timeouts: gRPC counts those of the config from a coarse clock, and one of a second may fire at once.
    """
    names = [{"service": method.service, "method": method.name} for method in _methods(*of) if _repeatable(method)]
    return json.dumps(
        {
            "loadBalancingConfig": [{"round_robin": {}}],
            "retryThrottling": RETRY_THROTTLING,
            "methodConfig": [{"name": names, "retryPolicy": RETRY_POLICY}],
        }
    )


def _methods(*of: str) -> Iterator[Method]:
    for package in of:
        for name in packages.services(package):
            yield from contract.methods(name)


def _repeatable(method: Method) -> bool:
    return not method.mutates or "request_id" in method.request.DESCRIPTOR.fields_by_name


class TokenFile:
    """The bearer token in a file, looked at no more than once a second."""

    def __init__(self, path: Path, every: float = 1.0) -> None:
        self._path = path
        self._every = every
        self._next_look = 0.0
        self._seen = 0
        self._token = ""

    def token(self) -> str:
        """The last one that could be read; empty before that."""
        now = time.monotonic()
        if now >= self._next_look:
            self._next_look = now + self._every
            try:
                seen = self._path.stat().st_mtime_ns
                if seen != self._seen:
                    self._token, self._seen = self._path.read_text().strip(), seen
            except OSError as error:
                log.error("cannot read our token", path=str(self._path), error=str(error))
        return self._token


class _PassingOn:
    def __init__(self, caps: Mapping[str, float], token_file: TokenFile | None) -> None:
        self._caps = caps
        self._token_file = token_file

    def __call__(self, details: grpc.aio.ClientCallDetails) -> grpc.aio.ClientCallDetails:
        metadata = grpc.aio.Metadata(*(details.metadata or ()))
        if "traceparent" not in metadata:
            metadata.add("traceparent", current_traceparent())
        if self._token_file is not None and "authorization" not in metadata and (token := self._token_file.token()):
            metadata.add("authorization", f"Bearer {token}")
        timeouts = [details.timeout] if details.timeout is not None else []
        method: bytes | str = details.method
        if cap := self._caps.get(method.decode() if isinstance(method, bytes) else method):
            timeouts.append(cap)
        if ends := expires.get():
            timeouts.append(max(ends - time.monotonic() - MARGIN_SECONDS, 0.0))
        timeout = min(timeouts, default=None)
        return grpc.aio.ClientCallDetails(
            details.method, timeout, metadata, details.credentials, details.wait_for_ready
        )


class _UnaryPassingOn(grpc.aio.UnaryUnaryClientInterceptor):  # type: ignore[type-arg]
    def __init__(self, passing_on: _PassingOn) -> None:
        self._passing_on = passing_on

    async def intercept_unary_unary(
        self, continuation: Any, client_call_details: grpc.aio.ClientCallDetails, request: Any
    ) -> Any:
        return await continuation(self._passing_on(client_call_details), request)


class _StreamPassingOn(grpc.aio.UnaryStreamClientInterceptor):  # type: ignore[type-arg]
    def __init__(self, passing_on: _PassingOn) -> None:
        self._passing_on = passing_on

    async def intercept_unary_stream(
        self, continuation: Any, client_call_details: grpc.aio.ClientCallDetails, request: Any
    ) -> Any:
        return await continuation(self._passing_on(client_call_details), request)


class Peers:
    """The other services, as `settings.peers` names their addresses; one channel each, opened when first used."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._channels: dict[str, grpc.aio.Channel] = {}

    def stub(self, service: str, stub: Callable[[grpc.aio.Channel], Stub]) -> Stub:
        """`peers.stub("targets", PlanServiceStub)`. Raises LookupError for a service without an address."""
        return stub(self.channel(service))

    def channel(self, service: str) -> grpc.aio.Channel:
        if service not in self._channels:
            if service not in self._settings.peers:
                raise LookupError(f"CLOSEDLOOP_PEERS names no address of {service}")
            self._channels[service] = channel(
                self._settings.peers[service],
                f"closedloop.{service}.v1",
                token_file=self._settings.service_token_file,
                credentials=tls.of_channel(self._settings),
                max_message_bytes=self._settings.max_message_bytes,
            )
        return self._channels[service]

    async def close(self) -> None:
        channels, self._channels = self._channels, {}
        for opened in channels.values():
            await opened.close(None)


def status(error: grpc.aio.AioRpcError) -> Status:
    """The status a call was refused with; without details where the server attached none."""
    trailing: Any = error.trailing_metadata()
    for key, value in trailing or ():
        if key == "grpc-status-details-bin" and isinstance(value, bytes):
            return Status.FromString(value)
    return Status(code=error.code().value[0], message=error.details() or "")


def info(error: grpc.aio.AioRpcError) -> ErrorInfo:
    """Reason, domain and metadata of a refused call; empty where the server attached none."""
    found = ErrorInfo()
    _unpack(status(error), found)
    return found


def violations(error: grpc.aio.AioRpcError) -> Mapping[str, str]:
    """What was wrong with which field of the request."""
    found = BadRequest()
    _unpack(status(error), found)
    return {violation.field: violation.description for violation in found.field_violations}


def _unpack(refusal: Status, into: ErrorInfo | BadRequest) -> None:
    for detail in refusal.details:
        if detail.Unpack(into):
            return
