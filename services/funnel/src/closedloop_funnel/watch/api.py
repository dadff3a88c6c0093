"""WatchService: the funnel live."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

from closedloop.common.v1 import common_pb2
from closedloop.funnel.v1 import watch_pb2 as pb
from closedloop_chassis import errors, etags, protos
from closedloop_chassis.service import Rpcs
from closedloop_chassis.work import Call
from closedloop_funnel.watch import store
from closedloop_funnel.watch.feed import MOST, feed
from closedloop_funnel.watch.rules import WatchRules
from closedloop_funnel.watch.store import Change, Position
from closedloop_funnel.words import number, word

rpcs = Rpcs("closedloop.funnel.v1.WatchService")

# An xid8 and an identity end there.
LARGEST = Position(2**63 - 1, 2**63 - 1)
# Ends so long before the deadline, so that it ends well and with a token.
GRACE = 0.5


@dataclass(frozen=True, slots=True)
class Wanted:
    """What one stream is about."""

    request: pb.WatchFunnelRequest
    call: Call
    units: frozenset[str] | None
    kinds: frozenset[str]

    def has(self, change: Change) -> bool:
        asked = self.request
        return (
            self.call.scope.covers(change.owner_id, change.unit_id, change.participant_ids)
            and (not self.kinds or change.kind in self.kinds)
            and (self.units is None or change.unit_id in self.units)
            and (not asked.owner_id or change.owner_id == asked.owner_id)
            and (not asked.pipeline_id or change.pipeline_id == asked.pipeline_id)
            and (not asked.opportunity_id or change.opportunity_id == asked.opportunity_id)
        )


@rpcs.stream
async def watch_funnel(request: pb.WatchFunnelRequest, call: Call) -> AsyncIterator[pb.WatchFunnelResponse]:
    wanted = Wanted(
        request=request,
        call=call,
        units=frozenset(call.org.subtree(request.unit_id)) if request.unit_id else None,
        kinds=frozenset(word(pb.FunnelChangeKind, kind) for kind in request.kinds),
    )
    position = await _begin(request.resume_token, call)
    beat = call.rules(WatchRules).heartbeat_seconds
    with feed(call.process).listen(call) as listener:
        # Where it begins is known at once, so that it can be resumed before anything has happened.
        yield _heartbeat(position, call)
        while (left := call.expires - time.monotonic() - GRACE) > 0:
            if listener.behind:
                listener.behind = False
                while changes := await store.after(call.db, position, MOST):
                    for change in changes:
                        position = change.position
                        if wanted.has(change):
                            yield _to_proto(change)
            while listener.changes:
                change = listener.changes.popleft()
                if change.position > position:
                    position = change.position
                    if wanted.has(change):
                        yield _to_proto(change)
            if listener.behind:
                continue
            listener.news.clear()
            try:
                async with asyncio.timeout(min(beat, left)):
                    await listener.news.wait()
            except TimeoutError:
                yield _heartbeat(position, call)


async def _begin(token: str, call: Call) -> Position:
    """Raises InvalidArgument RESUME_TOKEN_INVALID, OutOfRange RESUME_TOKEN_EXPIRED."""
    if not token:
        return await store.now(call.db)
    try:
        xid, seq = json.loads(base64.urlsafe_b64decode(token))
        valid = type(xid) is int and type(seq) is int and 0 <= xid <= LARGEST.xid and 0 <= seq <= LARGEST.seq
    except (ValueError, TypeError, RecursionError):
        valid = False
    if not valid:
        raise errors.InvalidArgument("RESUME_TOKEN_INVALID", "not a token of this stream", {"resume_token": "unknown"})
    found = await call.db.one(store.FORGOTTEN, {"xid": str(xid), "seq": seq})
    assert found is not None
    if found["forgotten"] or found["ahead"]:
        raise errors.OutOfRange(
            "RESUME_TOKEN_EXPIRED", "what came after it is kept no longer; read the boards afresh and begin without it"
        )
    return Position(xid, seq)


def _token(position: Position) -> str:
    return base64.urlsafe_b64encode(json.dumps(position).encode()).decode()


def _heartbeat(position: Position, call: Call) -> pb.WatchFunnelResponse:
    return pb.WatchFunnelResponse(
        resume_token=_token(position),
        time=protos.timestamp(call.process.time.now()),
        kind=pb.FUNNEL_CHANGE_KIND_HEARTBEAT,
    )


def _to_proto(change: Change) -> pb.WatchFunnelResponse:
    return pb.WatchFunnelResponse(
        resume_token=_token(change.position),
        time=protos.timestamp(change.at),
        kind=number(pb.FunnelChangeKind, change.kind),
        record_id=change.record_id,
        etag=etags.of(change.version),
        opportunity_id=change.opportunity_id or "",
        account_id=change.account_id or "",
        ownership=common_pb2.Ownership(owner_id=change.owner_id, unit_id=change.unit_id),
        pipeline_id=change.pipeline_id,
        from_stage_key=change.from_stage_key,
        stage_key=change.stage_key,
        amount=protos.money(change.amount_minor, change.currency)
        if change.amount_minor is not None and change.currency
        else None,
        summary=change.summary,
    )
