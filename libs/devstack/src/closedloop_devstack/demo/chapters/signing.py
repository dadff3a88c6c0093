"""How people of the story sign what approvals asks of them."""

from __future__ import annotations

from closedloop.approvals.v1 import requests_pb2, requests_pb2_grpc
from closedloop_chassis import ids
from closedloop_devstack.demo.stage import OPERATIONS
from closedloop_devstack.demo.tale import Tale


def request_of(tale: Tale, subject_id: str) -> requests_pb2.Request:
    """The approval request that funnel's event opened for a quote or a contract."""
    requests = tale.stage.stub(requests_pb2_grpc.RequestServiceStub, OPERATIONS)
    asked = requests_pb2.ListRequestsRequest(origin="funnel", subject_id=subject_id)
    [found] = tale.stage.until("the approval request", lambda: requests.ListRequests(asked).requests)
    return read(tale, found.id)


def read(tale: Tale, request_id: str) -> requests_pb2.Request:
    requests = tale.stage.stub(requests_pb2_grpc.RequestServiceStub, OPERATIONS)
    return requests.GetRequest(requests_pb2.GetRequestRequest(id=request_id))


def trail(tale: Tale, request_id: str) -> list[requests_pb2.TrailEntry]:
    requests = tale.stage.stub(requests_pb2_grpc.RequestServiceStub, OPERATIONS)
    return list(requests.ListTrail(requests_pb2.ListTrailRequest(id=request_id, page_size=100)).entries)


def asked_now(request: requests_pb2.Request) -> list[requests_pb2.Signer]:
    """Whose signature is asked at this moment; who came in by escalation first."""
    signers = [
        signer
        for step in request.steps
        if step.number in request.active_steps
        for signer in step.signers
        if signer.state == requests_pb2.SIGNER_STATE_ASKED
    ]
    return sorted(signers, key=lambda signer: not signer.from_person_id)


def approve(tale: Tale, request_id: str, comment: str) -> list[str]:
    """Signs step by step until it is decided; answers who signed, in order."""
    signed: list[str] = []
    while (request := read(tale, request_id)).state == requests_pb2.REQUEST_STATE_PENDING:
        signer = asked_now(request)[0].person_id
        requests = tale.stage.stub(requests_pb2_grpc.RequestServiceStub, signer)
        requests.Decide(
            requests_pb2.DecideRequest(
                request_id=ids.new_id(),
                id=request.id,
                etag=request.etag,
                verdict=requests_pb2.VERDICT_APPROVE,
                comment=comment,
            )
        )
        signed.append(signer)
        tale.tell(
            f"{tale.name(signer)}（{tale.company.person[signer].title}）批准：{comment}",
            f"{tale.name(signer)} approves.",
        )
    return signed
