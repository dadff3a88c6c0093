"""A saved list of notices, opened: every row of it with what it says, whatever the format (S70)."""

from __future__ import annotations

import codecs
import json
import re
from dataclasses import dataclass, field
from typing import Any

from closedloop.integrations.v1 import notices_pb2 as pb
from closedloop_integrations import spreadsheets
from closedloop_integrations.notices import ocds, sheets
from closedloop_integrations.notices.rules import ProcurementRules, kind_of, said_by_page
from closedloop_integrations.notices.sheets import Listed
from closedloop_integrations.procurement.site import NoticeRow, Quarantined, decode, parse_detail, parse_list

_SAVED_FROM = re.compile(r"<!--\s*saved from url=\(\d+\)(?P<url>https?://\S+)\s*-->", re.I)
_CANONICAL = re.compile(
    r"""<link[^>]{1,500}rel=["']?canonical["']?[^>]{1,500}href=["']?(?P<url>https?://[^"'\s>]+)""", re.I
)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A notice to be: what was said as `rules.complete` takes it, and the rows that say it. Without `publish_date` or
    `url` the file does not know them, or knows another one every time."""

    said: dict[str, Any]
    rows: tuple[int, ...]


@dataclass(slots=True)
class Contents:
    """`kind` and `key` are those of quarantine."""

    kind: str
    key: str
    read: int = 0
    candidates: list[Candidate] = field(default_factory=list)
    headers: int = 0
    duplicates: int = 0
    # Position → "REASON: sentence", and what stood there.
    refused: dict[int, str] = field(default_factory=dict)
    raw: dict[int, str] = field(default_factory=dict)
    mended: frozenset[int] = frozenset()


def opened(request: pb.ImportNoticeFileRequest, rules: ProcurementRules) -> Contents:
    """Raises InvalidArgument FILE_NOT_RECOGNISED, FILE_TOO_LARGE, FILE_UNSAFE."""
    content = request.content
    match request.format or recognised(content):
        case pb.NOTICE_FILE_FORMAT_OCDS_JSON:
            return of_releases(ocds.releases(spreadsheets.decoded(content)), request.source, request.file_name)
        case pb.NOTICE_FILE_FORMAT_HTML:
            return _of_page(decode(content).replace("\0", " "), request.source, request.file_name, rules)
        case pb.NOTICE_FILE_FORMAT_CSV:
            rows = spreadsheets.table(content, rules.files)
        case _:
            rows = [[spreadsheets.text(cell) for cell in row] for row in spreadsheets.workbook(content, rules.files)]
    return _of_table(rows, request.source, request.file_name, rules)


def recognised(content: bytes) -> int:
    if content.startswith(spreadsheets.ZIP):
        return pb.NOTICE_FILE_FORMAT_XLSX
    if content.startswith(spreadsheets.OLD_EXCEL):
        raise spreadsheets.unknown("a workbook of the old kind; save it as .xlsx")
    begin = content.removeprefix(codecs.BOM_UTF8).lstrip()
    if begin[:1] in (b"{", b"["):
        return pb.NOTICE_FILE_FORMAT_OCDS_JSON
    return pb.NOTICE_FILE_FORMAT_HTML if begin[:1] == b"<" else pb.NOTICE_FILE_FORMAT_CSV


def of_releases(releases: list[Any], source: str, key: str) -> Contents:
    contents = Contents("ocds_release", key, read=len(releases))
    newest: dict[str, tuple[ocds.Stage, list[int]]] = {}
    seen: set[str] = set()
    for position, release in enumerate(releases):
        if (text := ocds.raw(release)) in seen:
            contents.duplicates += 1
            continue
        seen.add(text)
        try:
            for stage in ocds.stages(release, source):
                kept, rows = newest.get(stage.said["source_id"], (stage, []))
                newer = stage if stage.moment >= kept.moment else kept
                newest[stage.said["source_id"]] = (newer, [*rows, position])
        except ocds.UnreadableError as error:
            contents.refused[position], contents.raw[position] = str(error), text
    contents.candidates = [Candidate(stage.said, tuple(rows)) for stage, rows in newest.values()]
    return contents


def of_sheet(sheet: sheets.Sheet, rows: list[list[str]], source: str, key: str, rules: ProcurementRules) -> Contents:
    contents = Contents("notice_line", key, sheet.read)
    contents.headers, contents.duplicates = len(sheet.headers), len(sheet.duplicates)
    contents.refused, contents.mended = sheet.refused, frozenset(sheet.mended)
    for position in sheet.refused:
        cells = dict(zip(sheet.titles, rows[position], strict=False))
        contents.raw[position] = json.dumps(cells, ensure_ascii=False)
    contents.candidates = [Candidate(_said(listed, source, rules), tuple(listed.rows)) for listed in sheet.notices]
    return contents


def _of_table(rows: list[list[str]], source: str, key: str, rules: ProcurementRules) -> Contents:
    begin = next(
        (at for at in range(min(len(rows), rules.sheets.heading_within)) if sheets.known(rows[at:], rules.sheets)), None
    )
    if begin is None:
        raise spreadsheets.unknown("no column says what is bought, and none by whom")
    sheet = sheets.read(rows[begin:], rules.sheets, rules.pages)
    contents = of_sheet(sheet, rows[begin:], source, key, rules)
    # What stands above the heading is heading, too.
    above = sum(any(cell.strip() for cell in row) for row in rows[:begin])
    contents.read, contents.headers = contents.read + above, contents.headers + above
    contents.refused = {at + begin: reason for at, reason in contents.refused.items()}
    contents.raw = {at + begin: raw for at, raw in contents.raw.items()}
    return contents


def _said(listed: Listed, source: str, rules: ProcurementRules) -> dict[str, Any]:
    amounts = [lot.amount_minor for lot in listed.lots]
    whole = [amount for amount in amounts if amount is not None]
    said: dict[str, Any] = {
        "source": source,
        "source_id": listed.source_id,
        "kind": kind_of(listed.kind, listed.title, rules),
        "title": listed.title,
        "buyer": listed.buyer,
        "agency": "",
        "region": listed.region,
        "items": [
            {
                "name": lot.name,
                "requirement": lot.requirement,
                "amount_minor": lot.amount_minor,
                "currency": rules.sheets.currency if lot.amount_minor is not None else "",
                "expected_date": lot.expected,
                "remark": lot.remark,
            }
            for lot in listed.lots
        ],
        # Of all its lots, or nobody can tell.
        "amount_minor": sum(whole) if len(whole) == len(amounts) else None,
        "currency": rules.sheets.currency if len(whole) == len(amounts) else "",
        "expected_date": min(filter(None, (lot.expected for lot in listed.lots)), default=""),
        "deadline_at": None,
        "body": sheets.body(listed),
        "suppliers": [],
        "sectors": [],
        "mended": listed.remarks,
        "project": "/".join(lot.name for lot in listed.lots),
    }
    if listed.published is not None:
        said["publish_date"] = listed.published
    said["saved_url"] = listed.url
    return said


def _of_page(html: str, source: str, key: str, rules: ProcurementRules) -> Contents:
    """A page as a browser saves it, a notice or a list of them."""
    found = _SAVED_FROM.search(html[:4096]) or _CANONICAL.search(html[:65_536])
    url = found["url"] if found else key
    listed = parse_list(html, url, rules.pages)
    if listed.rows or (listed.quarantined and listed.quarantined[0].reason != "LAYOUT_UNKNOWN"):
        contents = Contents("notice_row", url, read=len(listed.rows) + len(listed.quarantined))
        seen: set[str] = set()
        for position, row in enumerate(listed.rows):
            if row.id in seen:
                contents.duplicates += 1
                continue
            seen.add(row.id)
            contents.candidates.append(Candidate(_said_by_row(row, source, rules), (position,)))
        for position, broken in enumerate(listed.quarantined, len(listed.rows)):
            contents.refused[position], contents.raw[position] = broken.reason, broken.raw
        return contents
    page = parse_detail(html, url, rules.pages)
    contents = Contents("notice_page", url, read=1)
    if isinstance(page, Quarantined):
        contents.refused, contents.raw = {0: page.reason}, {0: html}
    else:
        said = said_by_page(page, source, rules, page.published)
        contents.candidates = [Candidate(said, (0,))]
        contents.mended = frozenset({0} if page.remarks else ())
    return contents


def _said_by_row(row: NoticeRow, source: str, rules: ProcurementRules) -> dict[str, Any]:
    return {
        "source": source,
        "source_id": row.id,
        "kind": kind_of(row.kind, row.title, rules),
        "title": row.title,
        "buyer": row.buyer,
        "agency": row.agency,
        "region": row.region,
        "items": [],
        "amount_minor": None,
        "currency": "",
        "publish_date": row.published.date(),
        "expected_date": "",
        "deadline_at": None,
        "url": row.url,
        "body": "",
        "suppliers": [],
        "sectors": [],
        "mended": list(row.remarks),
    }
