"""What can go wrong, each as one sentence that says what to do, with the status the command ends in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio

from closedloop_chassis import client
from closedloop_cli.words import Words

REFUSED, USAGE, UNREACHABLE = 1, 2, 3

# What a person can do about each status; the server's own sentence stands before it.
_ADVICE = {
    grpc.StatusCode.UNAUTHENTICATED: "advice.unauthenticated",
    grpc.StatusCode.PERMISSION_DENIED: "advice.permission_denied",
    grpc.StatusCode.ABORTED: "advice.aborted",
    grpc.StatusCode.RESOURCE_EXHAUSTED: "advice.resource_exhausted",
    grpc.StatusCode.UNIMPLEMENTED: "advice.unimplemented",
    grpc.StatusCode.INTERNAL: "advice.internal",
    grpc.StatusCode.DEADLINE_EXCEEDED: "advice.deadline_exceeded",
}


class CommandError(Exception):
    """Ends the command. `key` and `values` name a sentence of the catalogue."""

    status = REFUSED

    def __init__(self, key: str, **values: object) -> None:
        super().__init__(key)
        self.key = key
        self.values = values


class Refused(CommandError):
    status = REFUSED


class Usage(CommandError):
    status = USAGE


class Unreachable(CommandError):
    status = UNREACHABLE


@dataclass(frozen=True, slots=True)
class Failure:
    """A failure as it is shown."""

    status: int
    code: str
    reason: str
    message: str
    advice: str = ""
    violations: dict[str, str] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)

    @property
    def sentence(self) -> str:
        """What happened and what to do about it."""
        ended = self.message.endswith((".", "。", "!", "?", "！", "？"))
        return " ".join(filter(None, (self.message if ended else f"{self.message}.", self.advice)))

    def document(self) -> dict[str, Any]:
        """{"code", "reason", "message", "advice", "violations", "metadata"}"""
        return {
            "code": self.code,
            "reason": self.reason,
            "message": self.message,
            "advice": self.advice,
            "violations": self.violations,
            "metadata": self.metadata,
        }


def of_command(error: CommandError, words: Words) -> Failure:
    code = {REFUSED: "REFUSED", USAGE: "USAGE", UNREACHABLE: "UNREACHABLE"}[error.status]
    return Failure(error.status, code, error.key.upper().replace(".", "_"), words(error.key, **error.values))


def of_call(error: grpc.aio.AioRpcError, words: Words) -> Failure:
    """From google.rpc.Status: reason, message, violations; and what to do about it."""
    code, info = error.code(), client.info(error)
    if code is grpc.StatusCode.UNAVAILABLE and not info.reason:
        return Failure(UNREACHABLE, code.name, "", words("unreachable"), words("advice.unavailable"))
    away = code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
    advice = words(_ADVICE[code]) if code in _ADVICE else ""
    return Failure(
        UNREACHABLE if away else REFUSED,
        code.name,
        info.reason,
        client.status(error).message or code.name,
        advice,
        dict(client.violations(error)),
        dict(info.metadata),
    )
