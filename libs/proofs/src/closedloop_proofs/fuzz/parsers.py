"""Everything that reads what others wrote, and what it may answer besides a result: a table, one row per parser.

`search` lets hypothesis look for an input that makes one of them raise anything else, or take its time over it.
"""

from __future__ import annotations

import asyncio
import csv
import io
import json
import tempfile
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, cast

import hypothesis
import jwt
from hypothesis import strategies as st
from pydantic import ValidationError

from closedloop.customers.v1.accounts_pb2 import AccountRow
from closedloop.integrations.v1.diagnoses_pb2 import Dataset, DiagnoseDatasetRequest
from closedloop.platform.v1.platform_pb2 import ListClocksRequest
from closedloop_approvals.policies import condition
from closedloop_chassis import errors, pages
from closedloop_chassis.courier import signatures
from closedloop_chassis.courier.parts import Request
from closedloop_chassis.edge.keys import Keys
from closedloop_chassis.edge.keys import parsed as parsed_keys
from closedloop_chassis.edge.tokens import Tokens
from closedloop_chassis.service import Service
from closedloop_chassis.telemetry.masking import masked_text
from closedloop_cli.failures import Usage
from closedloop_cli.loading import contract_rows, mapping, people
from closedloop_cli.loading.ledger import Ledger
from closedloop_cli.loading.mapping import Kind
from closedloop_cli.loading.records import Accounts, Opportunities, Products, readable
from closedloop_cli.loading.rows import read as read_csv
from closedloop_customers import identifiers
from closedloop_integrations.diagnoses.diagnose import diagnose
from closedloop_integrations.diagnoses.rules import DiagnosisRules
from closedloop_integrations.erp import u8
from closedloop_integrations.erp.rules import ErpRules
from closedloop_integrations.mail import mime, quoting
from closedloop_integrations.mail.facts import facts_in
from closedloop_integrations.mail.rules import MailRules, nature_of
from closedloop_integrations.notices import ocds, opened, sheets, wire
from closedloop_integrations.notices.rules import ProcurementRules, complete, sector_matcher
from closedloop_integrations.outbound import Answer
from closedloop_integrations.procurement import mending, site
from closedloop_proofs.fuzz import inputs
from closedloop_proofs.fuzz.ground import Finding

NAME = "parsers"
SERVICES = ("targets", "customers", "funnel", "approvals", "integrations")
# Alone on a machine none takes a tenth of it for what fits into one message.
SLOWEST_SECONDS = 1.0
SECRET = "whsec_AAAA"
NOW = datetime(2026, 1, 5, tzinfo=UTC)
PROCUREMENT = ProcurementRules()
SHEET = (
    "客户名称",
    "标题",
    "发布时间",
    "项目名称",
    "采购需求概况",
    "金额",
    "拟面向中小企业预留",
    "预计时间",
    "备注",
    "link",
)
RELEASE: dict[str, Any] = {
    "ocid": "ocds-1",
    "id": "1",
    "date": "2026-01-04T08:00:00Z",
    "tag": ["tender", "award"],
    "buyer": {"name": "某学校"},
    "parties": [{"name": "某学校", "roles": ["buyer"], "address": {"region": "山东省"}}],
    "tender": {"title": "黑板", "value": {"amount": 1.5, "currency": "CNY"}, "tenderPeriod": {"endDate": "2026-02-01"}},
    "awards": [{"title": "黑板", "value": {"amount": 1, "currency": "CNY"}, "suppliers": [{"name": "甲"}]}],
}
_cells = (
    st.sampled_from([*SHEET, "是", "否", "2026年3月", "12.5", "http://x/1", "某学校"])
    | inputs.odd_texts
    | inputs.PRINTED
)
_packages = inputs.with_odd_parts({"releases": [RELEASE, RELEASE]}) | inputs.with_odd_parts(
    {"records": [{"compiledRelease": RELEASE}, {"releases": [RELEASE]}]}
)


class TooSlow(AssertionError):
    """It reads, but who sends a few of these has the process for himself."""


@dataclass(frozen=True, slots=True)
class Parser:
    """`read` may raise `refusals`; anything else is a fault, and so is a result that cannot be written down."""

    name: str
    given: st.SearchStrategy[Any]
    read: Callable[[Any], object]
    refusals: tuple[type[Exception], ...] = ()


def _mail(raw: bytes) -> None:
    mail = mime.parse(raw)
    rules = MailRules()
    written = quoting.cut(mail.text, rules.quoting)
    facts = facts_in(written.text, nature_of(mail, rules), rules)
    # All of it goes into the database and into events.
    kept = repr((mail, written, facts))
    (mail.text + mail.subject + mail.digest + mail.message_id + mail.sender.name + written.signature).encode()
    assert "\\x00" not in kept, "a NUL"


def _erp(given: tuple[str, str]) -> None:
    document = u8.read(given[1], given[0], "erp", ErpRules())
    if isinstance(document, u8.Document):
        assert len(document.row.SerializeToString()) < 100 * (len(given[1]) + 100), "it has grown"


