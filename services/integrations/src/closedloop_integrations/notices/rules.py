"""What a notice is, which customers it speaks of, and how sure we are."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from math import sqrt
from statistics import NormalDist
from typing import Annotated, Any, ClassVar

from pydantic import Field

from closedloop_chassis.rulebook.rules import Part, Rules
from closedloop_integrations.file_limits import FileRules
from closedloop_integrations.procurement.matching import MatchingRules, NameMatch, NoticeMatcher, Place, normalise
from closedloop_integrations.procurement.site import NoticeDetail
from closedloop_integrations.procurement.words import PageWords

CONFIDENCE, METHOD = 0.95, "wilson"

KIND_WORDS: dict[str, tuple[str, ...]] = {
    "intention": ("意向",),
    "cancellation": ("终止", "废标", "流标", "取消"),
    "amendment": ("更正", "变更", "答疑", "澄清"),
    "award": ("中标", "成交", "结果"),
    "contract": ("合同",),
    "tender": ("招标", "磋商", "谈判", "询价", "比选", "单一来源", "资格预审", "采购公告"),
}
_EXPECTED = re.compile(r"(20\d{2})\s*年\s*(\d{1,2})\s*月")


class ConfidenceRules(Part):
    """How sure we are of a customer by where its name stands."""

    buyer: float = Field(default=0.98, ge=0, le=1)
    title: float = Field(default=0.85, ge=0, le=1)
    body: float = Field(default=0.6, ge=0, le=1)

    def of(self, place: Place) -> float:
        return float(getattr(self, place))


class SheetRules(Part):
    """How the columns of saved lists are called, and what a bare number in them is."""

    columns: dict[str, str] = Field(
        default={
            "客户名称": "buyer",
            "采购人": "buyer",
            "采购人名称": "buyer",
            "采购单位": "buyer",
            "采购单位名称": "buyer",
            "标题": "title",
            "公告标题": "title",
            "分类2": "kind",
            "公告类型": "kind",
            "地市": "region",
            "地区": "region",
            "行政区域": "region",
            "发布时间": "published",
            "发布日期": "published",
            "link": "url",
            "链接": "url",
            "子序号": "lot_number",
            "项目名称": "name",
            "采购项目名称": "name",
            "采购需求概况": "requirement",
            "金额": "amount",
            "预算金额": "amount",
            "拟面向中小企业预留": "reserved",
            "预计时间": "expected",
            "预计采购时间": "expected",
            "备注": "remark",
        },
        max_length=200,
    )
    # Where neither the number nor the column's title names a unit.
    bare_amount_unit: str = Field(default="万元", max_length=10)
    currency: str = Field(default="CNY", min_length=3, max_length=3)
    # Titles and notes may stand above the heading.
    heading_within: int = Field(default=10, ge=1, le=100)


class ProcurementRules(Rules):
    """Names, sectors and kinds; which matches are told at once; what the poller searches for."""

    rulebook: ClassVar[str] = "integrations.procurement"

    matching: MatchingRules = MatchingRules()
    confidence: ConfidenceRules = ConfidenceRules()
    # Less sure ones wait for a person.
    tell_from: float = Field(default=0.8, ge=0, le=1)
    # By the words that stand in the kind as printed, else in the title.
    kinds: dict[str, tuple[str, ...]] = Field(default=KIND_WORDS)
    # Of several the first: 招标结果公告 is an award though it says 招标. Kinds not named here come after, by name.
    kind_order: tuple[str, ...] = Field(default=tuple(KIND_WORDS), max_length=50)
    sheets: SheetRules = SheetRules()
    pages: PageWords = PageWords()
    # As many lines as one call can take in within its minute.
    files: FileRules = FileRules(most_lines=20_000)
    # Fewer reviewed matches say nothing about the matcher.
    accuracy_from: int = Field(default=20, ge=1, le=100_000)
    # Search words for the site, one poll each; "" asks for everything.
    searches: tuple[str, ...] = Field(default=("",), min_length=1, max_length=50)
    # Further hosts of the site ("https://notices.example.cn") where its lists and its notices stand on several.
    hosts: tuple[Annotated[str, Field(pattern=r"^https?://[^/?#@\s]{1,253}$")], ...] = Field(default=(), max_length=10)
    # A notice that cannot be had in so many turns is set aside, and the walk goes on without it.
    page_tries: int = Field(default=3, ge=1, le=20)
    # So many pages in a row that cannot be had are the site's fault, not theirs: the turn ends as failed.
    pages_lost: int = Field(default=3, ge=1, le=50)
    # Notices of the last so many days (0: of none) are asked for again, under the conditions of their pages, this often: a
    # notice may be corrected without a word in the list.
    recheck_days: int = Field(default=7, ge=0, le=365)
    recheck_hours: float = Field(default=24, ge=1, le=8760)
    # How far back the first poll of a search reaches, and by how much later ones overlap.
    look_back_days: int = Field(default=30, ge=1, le=3650)
    overlap_days: int = Field(default=2, ge=0, le=60)
    # Older notices are not searched for a customer that arrives later.
    rematch_days: int = Field(default=365, ge=0, le=3650)


@dataclass(frozen=True, slots=True)
class Notice:
    """A notice as it is kept; the fields are the columns."""

    id: str
    source: str
    source_id: str
    digest: str
    version: int
    kind: str
    title: str
    buyer: str
    buyer_key: str
    agency: str
    region: str
    # [{"name", "requirement", "amount_minor", "currency", "expected_date", "remark"}]
    items: list[dict[str, Any]]
    amount_minor: int | None
    currency: str
    publish_date: date
    # "2026-05" or "2026-05-01"; empty where unknown.
    expected_date: str
    deadline_at: datetime | None
    url: str
    body: str
    search_text: str
    sectors: list[str]
    keywords: list[str]
    suppliers: list[str]
    mended: list[str]
    project_key: str
    brought_by: str
    observed_at: datetime
    created_at: datetime


# What the source itself says; everything else follows from it or is ours.
SAID: tuple[str, ...] = (
    "kind",
    "title",
    "buyer",
    "agency",
    "region",
    "items",
    "amount_minor",
    "currency",
    "publish_date",
    "expected_date",
    "deadline_at",
    "url",
    "body",
    "suppliers",
)


def sector_matcher(rules: ProcurementRules) -> NoticeMatcher:
    """Knows sectors and no names; made once for many notices."""
    return NoticeMatcher((), rules.matching)


def complete(
    said: dict[str, Any], rules: ProcurementRules, sectors: NoticeMatcher, *, id: str, now: datetime
) -> Notice:
    """The notice with all that follows from what was said: digest, keys, sectors, kind, project. `said` may name the
    `project` better than the title does, or its `project_key`."""
    buyer_key = normalise(said["buyer"])
    text = "\n".join(normalise(line) for line in f"{said['title']}\n{said['body']}".splitlines())
    found = sectors.match(said["buyer"], said["title"], said["body"]).sectors
    kind = said["kind"] or kind_of("", said["title"], rules)
    content = json.dumps([said[name] for name in SAID], default=str, ensure_ascii=False)
    return Notice(
        **{name: said[name] for name in SAID if name not in ("kind", "expected_date")},
        id=id,
        source=said["source"],
        source_id=said["source_id"],
        digest=hashlib.sha256(content.encode()).hexdigest(),
        version=1,
        kind=kind,
        expected_date=said["expected_date"] or (expected_month(said["title"]) if kind == "intention" else ""),
        buyer_key=buyer_key,
        search_text=text,
        sectors=list(dict.fromkeys([*said["sectors"], *(sector.sector for sector in found)])),
        keywords=list(dict.fromkeys(word for sector in found for word in sector.keywords)),
        mended=said["mended"],
        project_key=said.get("project_key") or project_key(buyer_key, said.get("project") or said["title"], rules),
        brought_by=said["brought_by"],
        observed_at=said["observed_at"],
        created_at=now,
    )


def said_by_page(page: NoticeDetail, source: str, rules: ProcurementRules, fetched: datetime) -> dict[str, Any]:
    """What a page of the site says, as `complete` takes it."""
    return {
        "source": source,
        "source_id": page.id,
        "kind": kind_of(page.kind, page.title, rules),
        "title": page.title,
        "buyer": page.buyer,
        "agency": page.agency,
        "region": page.region,
        "items": [],
        "amount_minor": page.amount_minor,
        "currency": "CNY" if page.amount_minor is not None else "",
        "publish_date": page.published.date(),
        "expected_date": "",
        "deadline_at": None,
        "url": page.url,
        "body": page.body,
        "suppliers": [],
        "sectors": [],
        "mended": list(page.remarks),
        "brought_by": f"poll:{source}",
        "observed_at": fetched,
    }


def kind_of(printed: str, title: str, rules: ProcurementRules) -> str:
    """ "tender" where nothing says otherwise: most notices are."""
    # What is published has no order of its own.
    order = {kind: place for place, kind in enumerate(rules.kind_order)}
    kinds = sorted(rules.kinds, key=lambda kind: (order.get(kind, len(order)), kind))
    for text in (printed, title):
        for kind in kinds:
            if any(word in text for word in rules.kinds[kind]):
                return kind
    return "tender"


def expected_month(title: str) -> str:
    """ "2026-05" out of an intention's title; empty where none stands there."""
    found = _EXPECTED.search(title)
    return f"{found[1]}-{int(found[2]):02d}" if found and 1 <= int(found[2]) <= 12 else ""


