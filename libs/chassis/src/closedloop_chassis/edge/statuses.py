"""From errors to gRPC statuses: the only place that knows both."""

from __future__ import annotations

import grpc
import grpc.aio
import psycopg
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import Message
from google.rpc.code_pb2 import Code
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from psycopg import errors as sql
from psycopg_pool import PoolClosed, PoolTimeout, TooManyRequests

from closedloop_chassis import errors
from closedloop_chassis.data.connections import ServerAway

DETAILS_KEY = "grpc-status-details-bin"  # fixed by gRPC for google.rpc.Status
CODES = {code.value[0]: code for code in grpc.StatusCode}

# Peers refuse more than 8 KiB of metadata, so a status must stay well below, whatever it has to say.
MESSAGE_CHARACTERS = 400
VALUE_CHARACTERS = 200
VIOLATIONS_BYTES = 3000


def domain(service: str) -> str:
    return f"closedloop.{service}"


def status(error: errors.DomainError, domain: str) -> Status:
    """google.rpc.Status with ErrorInfo, and BadRequest or RetryInfo where the error has them."""
    metadata = {key: _short(value, VALUE_CHARACTERS) for key, value in error.metadata.items()}
    result = _status(
        Code.Value(error.code), error.message, ErrorInfo(reason=error.reason, domain=domain, metadata=metadata)
    )
    if isinstance(error, errors.InvalidArgument) and error.violations:
        result.details.append(_packed(_bad_request(error)))
    if isinstance(error, errors.ResourceExhausted | errors.Unavailable):
        retry = RetryInfo()
        retry.retry_delay.FromNanoseconds(int(error.retry_after * 1e9))
        result.details.append(_packed(retry))
    return result


def masked(error_id: str, domain: str) -> Status:
    """What the caller learns of an error nobody foresaw: an id to be found in the log."""
    info = ErrorInfo(reason="INTERNAL", domain=domain, metadata={"error_id": error_id})
    return _status(Code.INTERNAL, f"something went wrong inside; quote {error_id} to those who run this", info)


def recognised(error: Exception) -> errors.DomainError | None:
    """The domain error that `error` is or stands for; None for what nobody foresaw."""
    if isinstance(error, errors.DomainError):
        return error
    if isinstance(error, grpc.aio.AioRpcError):
        return _of_peer(error)
    return _of_database(error) if isinstance(error, psycopg.Error) else None


def _of_peer(error: grpc.aio.AioRpcError) -> errors.DomainError | None:
    if error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED):
        return errors.Unavailable("PEER_AWAY", "a service this one needs is away for the moment; try again")
    if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
        return errors.DeadlineExceeded("PEER_TOO_SLOW", "a service this one needs took too long")
    return None


def _of_database(error: psycopg.Error) -> errors.DomainError | None:
    if isinstance(error, ServerAway):
        return errors.Unavailable("DATABASE_AWAY", "the database is away for the moment; try again")
    if isinstance(error, PoolTimeout | TooManyRequests):
        return errors.ResourceExhausted("NO_CONNECTION_FREE", "too much is going on at the moment; try again")
    if isinstance(error, PoolClosed):
        return errors.Unavailable("CLOSING", "this server is closing; try again at another")
    if isinstance(error, sql.QueryCanceled):
        return errors.DeadlineExceeded("STATEMENT_TIMEOUT", "the database took too long")
    # Class 40: serialization failures and deadlocks; 55P03: a lock not had in time.
    if isinstance(error, psycopg.OperationalError) and (error.sqlstate or "").startswith(("40", "55P03")):
        return errors.Aborted("CONFLICT", "another change came in between; read again and repeat")
    if isinstance(error, psycopg.OperationalError) and (error.sqlstate or "").startswith("53"):
        return errors.ResourceExhausted("DATABASE_EXHAUSTED", "the database has no room for more; try again later", 5.0)
    if isinstance(error, psycopg.OperationalError | sql.ReadOnlySqlTransaction | sql.IdleInTransactionSessionTimeout):
        return errors.Unavailable("DATABASE_AWAY", "the database is away for the moment; try again")
    if isinstance(error, psycopg.DataError):
        return errors.InvalidArgument("VALUE_REFUSED", "a value of the request is none that can be kept")
    return None


def trailing(refusal: Status) -> tuple[tuple[str, bytes], ...]:
    """The trailing metadata that carries the status."""
    return ((DETAILS_KEY, refusal.SerializeToString()),)


def _bad_request(error: errors.InvalidArgument) -> BadRequest:
    result, size = BadRequest(), 0
    for field, description in error.violations.items():
        field, description = _short(field, VALUE_CHARACTERS), _short(description, VALUE_CHARACTERS)
        size += len(field.encode()) + len(description.encode()) + 8
        if size > VIOLATIONS_BYTES:
            break
        result.field_violations.add(field=field, description=description)
    return result


def _status(code: int, message: str, info: ErrorInfo) -> Status:
    return Status(code=code, message=_short(message, MESSAGE_CHARACTERS), details=[_packed(info)])


def _packed(message: Message) -> AnyMessage:
    result = AnyMessage()
    result.Pack(message)
    return result


def _short(text: str, characters: int) -> str:
    return text if len(text) <= characters else text[: characters - 1] + "…"
