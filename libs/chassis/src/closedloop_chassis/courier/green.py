"""Makes this process green: sockets, locks and sleeps yield to eventlet's hub."""

from __future__ import annotations

import os
import sys
import warnings

# They take locks or bind socket functions when they are imported, or hold objects eventlet cannot look through.
PATCHED_TOO_LATE = ("pydantic", "structlog", "psycopg", "psycopg_pool", "redis", "kombu", "nameko")


def patch() -> None:
    """Idempotent. Belongs before the imports of a courier process; raises RuntimeError where it comes too late."""
    # psycopg picks its wait function at import; its C loop would block the hub.
    os.environ["PSYCOPG_WAIT_FUNC"] = "wait_select"

    with warnings.catch_warnings():
        # It tells every process that it is in maintenance; decisions are not made at run time.
        warnings.simplefilter("ignore")
        import eventlet

    if eventlet.patcher.is_monkey_patched("socket"):
        return
    late = [name for name in PATCHED_TOO_LATE if name in sys.modules]
    if late:
        raise RuntimeError(f"import closedloop_chassis.main before the service; {', '.join(late)} came first")
    eventlet.monkey_patch()


def refuse_grpc() -> None:
    """Raises RuntimeError if grpcio is here: its threads hang under monkey-patching."""
    if "grpc" in sys.modules:
        raise RuntimeError("a courier must not import grpcio; find the import with `python -X importtime`")