def project_key(buyer_key: str, title: str, rules: ProcurementRules) -> str:
    """The same for intention, tender, award and contract of one project: buyer and title without the words of kinds."""
    core = normalise(title).removeprefix(buyer_key)
    for word in sorted((word for words in rules.kinds.values() for word in words), key=len, reverse=True):
        core = core.replace(word, "")
    for word in ("公开", "竞争性", "政府采购", "公告", "公示", "关于", "项目", "采购", "的"):
        core = core.replace(word, "")
    return f"{buyer_key}:{core}"[:200]


@dataclass(frozen=True, slots=True)
class Found:
    """A customer found in a notice: how sure, and why in one sentence."""

    account_id: str
    name: str
    text: str
    place: Place
    confidence: float
    state: str
    explanation: str


def judge(notice: Notice, matcher: NoticeMatcher, rules: ProcurementRules) -> list[Found]:
    """The customers of a notice, each once, the surest first."""
    return [_found(notice, match, rules) for match in matcher.match(notice.buyer, notice.title, notice.body).customers]


def _found(notice: Notice, match: NameMatch, rules: ProcurementRules) -> Found:
    confidence = rules.confidence.of(match.place)
    told = confidence >= rules.tell_from
    text = {"buyer": notice.buyer, "title": notice.title}.get(match.place) or _line_with(notice.body, match.name)
    sectors = f"; sectors {', '.join(notice.sectors)}" if notice.sectors else ""
    return Found(
        account_id=match.customer_id,
        name=match.name,
        text=text[:500],
        place=match.place,
        confidence=confidence,
        state="found" if told else "doubtful",
        explanation=(
            f'"{match.name}" stands in the {match.place}: confidence {confidence:.2f}, '
            f"{'told' if told else 'not told'} from {rules.tell_from:.2f} on{sectors}"
        ),
    )


def _line_with(body: str, name: str) -> str:
    key = normalise(name)
    return next((line for line in body.splitlines() if key in normalise(line)), name)


def wilson(hits: int, of: int) -> tuple[float, float]:
    """The interval of a share at CONFIDENCE, by Wilson (1927); `of` is positive. In closed form, and held to statsmodels by a
    test: with that library the image would be three times as large."""
    z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    share, spread = hits / of, z * z / of
    middle = (share + spread / 2) / (1 + spread)
    half = z / (1 + spread) * sqrt(share * (1 - share) / of + spread / of / 4)
    return max(middle - half, 0.0), min(middle + half, 1.0)


def best(found: Iterable[Found]) -> dict[str, Found]:
    """By account."""
    return {each.account_id: each for each in sorted(found, key=lambda f: f.confidence)}