def _page(html: str) -> None:
    site.parse_list(html, "http://a.test/search?page=1", PROCUREMENT.pages)
    site.parse_detail(html, "http://a.test/t1.htm", PROCUREMENT.pages)
    site.decode(html.encode("utf-8", "surrogatepass"), html[:200])


def _notice_sheet(rows: list[list[str]]) -> None:
    # What a workbook or a CSV file can hold at all.
    clean = [[cell.encode("utf-8", "replace").decode().replace("\0", "") for cell in row] for row in rows]
    sheet = sheets.read([list(SHEET), *clean], PROCUREMENT.sheets, PROCUREMENT.pages)
    lots = sum(len(listed.rows) for listed in sheet.notices)
    assert sheet.read == lots + len(sheet.headers) + len(sheet.duplicates) + len(sheet.refused), "a row is lost"
    contents = opened.of_sheet(sheet, [list(SHEET), *clean], "s", "k", PROCUREMENT)
    _kept(contents)


def _ocds(package: Any) -> None:
    text = json.dumps(package, allow_nan=True)
    _kept(opened.of_releases(ocds.releases(text), "s", "k"))


def _kept(contents: opened.Contents) -> None:
    """All of it goes into the database and into events."""
    for candidate in contents.candidates:
        said = {"url": "", "publish_date": NOW.date(), **candidate.said, "brought_by": "t", "observed_at": NOW}
        notice = complete(said, PROCUREMENT, sector_matcher(PROCUREMENT), id="n", now=NOW)
        wire.notice(notice).SerializeToString()
        assert "\0" not in notice.title + notice.body + notice.buyer, "a NUL"
    for raw in contents.raw.values():
        raw.encode()


def _foreign(given: tuple[list[list[str]], bytes]) -> None:
    cells, tail = given
    file = io.StringIO()
    csv.writer(file).writerows(cells)
    content = file.getvalue().encode("utf-8", "surrogatepass") + tail
    if content:
        request = DiagnoseDatasetRequest(
            tables=[Dataset(table="a.csv", content=content), Dataset(table="b.csv", content=content)]
        )
        diagnose(request, DiagnosisRules()).SerializeToString()


def _printed(text: str) -> None:
    mending.read_time(text)
    mending.read_amount(text, text)


def _condition(text: str) -> None:
    condition.compiled(text).holds(condition.SAMPLE)


def _hook(given: tuple[dict[str, str], bytes, str]) -> None:
    headers, body, path = given
    request = Request("POST", path, headers, {}, body)
    signatures.check(SECRET, request, 1767225600.0, MailRules().webhook_seconds)
    raise AssertionError("nobody signed this")


def _page_token(token: str) -> None:
    for part in pages.after(ListClocksRequest(page_token=token.encode("utf-8", "replace").decode()), "", ""):
        part.encode()


def _token(text: str) -> None:
    asyncio.run(Tokens(_Keys(), "closedloop", "closedloop").verify(text))
    raise AssertionError("nobody issued this")


class _Keys:
    """One key, of which nobody has the private part."""

    def __init__(self) -> None:
        self.keys: Keys | None = {"k": _key()}

    def look(self) -> None: ...

    async def search(self) -> None: ...


@cache
def _key() -> jwt.PyJWK:
    return jwt.PyJWK(
        {
            "kty": "EC", "crv": "P-256", "alg": "ES256", "kid": "k",
            "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4", "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
        }
    )  # fmt: skip


def _csv(given: tuple[str, list[list[str]], bytes]) -> None:
    kind, cells, tail = cast("tuple[Kind, list[list[str]], bytes]", given)
    with tempfile.TemporaryDirectory() as folder:
        layout = mapping.load()
        file = io.StringIO()
        writer = csv.writer(file)
        writer.writerow(inputs.HEADINGS[kind].split(","))
        writer.writerows(cells)
        Path(folder, layout.files[kind].name).write_bytes(file.getvalue().encode("utf-8", "surrogatepass") + tail)
        ledger = Ledger()
        rows = read_csv(Path(folder), kind, layout, ledger)
        if kind == "teams":
            list(people.gather(rows, layout, None, ledger).items())
            return
        make: Any = {"products": Products, "accounts": Accounts, "opportunities": Opportunities}[kind]("USD")
        for item in readable(kind, rows, ledger, make):
            item.message.SerializeToString()


def _rows(given: tuple[str, dict[str, Any], bytes]) -> None:
    suffix, cells, tail = given
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"rows{suffix}")
        if suffix == ".csv":
            file = io.StringIO()
            csv.writer(file).writerows([list(cells), [str(value) for value in cells.values()]])
            text = file.getvalue()
        else:
            text = json.dumps(cells) + "\n"
        path.write_bytes(text.encode("utf-8", "surrogatepass") + tail)
        list(contract_rows.items(path, "account", lambda _: AccountRow(), Ledger()))


def _identifiers(text: str) -> None:
    rules = identifiers.MatchingRules()
    identifiers.phone(text)
    identifiers.mail(text)
    identifiers.domain(text)
    identifiers.company(text, rules)


