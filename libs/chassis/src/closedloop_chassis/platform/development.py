"""DevelopmentService: a service's time moved forward. Registered in development mode only."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from closedloop.platform.v1 import platform_pb2 as pb
from closedloop_chassis import errors, protos
from closedloop_chassis.service import Rpcs
from closedloop_chassis.work import Call

rpcs = Rpcs("closedloop.platform.v1.DevelopmentService")

SET = "UPDATE development_time SET offset_us = %(offset_us)s"


@rpcs.method
async def get_time(request: pb.GetTimeRequest, call: Call) -> pb.DevelopmentTime:
    return _answer(call.now, call.process.time.offset)


@rpcs.method
async def set_time(request: pb.SetTimeRequest, call: Call) -> pb.DevelopmentTime:
    wanted = protos.instant(request.time)
    if wanted < call.now and await call.tx.value(
        "SELECT EXISTS (SELECT FROM audit_entry WHERE time > %(t)s)", {"t": wanted}
    ):
        raise errors.FailedPrecondition("TIME_MOVES_FORWARD", f"it is {call.now.isoformat()} already")
    offset = wanted - datetime.now(UTC)
    call.tx.do(SET, {"offset_us": offset // timedelta(microseconds=1)})

    def move() -> None:
        call.process.time.offset = offset

    call.tx.after_commit(move)
    return _answer(wanted, offset)


def _answer(now: datetime, offset: timedelta) -> pb.DevelopmentTime:
    return pb.DevelopmentTime(time=protos.timestamp(now), offset=protos.duration(offset))
