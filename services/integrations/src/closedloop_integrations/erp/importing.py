"""ErpService.ImportErpFile: a file is read whole, taken in, and what nobody can read is set aside (S71)."""

from __future__ import annotations

import asyncio
import codecs
import hashlib
from dataclasses import dataclass, field

from closedloop.common.v1.common_pb2 import RowError
from closedloop.integrations.v1 import erp_pb2 as pb
from closedloop_chassis import bulk, protos
from closedloop_chassis.ids import new_id
from closedloop_chassis.work import Call, Work
from closedloop_integrations import quarantine, runs, spreadsheets
from closedloop_integrations.erp import files, intake, u8
from closedloop_integrations.erp.api import rpcs as rpcs
from closedloop_integrations.erp.rules import ErpRules
from closedloop_integrations.erp.u8 import Document, Unreadable


@dataclass(slots=True)
class Contents:
    """What a file holds: documents that can be read by position, and the raw text of each, readable or not."""

    kind: str
    key: str
    lines: int = 0
    raw: list[str] = field(default_factory=list)
    good: list[tuple[int, Document]] = field(default_factory=list)
    broken: dict[int, str] = field(default_factory=dict)


@rpcs.method
async def import_erp_file(request: pb.ImportErpFileRequest, call: Call) -> pb.ImportErpFileResponse:
    # A large file takes seconds to read, and nobody else waits for it.
    contents = await asyncio.to_thread(opened, request, call.rules(ErpRules))
    outcome = await intake.take_in(call, contents.good, dry=request.validate_only)
    refused = [
        *(RowError(row=at, reason="DOCUMENT_UNREADABLE", message=text[:1000]) for at, text in contents.broken.items()),
        *outcome.refused,
    ]
    run_id = new_id()
    if not request.validate_only:
        for error in refused:
            where = {"source": request.source, "kind": contents.kind, "key": contents.key}
            what = {"reason": error.reason, "message": error.message, "raw": contents.raw[error.row]}
            quarantine.set_aside(call.tx, call.now, **where, **what, run_id=run_id, position=error.row)
    summary = bulk.summary(read=len(contents.raw), created=outcome.created, updated=outcome.updated, refused=refused)
    response = pb.ImportErpFileResponse(
        summary=summary,
        lines_read=contents.lines,
        quarantined=0 if request.validate_only else len(refused),
        sha256=hashlib.sha256(request.content).hexdigest(),
    )
    for side in ("debit", "credit"):
        entries = [entry for _, document in contents.good for entry in document.row.voucher.entries]
        if entries:
            currency = contents.good[0][1].row.currency
            total = sum(protos.minor_units(getattr(entry, side)) for entry in entries if entry.HasField(side))
            getattr(response, f"total_{side}").CopyFrom(protos.money(total, currency))
    if not request.validate_only:
        figures = {
            "file": request.file_name,
            "sha256": response.sha256,
            "read": summary.read,
            "created": summary.created,
        }
        call.audit("erp_transactions", "import_file", after=figures)
        file = {"file_name": request.file_name, "sha256": response.sha256}
        runs.keep_summary(call, request.source, summary, quarantined=len(refused), id=run_id, **file)
    return response


def opened(request: pb.ImportErpFileRequest, rules: ErpRules) -> Contents:
    """Raises InvalidArgument FILE_NOT_RECOGNISED, FILE_TOO_LARGE, FILE_UNSAFE."""
    format = request.format or _recognised(request.content)
    if format == pb.ERP_FILE_FORMAT_U8_VOUCHER_TEXT:
        contents = Contents("erp_voucher", request.file_name)
        for position, voucher in enumerate(files.vouchers(spreadsheets.decoded(request.content), rules)):
            contents.lines += len(voucher.lines)
            contents.raw.append(voucher.raw)
            try:
                contents.good.append((position, files.voucher(voucher.lines, request.source, rules)))
            except Unreadable as error:
                contents.broken[position] = str(error)
        return contents
    if request.kind not in files.LISTS:
        raise spreadsheets.unknown(
            "for a table say what its rows are: order, invoice, credit note, cost or stock balance"
        )
    read = spreadsheets.workbook if format == pb.ERP_FILE_FORMAT_XLSX else spreadsheets.table
    rows = read(request.content, rules.files)
    list_name = files.LISTS[request.kind]
    contents = Contents("erp_document", list_name, lines=max(len(rows) - 1, 0))
    for position, text in enumerate(files.records(rows, list_name, rules)):
        contents.raw.append(text)
        try:
            document = u8.read(text, list_name, request.source, rules)
            # In a file there are no drafts: what a person exports is meant, and says nothing of approval.
            if isinstance(document, Document):
                document.row.provenance.ClearField("observed_time")
                contents.good.append((position, document))
        except Unreadable as error:
            contents.broken[position] = str(error)
    return contents


@quarantine.reader("erp_voucher")
async def read_voucher_again(work: Work, item: quarantine.Item) -> str:
    try:
        document = files.voucher(item.raw.splitlines(), item.source, work.rules(ErpRules))
    except Unreadable as error:
        return f"DOCUMENT_UNREADABLE: {error}"
    outcome = await intake.take_in(work, [(0, document)])
    return "".join(f"{error.reason}: {error.message}" for error in outcome.refused)


def _recognised(content: bytes) -> int:
    if content.startswith(spreadsheets.ZIP):
        return pb.ERP_FILE_FORMAT_XLSX
    begin = content.removeprefix(codecs.BOM_UTF8).lstrip()
    if begin.startswith((files.HEADER.encode("gb18030"), files.HEADER.encode())):
        return pb.ERP_FILE_FORMAT_U8_VOUCHER_TEXT
    return pb.ERP_FILE_FORMAT_CSV
