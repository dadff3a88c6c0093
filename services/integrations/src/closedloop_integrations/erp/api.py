"""ErpService."""

from __future__ import annotations

from typing import Any

from closedloop.common.v1.common_pb2 import BulkSummary
from closedloop.integrations.v1 import erp_pb2 as pb
from closedloop_chassis import bulk, errors, pages, protos
from closedloop_chassis.enums import number, word, words
from closedloop_chassis.service import Rpcs
from closedloop_chassis.work import Call
from closedloop_integrations import runs
from closedloop_integrations.erp import intake, store
from closedloop_integrations.erp.u8 import Document

LAST_ID = "ffffffff-ffff-ffff-ffff-ffffffffffff"
# How a mapping's type is called where documents are looked for.
PLURALS = {"account": "accounts", "person": "people", "unit": "units", "product": "products", "channel": "channels"}

rpcs = Rpcs("closedloop.integrations.v1.ErpService")


@rpcs.method
async def import_transactions(request: pb.ImportTransactionsRequest, call: Call) -> BulkSummary:
    good, refused = bulk.sift(request.rows)
    outcome = await intake.take_in(
        call, [(position, Document(row)) for position, row in good], dry=request.validate_only
    )
    summary = bulk.summary(
        read=len(request.rows),
        created=outcome.created,
        updated=outcome.updated,
        refused=[*refused, *outcome.refused],
    )
    if not request.validate_only:
        figures = {
            "read": summary.read,
            "created": summary.created,
            "updated": summary.updated,
            "rejected": summary.rejected,
        }
        call.audit("erp_transactions", "import", after=figures)
        runs.keep_summary(call, runs.source_of(good), summary)
    return summary


@rpcs.method
async def get_transaction(request: pb.GetTransactionRequest, call: Call) -> pb.Transaction:
    entry = await store.get(call.db, request.id)
    if entry is None:
        raise errors.NotFound("TRANSACTION_UNKNOWN", f"no transaction {request.id}")
    call.authorize(entry.owner_id, entry.unit_id, [entry.person_id] if entry.person_id else ())
    return intake.transaction(entry)


@rpcs.method
async def list_transactions(request: pb.ListTransactionsRequest, call: Call) -> pb.ListTransactionsResponse:
    day, id = pages.after(request, "9999-12-31", LAST_ID)
    units: list[str] | None = None
    if request.unit_id:
        units = sorted(call.org.subtree(request.unit_id)) if request.include_subtree else [request.unit_id]
    found = await store.listed(
        call.db,
        {
            **call.scope.params,
            "day": day,
            "id": id,
            "kinds": words(pb.TransactionKind, request.kinds),
            "number": request.number,
            "source": request.source,
            "source_id": request.source_id,
            "account_id": request.account_id or None,
            "product_id": request.product_id,
            "person_id": request.person_id,
            "units": units,
            "channel": request.channel,
            "opportunity_id": request.opportunity_id or None,
            "contract_id": request.contract_id or None,
            "begin": protos.day(request.start_date, "start_date") if request.HasField("start_date") else None,
            "end": protos.day(request.end_date, "end_date") if request.HasField("end_date") else None,
            "created_begin": protos.instant(request.created.start_time)
            if request.created.HasField("start_time")
            else None,
            "created_end": protos.instant(request.created.end_time) if request.created.HasField("end_time") else None,
            "superseded": request.include_superseded,
            "unmapped": request.unmapped,
            "limit": pages.size(request) + 1,
        },
    )
    shown, token = pages.split(found, request, lambda entry: (entry.date.isoformat(), entry.id))
    return pb.ListTransactionsResponse(transactions=[intake.transaction(each) for each in shown], next_page_token=token)


@rpcs.method
async def list_code_mappings(request: pb.ListCodeMappingsRequest, call: Call) -> pb.ListCodeMappingsResponse:
    known, source, type_, code = pages.after(request, -1, "", "", "")
    found = await call.db.all(
        store.LIST_MAPPINGS,
        {
            "known": known,
            "source_after": source,
            "type_after": type_,
            "code_after": code,
            "source": request.source,
            "type": word(pb.CodeType, request.type),
            "unmapped": request.unmapped_only,
            "query": request.query,
            "limit": pages.size(request) + 1,
        },
    )
    shown, token = pages.split(
        found, request, lambda row: (int(bool(row["target_id"])), row["source"], row["type"], row["code"])
    )
    return pb.ListCodeMappingsResponse(mappings=[_mapping(row) for row in shown], next_page_token=token)


@rpcs.method
async def set_code_mappings(request: pb.SetCodeMappingsRequest, call: Call) -> BulkSummary:
    good, refused = bulk.sift(request.rows)
    accounts, products = await store.existing(call.tx, sorted({row.target_id for _, row in good if row.target_id}))
    exists = {"account": accounts, "product": products, "person": call.org.people, "unit": call.org.units}
    rows: dict[tuple[str, str, str], dict[str, Any]] = {}
    for position, row in good:
        type_ = word(pb.CodeType, row.type)
        if row.target_id and type_ in exists and row.target_id not in exists[type_]:
            sentence = f"no {type_} {row.target_id} is known here"
            refused.append(bulk.refused(position, errors.NotFound("TARGET_UNKNOWN", sentence), "target_id"))
            continue
        rows[(row.source, type_, row.code)] = {
            "source": row.source,
            "type": type_,
            "code": row.code,
            "name": row.name,
            "target_id": row.target_id,
            "set_by": call.actor,
            "set_at": call.now,
        }
    before = await store.mappings(call.tx, list(rows.values()))
    created = [row for key, row in rows.items() if key not in before]
    updated = [row for key, row in rows.items() if key in before and before[key]["target_id"] != row["target_id"]]
    if not request.validate_only and (created or updated):
        store.set_mappings(call.tx, [*created, *updated])
        for said in (*created, *updated):
            old = before.get((said["source"], said["type"], said["code"]), {})
            subject = f"{said['source']}/{said['type']}/{said['code']}"
            call.audit(
                subject, "map", before={"target_id": old.get("target_id", "")}, after={"target_id": said["target_id"]}
            )
        await _restate(call, [*created, *updated])
    return bulk.summary(read=len(request.rows), created=len(created), updated=len(updated), refused=refused)


async def _restate(call: Call, rows: list[dict[str, Any]]) -> None:
    codes: dict[str, list[str]] = {}
    for row in rows:
        codes.setdefault(PLURALS[row["type"]], []).append(row["code"])
    entries = await store.naming(call.tx, sources={row["source"] for row in rows}, **codes)
    if entries:
        await intake.restate(call, entries)


def _mapping(row: dict[str, Any]) -> pb.CodeMapping:
    return pb.CodeMapping(
        source=row["source"],
        type=number(pb.CodeType, row["type"]),
        code=row["code"],
        name=row["name"],
        target_id=row["target_id"],
        uses=row["uses"],
        suggested_id=row["guess"] or row["suggested_id"],
        set_by=row["set_by"],
        set_time=protos.timestamp(row["set_at"]),
    )
