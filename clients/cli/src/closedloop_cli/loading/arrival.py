"""Waits until what targets and customers told has reached those who keep copies; the platform says how far it is."""

from __future__ import annotations

import time
from collections.abc import Sequence

import grpc
import grpc.aio

from closedloop.platform.v1 import platform_pb2, platform_pb2_grpc
from closedloop_cli.session import Session

PAUSE_SECONDS = 0.25
# A way that does not get shorter for so long is blocked by something else than us.
STANDSTILL_SECONDS = 15.0
# Copies are read from memory, renewed as they arrive; a replica may be a second late, and what comes too early is sent again.
MEMORY_SECONDS = 0.25


def wait(run: Session, tellers: Sequence[str], listener: str) -> None:
    """Says so and goes on where the way stands still: rows that come too early are sent again."""
    least, since = None, time.monotonic()
    with run.screen.progress("waiting_for_copies", service=listener):
        while True:
            ahead = _ahead(run, tellers, listener)
            if not ahead:
                break
            if least is None or ahead < least:
                least, since = ahead, time.monotonic()
            elif time.monotonic() - since > STANDSTILL_SECONDS:
                run.screen.note("copies_late", service=listener, events=ahead)
                return
            time.sleep(PAUSE_SECONDS)
        time.sleep(MEMORY_SECONDS)


def _ahead(run: Session, tellers: Sequence[str], listener: str) -> int:
    """Events still on their way; 0 for a caller who may not know."""
    try:
        return sum(_backlog(run, teller).outbox for teller in tellers) + _backlog(run, listener).inbox
    except grpc.aio.AioRpcError as error:
        if error.code() is grpc.StatusCode.PERMISSION_DENIED:
            return 0
        raise


def _backlog(run: Session, service: str) -> platform_pb2.GetEventBacklogResponse:
    stub = run.stub(service, platform_pb2_grpc.EventServiceStub)
    return run.call(stub.GetEventBacklog, platform_pb2.GetEventBacklogRequest())
