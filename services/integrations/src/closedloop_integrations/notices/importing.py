"""NoticeService.ImportNoticeFile: every row ends as notice, duplicate, header or quarantine, and the counts add up (S70)."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from closedloop.common.v1.common_pb2 import RowError
from closedloop.integrations.v1 import notices_pb2 as pb
from closedloop_chassis.ids import new_id
from closedloop_chassis.work import Call, Work
from closedloop_integrations import quarantine, runs
from closedloop_integrations.notices import intake, sheets, store
from closedloop_integrations.notices.api import rpcs as rpcs
from closedloop_integrations.notices.opened import Candidate, Contents, of_releases, of_sheet, opened
from closedloop_integrations.notices.rules import Notice, ProcurementRules, complete, sector_matcher
from closedloop_integrations.procurement.mending import CHINA


@dataclass(frozen=True, slots=True)
class Closing:
    """What became of the rows, and how many records that made."""

    notices: int
    duplicates: int
    created: int
    updated: int


@rpcs.method
async def import_notice_file(request: pb.ImportNoticeFileRequest, call: Call) -> pb.ImportNoticeFileResponse:
    # A file may take seconds to read, in which others want answers, too.
    contents = await asyncio.to_thread(opened, request, call.rules(ProcurementRules))
    closing, taken = await _take(call, contents, call.actor, dry=request.validate_only)
    refused = [
        RowError(row=at, reason=reason.partition(": ")[0], message=reason.partition(": ")[2])
        for at, reason in sorted(contents.refused.items())
    ]
    response = pb.ImportNoticeFileResponse(
        rows_read=contents.read,
        notices=closing.notices,
        duplicates=closing.duplicates,
        headers=contents.headers,
        quarantined=len(refused),
        created=closing.created,
        updated=closing.updated,
        mended=len(contents.mended & taken),
        errors=refused,
        sha256=hashlib.sha256(request.content).hexdigest(),
    )
    if not request.validate_only:
        _keep(call, request, contents, response)
    return response


def _keep(
    call: Call, request: pb.ImportNoticeFileRequest, contents: Contents, response: pb.ImportNoticeFileResponse
) -> None:
    run = runs.Run(
        id=new_id(),
        source=request.source,
        started_at=call.now,
        ended_at=call.process.time.now(),
        read=response.rows_read,
        created=response.created,
        updated=response.updated,
        rejected=response.quarantined,
        quarantined=response.quarantined,
        brought_by=call.actor,
        file_name=request.file_name,
        sha256=response.sha256,
    )
    runs.keep(call.tx, run)
    for error in response.errors:
        quarantine.set_aside(
            call.tx,
            call.now,
            source=request.source,
            kind=contents.kind,
            key=contents.key,
            reason=error.reason,
            message=error.message,
            raw=contents.raw[error.row],
            run_id=run.id,
            position=error.row,
        )
    figures = {
        name: getattr(response, name) for name in ("rows_read", "notices", "duplicates", "headers", "quarantined")
    }
    call.audit("notices", "import_file", after={"file": request.file_name, "sha256": response.sha256, **figures})


async def _take(work: Work, contents: Contents, brought_by: str, *, dry: bool) -> tuple[Closing, frozenset[int]]:
    """Also the rows of notices that were new or changed; those of the others were here before and are duplicates."""
    notices = await _completed(work, contents.candidates, brought_by)
    outcome = await intake.take_in(work, notices, dry=dry)
    taken: set[int] = set()
    known: set[int] = set()
    for candidate, notice in zip(contents.candidates, notices, strict=True):
        (taken if (notice.source, notice.source_id) in outcome.taken else known).update(candidate.rows)
    duplicates = contents.duplicates + len(known - taken)
    return Closing(len(taken), duplicates, outcome.created, outcome.updated), frozenset(taken)


async def _completed(work: Work, candidates: Sequence[Candidate], brought_by: str) -> list[Notice]:
    rules = work.rules(ProcurementRules)
    ids = [candidate.said["source_id"] for candidate in candidates]
    before = await store.said_before(work.tx, candidates[0].said["source"], ids) if candidates else {}
    return await asyncio.to_thread(_complete, candidates, before, brought_by, rules, work.now)


def _complete(
    candidates: Sequence[Candidate],
    before: dict[str, dict[str, Any]],
    brought_by: str,
    rules: ProcurementRules,
    now: datetime,
) -> list[Notice]:
    sectors = sector_matcher(rules)
    notices = []
    for candidate in candidates:
        said = {**_supplied(candidate.said, before.get(candidate.said["source_id"]), now), "brought_by": brought_by}
        notices.append(complete(said, rules, sectors, id=new_id(), now=now))
    return notices


def _supplied(said: dict[str, Any], before: dict[str, Any] | None, now: datetime) -> dict[str, Any]:
    """With what the file does not say, as it was known before or as it is today."""
    supplied = {**said, "observed_at": now}
    if "saved_url" in said:
        supplied["url"] = before["url"] if before else said["saved_url"]
    if "publish_date" not in said:
        supplied["publish_date"] = before["publish_date"] if before else now.astimezone(CHINA).date()
        if before:
            supplied["title"] = before["title"]
    if before and said["items"]:
        known = {item["name"]: item for item in before["items"]}
        supplied["items"] = [
            {**item, **{n: item[n] or known.get(item["name"], item)[n] for n in ("requirement", "remark")}}
            for item in said["items"]
        ]
        if supplied["items"] != said["items"]:
            lines = (" ".join(filter(None, (i["name"], i["requirement"], i["remark"]))) for i in supplied["items"])
            supplied["body"] = "\n".join(lines)[: sheets.LONGEST_BODY]
    return supplied


@quarantine.reader("notice_line")
async def read_line(work: Work, item: quarantine.Item) -> str:
    """A row by its columns' titles, as JSON."""
    try:
        cells = json.loads(item.raw)
    except (ValueError, RecursionError):
        cells = None
    if not isinstance(cells, dict) or not all(isinstance(each, str) for each in cells.values()):
        return "NOT_A_ROW: an object of column titles and texts is expected"
    rules = work.rules(ProcurementRules)
    rows = [list(cells), [cell.replace("\0", " ") for cell in cells.values()]]
    if not sheets.known(rows, rules.sheets):
        return "NOT_A_ROW: no column says what is bought, and none by whom"
    contents = of_sheet(sheets.read(rows, rules.sheets, rules.pages), rows, item.source, item.key, rules)
    return await _again(work, contents)


@quarantine.reader("ocds_release")
async def read_release(work: Work, item: quarantine.Item) -> str:
    try:
        release = json.loads(item.raw, parse_float=Decimal)
    except (ValueError, RecursionError):
        return "NOT_A_RELEASE: no JSON that could be read"
    return await _again(work, of_releases([release], item.source, item.key))


async def _again(work: Work, contents: Contents) -> str:
    if contents.refused:
        return next(iter(contents.refused.values()))
    if not contents.candidates:
        return "NOT_A_ROW: it says nothing of a notice"
    await _take(work, contents, work.actor, dry=False)
    return ""
