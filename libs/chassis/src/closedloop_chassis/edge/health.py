"""Health per gRPC service. Watches are ended by us when the server drains, else they would hold it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from grpc_health.v1 import health_pb2
from grpc_health.v1._async import HealthServicer

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class Health(HealthServicer):  # type: ignore[misc]
    """NOT_SERVING until `tell(True)`; "" stands for the server as a whole."""

    def __init__(self, services: Iterable[str]) -> None:
        super().__init__()
        self._names = ("", *services)
        self._server_status.update(dict.fromkeys(self._names, NOT_SERVING))
        self._watches: set[asyncio.Task[Any]] = set()
        self._ending = False

    async def tell(self, serving: bool) -> None:
        for name in self._names:
            await self.set(name, SERVING if serving else NOT_SERVING)

    async def Watch(self, request: health_pb2.HealthCheckRequest, context: Any) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._watches.add(task)
        try:
            await super().Watch(request, context)
        except asyncio.CancelledError:
            if not self._ending:
                raise
            task.uncancel()
        finally:
            self._watches.discard(task)

    def end_watches(self) -> None:
        """Every open watch ends with OK, having been told NOT_SERVING before."""
        self._ending = True
        for task in self._watches:
            task.cancel()
