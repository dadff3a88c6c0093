"""Turns whatever is raised further in into the status the caller gets. Links outside of this one see no errors."""

from __future__ import annotations

from closedloop_chassis.contract import Method
from closedloop_chassis.edge import statuses
from closedloop_chassis.edge.exchange import Edge, Exchange, Handler
from closedloop_chassis.ids import new_id
from closedloop_chassis.telemetry.logs import logger

log = logger(__name__)


def link(method: Method, edge: Edge, following: Handler) -> Handler:
    domain = statuses.domain(edge.process.service.name)

    async def refusals(exchange: Exchange) -> bytes:
        try:
            return await following(exchange)
        except Exception as error:
            refusal = statuses.recognised(error)
            if refusal is None:
                error_id = new_id()
                log.error("rpc failed", error_id=error_id, exc_info=error)
                exchange.refusal = statuses.masked(error_id, domain)
            else:
                if refusal is not error:
                    log.info("rpc refused", reason=refusal.reason, cause=str(error))
                exchange.refusal = statuses.status(refusal, domain)
            return b""

    return refusals
