"""gRPC's own view of sockets and channels, behind the same chain as everything else: for administrators."""

from __future__ import annotations

from typing import Any

from google.protobuf import json_format
from google.protobuf.message import Message
from grpc._cython import cygrpc  # type: ignore[attr-defined]
from grpc_channelz.v1 import channelz_pb2

from closedloop_chassis import errors
from closedloop_chassis.contract import Method
from closedloop_chassis.service import RpcHandler
from closedloop_chassis.work import Call

SERVICE = "grpc.channelz.v1.Channelz"


def methods() -> list[tuple[Method, RpcHandler]]:
    return [
        _method("GetTopChannels", lambda asked: cygrpc.channelz_get_top_channels(asked.start_channel_id)),
        _method("GetServers", lambda asked: cygrpc.channelz_get_servers(asked.start_server_id)),
        _method("GetServer", lambda asked: cygrpc.channelz_get_server(asked.server_id)),
        _method(
            "GetServerSockets",
            lambda asked: cygrpc.channelz_get_server_sockets(asked.server_id, asked.start_socket_id, asked.max_results),
        ),
        _method("GetChannel", lambda asked: cygrpc.channelz_get_channel(asked.channel_id)),
        _method("GetSubchannel", lambda asked: cygrpc.channelz_get_subchannel(asked.subchannel_id)),
        _method("GetSocket", lambda asked: cygrpc.channelz_get_socket(asked.socket_id)),
    ]


def _method(name: str, ask: Any) -> tuple[Method, RpcHandler]:
    response: type[Message] = getattr(channelz_pb2, f"{name}Response")

    async def serve(request: Any, call: Call) -> Message:
        try:
            return json_format.Parse(ask(request), response())
        except ValueError as error:
            raise errors.NotFound("CHANNELZ_UNKNOWN", str(error)) from error

    method = Method(
        service=SERVICE,
        name=name,
        path=f"/{SERVICE}/{name}",
        request=getattr(channelz_pb2, f"{name}Request"),
        response=response,
        streams=False,
        grants=(("admin", "company"),),
        mutates=False,
        deadline=5.0,
        latency_p99=1.0,
        availability=0.99,
    )
    return method, serve
