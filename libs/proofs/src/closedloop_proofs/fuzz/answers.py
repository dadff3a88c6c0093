"""What a service said, and whether it was proper: a code of the list, ErrorInfo of its domain, no inner secrets, in time."""

from __future__ import annotations

from dataclasses import dataclass

import grpc.aio
from google.protobuf.message import DecodeError, Message

from closedloop.common.v1.common_pb2 import BulkSummary
from closedloop_chassis import client
from closedloop_chassis.contract import Method

PROPER = frozenset({
    "INVALID_ARGUMENT", "NOT_FOUND", "PERMISSION_DENIED", "FAILED_PRECONDITION", "ABORTED", "ALREADY_EXISTS",
    "RESOURCE_EXHAUSTED", "UNIMPLEMENTED", "UNAUTHENTICATED",
})  # fmt: skip
# What a caller must never read: our code, our SQL, where we stand.
INNER = ("Traceback", 'File "', "psycopg", "site-packages", "SELECT ", "INSERT INTO", "UPDATE ", 'relation "')
# Over the cap: the way there and back, on a machine that has something to do.
GRACE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Answer:
    """`code` is "OK" where the call was served; `fault` says what was not proper about it, empty where nothing."""

    code: str
    fault: str
    seconds: float
    words: str = ""
    reason: str = ""
    violations: tuple[str, ...] = ()
    message: Message | None = None

    @property
    def all_rows_refused(self) -> bool:
        """A bulk call was served, and refused its rows one by one; some answers carry their summary beside ids."""
        if self.message is None:
            return False
        inside = "summary" in self.message.DESCRIPTOR.fields_by_name
        summary = self.message.summary if inside else self.message  # type: ignore[attr-defined]
        return isinstance(summary, BulkSummary) and summary.read == summary.rejected == len(summary.errors) > 0


def judged(
    service: str,
    method: Method,
    payload: bytes,
    raw: bytes,
    error: grpc.aio.AioRpcError | None,
    seconds: float,
    busy: float,
) -> Answer:
    """`busy`: how many times slower than alone the machine may be."""
    late = seconds > method.deadline + GRACE_SECONDS * busy
    if error is None:
        try:
            message = method.response.FromString(raw)
        except DecodeError as broken:
            return Answer("OK", f"cannot be read: {broken}", seconds)
        fault = f"was answered after {seconds:.1f} s, its cap is {method.deadline:.1f} s" if late else ""
        return Answer("OK", fault, seconds, message=message)
    words, info, code = error.details() or "", client.info(error), error.code().name
    violations = client.violations(error)
    fault = ""
    if code not in PROPER:
        fault = f"{code} {info.reason}: {words[:300]}"
    elif inner := next((one for one in INNER if one in f"{words} {violations}" and one.encode() not in payload), ""):
        fault = f"tells {inner!r}: {words[:300]}"
    elif not info.reason or info.domain != f"closedloop.{service}":
        fault = f"{code} with ErrorInfo {info.reason!r} of {info.domain!r}: {words[:200]}"
    elif late:
        fault = f"{code} after {seconds:.1f} s, the cap is {method.deadline:.1f} s"
    return Answer(code, fault, seconds, words, info.reason, tuple(violations))