def _retry_after(text: str) -> None:
    assert Answer(429, {"retry-after": text}, b"").retry_after >= 0


def _rulebook(given: tuple[str, dict[str, Any]]) -> None:
    name, body = given
    if not isinstance(body, dict):
        return
    read = _models()[name].model_validate(body)
    json.dumps(read.model_dump(mode="json"), allow_nan=False)


@cache
def _models() -> dict[str, Any]:
    services: list[Service] = [import_module(f"closedloop_{name}.service").SERVICE for name in SERVICES]
    platform = import_module("closedloop_chassis.platform").SLICE
    slices = [part for service in services for part in service.slices] + [platform]
    return {model.rulebook: model for part in slices for model in part.rules}


@cache
def _default(name: str) -> dict[str, Any]:
    body: dict[str, Any] = _models()[name]().model_dump(mode="json")
    return body


_bodies = st.deferred(
    lambda: st.sampled_from(sorted(_models())).flatmap(
        lambda name: st.tuples(st.just(name), inputs.with_odd_parts(_default(name)))
    )
)

PARSERS = (
    Parser("mail", inputs.mails, _mail, (mime.NotMailError,)),
    Parser("ERP document", inputs.erp_documents, _erp, (u8.Unreadable,)),
    Parser("procurement page", inputs.pages, _page),
    Parser("notice sheet", st.lists(st.lists(_cells, max_size=12), max_size=8), _notice_sheet),
    Parser("OCDS package", _packages, _ocds, (errors.InvalidArgument,)),
    Parser(
        "foreign table",
        st.tuples(st.lists(st.lists(_cells, max_size=6), max_size=30), st.binary(max_size=40)),
        _foreign,
        (errors.InvalidArgument,),
    ),
    Parser("printed amount", inputs.PRINTED, _printed),
    Parser("approval condition", inputs.conditions, _condition, (condition.ConditionError,)),
    Parser("signed webhook", inputs.hooks, _hook, (errors.Unauthenticated,)),
    Parser("bearer token", inputs.bearer_tokens, _token, (errors.Unauthenticated,)),
    Parser("key set", inputs.key_sets, lambda text: parsed_keys(text.encode()), (ValueError,)),
    Parser("page token", inputs.page_tokens, _page_token, (errors.InvalidArgument,)),
    Parser("CRM file", inputs.csv_files, _csv, (Usage,)),
    Parser("file of rows", inputs.row_files, _rows, (Usage,)),
    Parser("phone, mail, company", inputs.odd_texts, _identifiers),
    Parser("Retry-After", inputs.retries, _retry_after),
    Parser("rulebook", _bodies, _rulebook, (ValidationError,)),
    Parser("text for a log", inputs.odd_texts | inputs.nested("a@"), masked_text),
)


def search(parser: Parser, seed: int, *, examples: int = 50, seconds: float = 10.0) -> list[Finding]:
    """Rounds of `examples` inputs from `seed` on until `seconds` are over or one is found that breaks it."""
    until, number = time.monotonic() + seconds, 0
    while True:
        if found := _round(parser, seed + number, examples, until):
            return [found]
        number += 1
        if time.monotonic() >= until:
            return []


def one_round(parser: Parser, seed: int, examples: int) -> list[Finding]:
    """For a test: `examples` inputs, whatever time they take (up to half a minute)."""
    found = _round(parser, seed, examples, time.monotonic() + 30.0)
    return [found] if found else []


def _round(parser: Parser, seed: int, examples: int, until: float) -> Finding | None:
    # What broke it, the shortest so far: shrinking a slow one would take all the time there is.
    broken: list[tuple[int, Finding]] = []

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=examples,
        database=None,
        deadline=None,
        suppress_health_check=list(hypothesis.HealthCheck),
        phases=[hypothesis.Phase.generate, hypothesis.Phase.shrink],
        verbosity=hypothesis.Verbosity.quiet,
        print_blob=False,
    )
    @hypothesis.given(parser.given)
    def holds(given: Any) -> None:
        if time.monotonic() > until:
            return
        try:
            _read(parser, given)
        except Exception as fault:
            shown = repr(given)
            said = f"{type(fault).__name__}: {str(fault)[:300]} on {shown[:600]}"
            broken.append((len(shown), Finding(NAME, f"{parser.name} (seed {seed})", said)))
            raise

    # How hypothesis tells it (groups, notes, "flaky" where the time was over) says no more than `broken`.
    with warnings.catch_warnings(), suppress(Exception):
        warnings.simplefilter("ignore")
        holds()
    return min(broken, key=lambda one: one[0])[1] if broken else None


def _read(parser: Parser, given: Any) -> None:
    began = time.thread_time()
    with suppress(*parser.refusals):
        parser.read(given)
    if (took := time.thread_time() - began) > SLOWEST_SECONDS:
        raise TooSlow(f"took {took:.1f} s")


__all__ = ["PARSERS", "Parser", "one_round", "search"]
