"""The innermost part: one mutating call is one transaction and acts once per request id.

The answer is stored with the state it tells of. Whoever repeats a call, later or at the same time, gets the first
answer; whoever uses the id for something else is refused.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Coroutine
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, cast

import grpc.aio
import psycopg
from psycopg_pool import PoolTimeout

from closedloop_chassis import errors
from closedloop_chassis.contract import Method
from closedloop_chassis.data.records import FORGOTTEN
from closedloop_chassis.data.transaction import DuplicateRequest, Transaction
from closedloop_chassis.edge.exchange import Edge, Exchange, Handler
from closedloop_chassis.service import RpcHandler, StreamHandler
from closedloop_chassis.telemetry.logs import logger
from closedloop_chassis.telemetry.metrics import RPC_REPEATED
from closedloop_chassis.work import Call

if TYPE_CHECKING:
    from closedloop_chassis.process import Process

Result = TypeVar("Result")

log = logger(__name__)


# PostgreSQL undid one of two that stood in each other's way: that one begins again, before its caller hears of it.
COLLISIONS = (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure, errors.Overtaken)
ATTEMPTS = 3


class NoTransaction:
    """Stands in `call.tx` of an RPC that changes nothing."""

    def __init__(self, method: str) -> None:
        self._method = method

    def __getattr__(self, name: str) -> NoReturn:
        raise TypeError(f"{self._method} does not mutate by its contract: read through call.db, not call.tx.{name}")


def innermost(method: Method, edge: Edge, serve: RpcHandler | StreamHandler) -> Handler:
    if method.streams:
        if method.mutates:
            raise LookupError(f"{method.full_name} streams and mutates: a repeated call could not get its first answer")
        return _stream(method, edge, cast("StreamHandler", serve))
    return (_mutation if method.mutates else _reading)(method, edge, cast("RpcHandler", serve))


def _call(process: Process, exchange: Exchange, tx: Transaction, request_id: str, *, overtaken: bool = False) -> Call:
    return Call(
        process=process,
        now=process.time.now(),
        actor=exchange.caller.subject,
        cause=exchange.method.full_name,
        tx=tx,
        method=exchange.method,
        caller=exchange.caller,
        scope=exchange.scope,
        request_id=request_id,
        expires=exchange.expires,
        payload=exchange.payload,
        overtaken=overtaken,
    )


def _reading(method: Method, edge: Edge, serve: RpcHandler) -> Handler:
    process, no_tx = edge.process, cast(Transaction, NoTransaction(method.full_name))

    async def reading(exchange: Exchange) -> bytes:
        answer = await serve(exchange.request, _call(process, exchange, no_tx, ""))
        return answer if isinstance(answer, bytes) else answer.SerializeToString()

    return reading


def _stream(method: Method, edge: Edge, serve: StreamHandler) -> Handler:
    process, streams, no_tx = edge.process, edge.streams, cast(Transaction, NoTransaction(method.full_name))

    async def stream(exchange: Exchange) -> bytes:
        with streams.open():
            write = exchange.context.write
            # Closed at once when the caller leaves, so that what the handler holds is given back.
            async with aclosing(cast(Any, serve(exchange.request, _call(process, exchange, no_tx, "")))) as messages:
                async for message in messages:
                    try:
                        await write(message.SerializeToString())
                    except grpc.aio.InternalError:
                        # Nothing else ends a write so but a caller who has left, of whom we have not heard yet.
                        break
        return b""

    return stream


def _mutation(method: Method, edge: Edge, serve: RpcHandler) -> Handler:
    fields = method.request.DESCRIPTOR.fields_by_name
    if "request_id" not in fields:
        raise LookupError(f"{method.full_name} mutates and takes no request_id")
    rehearsable = "validate_only" in fields
    process, repeated = edge.process, RPC_REPEATED.labels(method.full_name)

    async def mutation(exchange: Exchange) -> bytes:
        request = exchange.request
        request_id: str = request.request_id
        if not request_id:
            raise errors.InvalidArgument("REQUEST_ID_MISSING", "say a request_id", {"request_id": "value is required"})
        remember = not (rehearsable and request.validate_only)
        request_hash = hashlib.sha256(request.SerializeToString(deterministic=True)).digest()
        subject = exchange.caller.subject
        attempts, overtaken = ATTEMPTS, False
        while True:
            attempts -= 1
            tx = process.database.transaction()
            try:
                call = _call(process, exchange, tx, request_id, overtaken=overtaken)
                told = await serve(request, call)
                answer = told if isinstance(told, bytes) else told.SerializeToString()
                if remember:
                    tx.remember(subject, request_id, method.full_name, request_hash, answer)
                await tx.commit()
                return answer
            except (DuplicateRequest, errors.DomainError, psycopg.Error) as error:
                await _to_its_end(tx.rollback())
                if attempts and isinstance(error, COLLISIONS):
                    overtaken = True
                    continue
                first = await _first_answer(error, request_hash, exchange, request_id) if remember else None
                if first is None:
                    raise _worth_retrying(error) from error
                repeated.inc()
                return first
            except BaseException:
                await _to_its_end(tx.rollback())
                raise

    async def _first_answer(error: Exception, request_hash: bytes, exchange: Exchange, request_id: str) -> bytes | None:
        if isinstance(error, PoolTimeout):
            return None  # asking again would only add to the queue
        try:
            remembered = await process.database.recall(exchange.caller.subject, request_id)
        except psycopg.Error as away:
            log.warning("cannot recall an earlier answer", error=type(away).__name__)
            return None
        if remembered is None:
            return None
        if remembered.method == FORGOTTEN:
            raise errors.FailedPrecondition(
                "ANSWER_FORGOTTEN", "this request was done; its answer spoke of a person who has been erased since"
            )
        if bytes(remembered.request_hash) != request_hash or remembered.method != method.full_name:
            raise errors.InvalidArgument(
                "REQUEST_ID_REUSED",
                "this request_id was used for another request; take a new one",
                {"request_id": "was used for another request"},
            )
        return bytes(remembered.response)

    return mutation


def _worth_retrying(error: Exception) -> Exception:
    if isinstance(error, DuplicateRequest):
        # The first answer was there a moment ago and cannot be had now.
        return errors.Unavailable("ANSWER_AWAY", "this request was answered before; ask again for the answer")
    return error


async def _to_its_end(work: Coroutine[Any, Any, Result]) -> Result:
    """Runs `work` to its end even when the call is cancelled meanwhile; then the cancellation is passed on."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            try:
                await asyncio.wait([task])
            except asyncio.CancelledError:
                continue
        if not task.cancelled():
            task.exception()
        raise
