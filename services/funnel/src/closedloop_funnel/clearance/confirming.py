"""Before a quote or a contract is sealed, approvals itself says whether this very content was cleared (S66).

Our copy of the decision came by the broker; whoever can write to the broker, or to our tables, could have written it.
"""

from __future__ import annotations

import grpc
import grpc.aio

from closedloop.approvals.v1 import requests_pb2, requests_pb2_grpc
from closedloop_chassis import errors
from closedloop_chassis.telemetry.logs import logger
from closedloop_chassis.work import Call
from closedloop_funnel.clearance.record import Clearance
from closedloop_funnel.clearance.telling import ORIGIN

log = logger(__name__)


async def confirm(record: Clearance, kind: str, call: Call) -> None:
    """Raises FailedPrecondition NOT_CLEARED, Unavailable CLEARANCE_UNREACHABLE: without an answer nothing is sealed."""
    asked = requests_pb2.CheckClearanceRequest(
        origin=ORIGIN,
        kind=kind,
        subject_id=record.id,
        version=record.submitted_revision,
        digest=record.content_digest,
    )
    try:
        stub = call.process.peers.stub("approvals", requests_pb2_grpc.RequestServiceStub)
        answer = await stub.CheckClearance(asked)
    except LookupError as error:
        if call.process.settings.development:
            # One service alone on a desk; a company without the address seals nothing.
            return
        raise errors.Unavailable("CLEARANCE_UNREACHABLE", "no address of approvals is known here") from error
    except grpc.aio.AioRpcError as error:
        log.warning("approvals does not answer", code=error.code().name, detail=error.details())
        raise errors.Unavailable(
            "CLEARANCE_UNREACHABLE", "approvals does not answer; without its decision nothing leaves the house"
        ) from error
    if not answer.cleared:
        raise errors.FailedPrecondition(
            "NOT_CLEARED",
            f"approvals says of exactly this {kind}: {answer.reason}",
            clearance=answer.reason,
            request_id=answer.request_id,
        )
