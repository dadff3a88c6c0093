"""A government procurement site: search pages and notices as HTML, as the national site and its provincial sisters
serve them.

`GET /search?kw=&page=1&since=2026-03-01` lists notices, newest first, 20 a page. A result is `<li><a
href="/notices/t20260302_1001.htm">title</a><p>summary</p><span>date | 采购人：buyer | 代理机构：agency | type |
region</span></li>`; `<p class="total">` holds the count and `<a class="next">` the next page. `kw` is looked for in
title, buyer and body; several words all have to occur. `GET /notices/<id>.htm` is one notice: `h2.tc` title,
`table.summary` of label and value (采购人, 代理机构, 预算金额, 行政区域, 公告类型), `#pubTime`, and the text in
`div.content`.

Pages carry `ETag` and `Last-Modified` and answer 304 (`unchanged` says which did). More than `limit` requests within
`window` seconds from one address answer 429 with `Retry-After`. `faults` adds to those of every simulator: `malformed`
(every list has a row nobody can read), `untagged` (no page has an `ETag`), `charset` ("gb18030": the page says so in its
`<meta>` alone, as old sites do), and by a notice's id, "" being all of them: `broken` (its page answers with this status),
`swollen` (is so many bytes long), `moved` (the list links to another site, "http://host"). `unlisted`: pages of lists, by
number, that answer with a status.

Control: `POST /_control/notices` with the fields of `Notice` (`published` ISO 8601 with offset), `GET
/_control/notices`.
"""

from __future__ import annotations

import hashlib
import html
import math
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime
from typing import TypeVar
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from pydantic import AwareDatetime, TypeAdapter, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from closedloop_devstack.simulators.ratelimit import SlidingWindow
from closedloop_devstack.simulators.server import Clock, Faults, HttpSimulator, body, utc_now

CHINA = ZoneInfo("Asia/Shanghai")
PAGE_SIZE = 20

_PLACES = ("山东省济南市", "山东省青岛市", "江苏省南京市", "浙江省杭州市", "四川省成都市", "广东省广州市")
_BUYERS = ("第三中学", "实验小学", "职业技术学院", "中医医院", "公安局", "教育局", "图书馆", "理工大学")
_GOODS = (
    "智慧黑板采购",
    "实验室设备采购",
    "校园网络改造",
    "学生公寓家具",
    "信息化平台运维",
    "多媒体教学设备采购",
    "物业管理服务",
)
_KINDS = ("公开招标公告", "竞争性磋商公告", "中标公告", "政府采购意向", "询价公告")


@dataclass(frozen=True)
class Notice:
    """One notice as printed. `amount` is text with its unit ("128.65万元"); an empty `id` is given by the site."""

    title: str
    buyer: str
    published: AwareDatetime
    amount: str = ""
    agency: str = ""
    kind: str = "公开招标公告"
    region: str = ""
    body: str = ""
    id: str = ""


@dataclass(frozen=True)
class SiteFaults(Faults):
    malformed: bool = False
    untagged: bool = False
    charset: str = "utf-8"
    broken: Mapping[str, int] = field(default_factory=dict)
    swollen: Mapping[str, int] = field(default_factory=dict)
    moved: Mapping[str, str] = field(default_factory=dict)
    unlisted: Mapping[str, int] = field(default_factory=dict)


Fault = TypeVar("Fault")

_NOTICE = TypeAdapter(Notice)


