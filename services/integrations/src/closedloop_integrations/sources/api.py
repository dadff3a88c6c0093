"""SourceService."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from closedloop.common.v1.common_pb2 import BulkSummary, Light
from closedloop.integrations.v1 import sources_pb2 as pb
from closedloop_chassis import bulk, errors, etags, pages, protos
from closedloop_chassis.enums import number, word
from closedloop_chassis.service import Rpcs
from closedloop_chassis.work import Call
from closedloop_integrations import quarantine
from closedloop_integrations.sources import rules, store
from closedloop_integrations.sources.rules import SourceRules
from closedloop_integrations.sources.store import Source

LAST_ID = "ffffffff-ffff-ffff-ffff-ffffffffffff"
LAST_MOMENT = "9999-12-31T00:00:00+00:00"
DAY = timedelta(days=1)

rpcs = Rpcs("closedloop.integrations.v1.SourceService")


@rpcs.method
async def list_sources(request: pb.ListSourcesRequest, call: Call) -> pb.ListSourcesResponse:
    (after,) = pages.after(request, "")
    found = await store.listed(call.db, after, word(pb.SourceKind, request.kind), call.now - DAY)
    least = request.light
    bad = [each for each in (_source(source, call) for source in found) if each.light >= least]
    shown, token = pages.split(bad, request, lambda source: (source.name,))
    return pb.ListSourcesResponse(sources=shown, next_page_token=token)


@rpcs.method
async def get_source(request: pb.GetSourceRequest, call: Call) -> pb.Source:
    return _source(_known(await store.get(call.db, request.name, call.now - DAY), request.name), call)


@rpcs.method
async def poll_source(request: pb.PollSourceRequest, call: Call) -> pb.Source:
    await call.tx.one(store.LOCK, {"name": request.name})
    source = _known(await store.get(call.tx, request.name, call.now - DAY), request.name)
    polls = [poll for poll in source.polls if request.poll in ("", poll["name"])]
    if not polls:
        raise errors.FailedPrecondition(
            "SOURCE_NOT_POLLED", f"nothing of {request.name} is polled as {request.poll or 'yet'}"
        )
    if source.paused:
        raise errors.FailedPrecondition("SOURCE_PAUSED", f"{request.name} is paused; resume it first")
    # Those that may be called are called, whatever the others do.
    waits = [
        datetime.fromisoformat(poll["retry_at"]) - call.now if poll["retry_at"] else timedelta(0) for poll in polls
    ]
    if (wait := min(waits).total_seconds()) > 0:
        raise errors.ResourceExhausted(
            "POLL_TOO_SOON", "its circuit is open; close it to try at once", retry_after=wait
        )
    call.tx.do(store.POLL_NOW, {"name": request.name, "poll": request.poll, "now": call.now})
    call.audit(f"source/{request.name}", "poll", after={"poll": request.poll})
    return _source(_known(await store.get(call.tx, request.name, call.now - DAY), request.name), call)


@rpcs.method
async def change_source_state(request: pb.ChangeSourceStateRequest, call: Call) -> pb.Source:
    await call.tx.one(store.LOCK, {"name": request.name})
    before = _known(await store.get(call.tx, request.name, call.now - DAY), request.name)
    etags.check(request.etag, before.version)
    action = word(pb.SourceAction, request.action)
    call.tx.do(store.CHANGE[action], {"name": request.name})
    after = _known(await store.get(call.tx, request.name, call.now - DAY), request.name)
    call.audit(
        f"source/{request.name}", action, before=_audited(before), after={**_audited(after), "reason": request.reason}
    )
    return _source(after, call)


@rpcs.method
async def list_runs(request: pb.ListRunsRequest, call: Call) -> pb.ListRunsResponse:
    at, id = pages.after(request, LAST_MOMENT, LAST_ID)
    started = request.started
    asked = {
        "at": at,
        "id": id,
        "source": request.source,
        "failed": request.failed_only,
        "begin": protos.instant(started.start_time, "started") if started.HasField("start_time") else None,
        "end": protos.instant(started.end_time, "started") if started.HasField("end_time") else None,
        "limit": pages.size(request) + 1,
    }
    found = await call.db.all(store.RUNS, asked)
    shown, token = pages.split(found, request, lambda row: (row["started_at"].isoformat(), row["id"]))
    return pb.ListRunsResponse(runs=[_run(row) for row in shown], next_page_token=token)


@rpcs.method
async def list_quarantine(request: pb.ListQuarantineRequest, call: Call) -> pb.ListQuarantineResponse:
    (id,) = pages.after(request, LAST_ID)
    asked = {
        "id": id,
        "source": request.source,
        "reason": request.reason,
        "run_id": request.run_id or None,
        "resolved": request.include_resolved,
        "limit": pages.size(request) + 1,
    }
    found = await call.db.all(store.ITEMS, asked)
    shown, token = pages.split(found, request, lambda row: (row["id"],))
    return pb.ListQuarantineResponse(items=[_item(row) for row in shown], next_page_token=token)


@rpcs.method
async def resolve_quarantine(request: pb.ResolveQuarantineRequest, call: Call) -> BulkSummary:
    good, refused = bulk.sift(request.rows)
    items = {row["id"]: row for row in await call.tx.all(store.LOCK_ITEMS, {"ids": [row.id for _, row in good]})}
    resolved = 0
    for position, row in good:
        try:
            await _resolve(row, items.pop(row.id, None), call)
            resolved += 1
        except errors.DomainError as error:
            refused.append(bulk.refused(position, error))
    return bulk.summary(read=len(request.rows), updated=resolved, refused=refused)


async def _resolve(row: pb.QuarantineResolution, item: dict[str, Any] | None, call: Call) -> None:
    if item is None:
        raise errors.NotFound("ITEM_UNKNOWN", f"no item {row.id}, or it stands twice in the call")
    if item["resolved_at"] is not None:
        raise errors.FailedPrecondition("ITEM_RESOLVED", "it has been worked off already")
    how = row.WhichOneof("resolution")
    if how != "discard":
        reader = quarantine.READERS.get(item["kind"])
        why = f"a {item['kind']} can only be discarded"
        if reader is not None:
            raw = row.mended if how == "mended" else item["raw"]
            why = await reader(call, quarantine.Item(item["source"], item["key"], raw))
        if why:
            raise errors.FailedPrecondition("STILL_UNREADABLE", why)
    resolution = {"mended": "mended", "retry": "retried", "discard": "discarded"}[how or "discard"]
    call.tx.do(
        store.RESOLVE,
        {"id": row.id, "now": call.now, "by": call.actor, "resolution": resolution, "comment": row.discard},
    )
    call.audit(
        row.id, "resolve", before={"reason": item["reason"]}, after={"resolution": resolution, "comment": row.discard}
    )


def _source(source: Source, call: Call) -> pb.Source:
    now, shelf = call.now, call.rules(SourceRules)
    health = rules.Health(
        source.configured,
        source.paused,
        source.failures,
        source.opened_at,
        source.retry_at,
        source.last_success_at,
        source.newest_at,
    )
    state = "paused" if source.paused else "active" if source.configured else "not_configured"
    message = pb.Source(
        name=source.name,
        kind=number(pb.SourceKind, source.kind),
        protocol=source.protocol,
        state=number(pb.SourceState, state),
        light=number(Light, rules.light(health, source.name, shelf, now)),
        circuit=pb.Circuit(
            state=number(pb.CircuitState, rules.circuit(health, now)),
            consecutive_failures=source.failures,
            open_time=protos.timestamp(source.opened_at),
            retry_time=protos.timestamp(source.retry_at),
        ),
        polls=[
            pb.Poll(
                name=poll["name"],
                cursor=poll["cursor"],
                last_time=protos.timestamp(poll["last_at"] and datetime.fromisoformat(poll["last_at"])),
                next_time=protos.timestamp(datetime.fromisoformat(poll["next_at"])),
                read=poll["read"],
            )
            for poll in source.polls
        ],
        last_success_time=protos.timestamp(source.last_success_at),
        last_failure_time=protos.timestamp(source.last_failure_at),
        last_error=source.last_error,
        received=source.received,
        rejected=source.rejected,
        secret_time=protos.timestamp(source.secret_at),
        quarantined=source.quarantined,
        etag=etags.of(source.version),
    )
    if source.newest_at is not None:
        message.lag.FromTimedelta(max(now - source.newest_at, timedelta(0)))
    if source.call_p99 is not None:
        message.call_p99.FromTimedelta(timedelta(seconds=source.call_p99))
    return message


def _known(source: Source | None, name: str) -> Source:
    if source is None:
        raise errors.NotFound("SOURCE_UNKNOWN", f"no source is called {name}")
    return source


def _audited(source: Source) -> dict[str, Any]:
    return {"paused": source.paused, "failures": source.failures, "retry_at": source.retry_at}


def _run(row: dict[str, Any]) -> pb.Run:
    counts = {name: row[name] for name in ("read", "created", "updated", "rejected")}
    return pb.Run(
        id=row["id"],
        source=row["source"],
        poll=row["poll"],
        start_time=protos.timestamp(row["started_at"]),
        end_time=protos.timestamp(row["ended_at"]),
        summary=BulkSummary(unchanged=row["read"] - row["created"] - row["updated"] - row["rejected"], **counts),
        quarantined=row["quarantined"],
        error=row["error"],
        brought_by=row["brought_by"],
        file_name=row["file_name"],
        sha256=row["sha256"],
    )


def _item(row: dict[str, Any]) -> pb.QuarantineItem:
    return pb.QuarantineItem(
        id=row["id"],
        source=row["source"],
        run_id=row["run_id"] or "",
        row=row["position"],
        reason=row["reason"],
        message=row["message"],
        raw=row["raw"],
        time=protos.timestamp(row["created_at"]),
        resolve_time=protos.timestamp(row["resolved_at"]),
        resolved_by=row["resolved_by"],
    )
