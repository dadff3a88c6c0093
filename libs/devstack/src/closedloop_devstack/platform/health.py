"""Is a process well? gRPC health where it answers gRPC, /healthz everywhere."""

from __future__ import annotations

from http.client import HTTPConnection, HTTPException

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from closedloop_devstack.ports import LOOPBACK

SECONDS = 2.0


def serves(address: str) -> bool:
    """Whether the server as a whole answers SERVING to grpc.health.v1."""
    # A pool of its own: a shared one would remember an earlier refusal and back off.
    with grpc.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=SECONDS)
        except grpc.RpcError:
            return False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def answers(port: int) -> bool:
    """Whether /healthz answers 200 there."""
    connection = HTTPConnection(LOOPBACK, port, timeout=SECONDS)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