class ProcurementSite(HttpSimulator):
    """`notices`: what stands on the site. `requests`: what was asked, `unchanged`: what of it was answered by 304. `fill`
    gives the same for the same `seed`."""

    def __init__(
        self,
        port: int = 0,
        *,
        host: str = "127.0.0.1",
        seed: int = 1,
        limit: int = 60,
        window: float = 1.0,
        clock: Clock = utc_now,
    ) -> None:
        super().__init__(port, host=host, clock=clock)
        self.notices: list[Notice] = []
        self.requests: list[str] = []
        self.unchanged: list[str] = []
        self._changed: dict[str, datetime] = {"": datetime(2026, 1, 1, tzinfo=UTC)}
        self._random = random.Random(seed)
        self._window = SlidingWindow(limit, window)

    def no_faults(self) -> SiteFaults:
        return SiteFaults()

    def publish(self, notice: Notice) -> Notice:
        """Puts a notice on the site, or replaces the one with its id; returns it with its id."""
        with self.lock:
            if not notice.id:
                day = notice.published.astimezone(CHINA)
                notice = replace(notice, id=f"t{day:%Y%m%d}_{1001 + len(self.notices)}")
            before = next((known for known in self.notices if known.id == notice.id), None)
            self.notices = sorted(
                [known for known in self.notices if known.id != notice.id] + [notice],
                key=lambda known: (known.published, known.id),
                reverse=True,
            )
            # Two changes within a second would look like one to If-Modified-Since.
            moment = max(self.clock().replace(microsecond=0), self._changed[""] + timedelta(seconds=1))
            self._changed[""] = moment
            # The list tells seconds, a page does not: it may stay what it was.
            if before is None or _article(before) != _article(notice):
                self._changed[notice.id] = moment
        return notice

    def fill(self, count: int, last: datetime) -> list[Notice]:
        """Publishes `count` notices, the newest at `last` and each some hours before the one after it."""
        made = []
        for _ in range(count):
            place, kind = self._random.choice(_PLACES), self._random.choice(_KINDS)
            buyer, goods = place[3:] + self._random.choice(_BUYERS), self._random.choice(_GOODS)
            made.append(
                self.publish(
                    Notice(
                        title=f"{buyer}{goods}{kind}",
                        buyer=buyer,
                        published=last,
                        kind=kind,
                        region=place[:3],
                        amount=f"{self._random.randrange(500, 90_000) / 100:.2f}万元",
                        agency=f"{place[3:5]}诚信招标有限公司",
                        body=f"{buyer}的{goods}项目已具备采购条件，现予公告。合格的供应商可在公告期内获取采购文件。",
                    )
                )
            )
            last -= timedelta(minutes=self._random.randrange(20, 600))
        return made

    def notice_url(self, notice: Notice) -> str:
        return f"{self.url}/notices/{notice.id}.htm"

    def routes(self) -> Sequence[Route]:
        return (
            Route("/search", self._search),
            Route("/notices/{id}.htm", self._detail),
            Route("/_control/notices", self._list, methods=["GET"]),
            Route("/_control/notices", self._publish, methods=["POST"]),
        )

    async def _search(self, request: Request) -> Response:
        self._admit(request)
        words = request.query_params.get("kw", "").split()
        try:
            page = max(1, int(request.query_params.get("page", "1")))
            since = date.fromisoformat(request.query_params.get("since") or "1970-01-01")
        except ValueError as error:
            raise HTTPException(400, "page is a number, since is YYYY-MM-DD") from error
        if status := self._faults.unlisted.get(str(page)):
            raise HTTPException(status, "系统繁忙")
        found = [
            notice
            for notice in self.notices
            if notice.published.astimezone(CHINA).date() >= since
            and all(word in notice.title + notice.buyer + notice.body for word in words)
        ]
        rows = [
            _row(notice, _of(self._faults.moved, notice.id) or "")
            for notice in found[(page - 1) * PAGE_SIZE : page * PAGE_SIZE]
        ]
        if self._faults.malformed:
            rows.insert(len(rows) // 2, '<li><a href="">（无标题）</a><p></p><span>时间待定 | 采购人 |  | </span>')
        following = ""
        if page * PAGE_SIZE < len(found):
            query = urlencode({**request.query_params, "page": page + 1})
            following = f'<a class="next" href="/search?{html.escape(query)}">下一页</a>'
        return self._page(
            request,
            "搜索结果",
            self._changed[""],
            f'<p class="total">共找到 <b>{len(found)}</b> 条公告</p>'
            f'<ul class="results">{"".join(rows)}</ul>{following}',
        )

    async def _detail(self, request: Request) -> Response:
        self._admit(request)
        notice = next((known for known in self.notices if known.id == request.path_params["id"]), None)
        if notice is None:
            raise HTTPException(404, "公告不存在")
        if status := _of(self._faults.broken, notice.id):
            raise HTTPException(status, "系统繁忙")
        if size := _of(self._faults.swollen, notice.id):
            return Response(b" " * size, media_type="text/html")
        return self._page(request, notice.title, self._changed[notice.id], _article(notice))

    async def _list(self, _: Request) -> Response:
        return JSONResponse({"notices": [asdict(n) | {"published": n.published.isoformat()} for n in self.notices]})

    async def _publish(self, request: Request) -> Response:
        try:
            notice = self.publish(_NOTICE.validate_python(await body(request)))
        except ValidationError as error:
            raise HTTPException(422, str(error)) from error
        return JSONResponse({"id": notice.id, "url": self.notice_url(notice)}, 201)

    @property
    def _faults(self) -> SiteFaults:
        assert isinstance(self.faults, SiteFaults)
        return self.faults

    def _admit(self, request: Request) -> None:
        self.requests.append(f"{request.url.path}?{request.url.query}".rstrip("?"))
        wait = self._window.wait(request.client.host if request.client else "", time.monotonic())
        if wait:
            raise HTTPException(429, "您的访问过于频繁，请稍后再试", {"Retry-After": str(math.ceil(wait))})

    def _page(self, request: Request, title: str, changed: datetime, content: str) -> Response:
        charset = self._faults.charset
        text = (
            f'<!DOCTYPE html><html><head><meta charset="{charset}"><title>{html.escape(title)}</title></head>'
            f"<body>{content}</body></html>"
        )
        payload = text.encode(charset, "xmlcharrefreplace")
        etag = f'"{hashlib.sha256(payload).hexdigest()[:20]}"'
        kind = "text/html; charset=utf-8" if charset == "utf-8" else "text/html"
        headers = {"ETag": etag, "Last-Modified": format_datetime(changed, usegmt=True), "Content-Type": kind}
        if self._faults.untagged:
            del headers["ETag"]
        if _unchanged(request, "" if self._faults.untagged else etag, changed):
            self.unchanged.append(self.requests[-1])
            return Response(status_code=304, headers=headers)
        return Response(payload, headers=headers)


def _unchanged(request: Request, etag: str, changed: datetime) -> bool:
    """RFC 9110, 13.2.2: If-None-Match decides alone where it is sent to who knows tags."""
    if etag and (known := request.headers.get("if-none-match")):
        return known.strip() == "*" or etag in [tag.strip().removeprefix("W/") for tag in known.split(",")]
    try:
        return changed <= parsedate_to_datetime(request.headers.get("if-modified-since", ""))
    except (TypeError, ValueError):
        return False


def _of(faults: Mapping[str, Fault], id: str) -> Fault | None:
    return faults.get(id, faults.get(""))


def _row(notice: Notice, site: str) -> str:
    facts = (
        f"{notice.published.astimezone(CHINA):%Y.%m.%d %H:%M:%S} | 采购人：{notice.buyer} | 代理机构：{notice.agency}"
        f" | {notice.kind} | {notice.region}"
    )
    return (
        f'<li><a href="{html.escape(site)}/notices/{html.escape(notice.id)}.htm" target="_blank">{html.escape(notice.title)}</a>'
        f"<p>{html.escape(notice.body[:80])}</p><span>{html.escape(facts)}</span></li>"
    )


def _article(notice: Notice) -> str:
    summary = {
        "采购人": notice.buyer,
        "代理机构": notice.agency,
        "预算金额": notice.amount,
        "行政区域": notice.region,
        "公告类型": notice.kind,
    }
    cells = "".join(f"<tr><td>{label}</td><td>{html.escape(value)}</td></tr>" for label, value in summary.items())
    paragraphs = "".join(f"<p>{html.escape(line)}</p>" for line in notice.body.splitlines())
    return (
        f'<h2 class="tc">{html.escape(notice.title)}</h2>'
        f'<span id="pubTime">{notice.published.astimezone(CHINA):%Y年%m月%d日 %H:%M}</span>'
        f'<table class="summary">{cells}</table><div class="content">{paragraphs}</div>'
    )
