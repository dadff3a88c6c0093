"""Domain errors and the one place where they become gRPC status codes.

A rule or a store raises one of these; everything else that escapes becomes INTERNAL with an id. Reasons are
UPPER_SNAKE words a program can match on; messages are one sentence for a person, saying what to do.
"""

from __future__ import annotations

from collections.abc import Mapping


class DomainError(Exception):
    """A refusal the caller can understand. `metadata` goes into `ErrorInfo.metadata`."""

    code: str = "UNKNOWN"

    def __init__(self, reason: str, message: str, **metadata: object) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.metadata: Mapping[str, str] = {key: str(value) for key, value in metadata.items()}


class InvalidArgument(DomainError):
    """The request is wrong whatever the state. `violations` maps field paths to what is wrong with them."""

    code = "INVALID_ARGUMENT"

    def __init__(
        self, reason: str, message: str, violations: Mapping[str, str] | None = None, **metadata: object
    ) -> None:
        super().__init__(reason, message, **metadata)
        self.violations = dict(violations or {})


class NotFound(DomainError):
    """The record does not exist, or not for this caller to know."""

    code = "NOT_FOUND"


class AlreadyExists(DomainError):
    code = "ALREADY_EXISTS"


class PermissionDenied(DomainError):
    code = "PERMISSION_DENIED"


class Unauthenticated(DomainError):
    code = "UNAUTHENTICATED"


class FailedPrecondition(DomainError):
    """The request is right, the state is not: a closed deal, a missing evidence, an unknown calendar year."""

    code = "FAILED_PRECONDITION"


class OutOfRange(DomainError):
    """What is asked for was there once and is kept no longer."""

    code = "OUT_OF_RANGE"


class Aborted(DomainError):
    """Somebody else was faster (stale etag); read again and retry."""

    code = "ABORTED"


class Overtaken(Aborted):
    """What was presumed no longer held at the commit. The unit of work begins again by itself, and knows of it
    (`work.overtaken`); only who is overtaken every time hears ABORTED."""


class ResourceExhausted(DomainError):
    """Overload or a limit; `retry_after` seconds is sent as RetryInfo."""

    code = "RESOURCE_EXHAUSTED"

    def __init__(self, reason: str, message: str, retry_after: float = 1.0, **metadata: object) -> None:
        super().__init__(reason, message, **metadata)
        self.retry_after = retry_after


class Unavailable(DomainError):
    """A server we stand on is away for the moment; safe to retry."""

    code = "UNAVAILABLE"

    def __init__(self, reason: str, message: str, retry_after: float = 1.0, **metadata: object) -> None:
        super().__init__(reason, message, **metadata)
        self.retry_after = retry_after


class DeadlineExceeded(DomainError):
    code = "DEADLINE_EXCEEDED"


class Unimplemented(DomainError):
    """Drawn in the contract, not yet served by this release."""

    code = "UNIMPLEMENTED"
