"""Reads the pages of a procurement site: search lists and notices.

What is printed oddly is mended and said so in `remarks`; what cannot be mended comes back as `Quarantined`, with the
reason and the HTML, and stops nobody else. Remarks: `BUYER_UNLABELLED`, `BUYER_FROM_TITLE`, `BUYER_FROM_BODY`,
`AMOUNT_FROM_BODY`, `AMOUNT_UNREADABLE`. Reasons: `LAYOUT_UNKNOWN`, `TITLE_MISSING`, `LINK_MISSING`,
`TIME_UNREADABLE`, `BUYER_MISSING`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import parse_qs, urljoin, urlsplit

from selectolax.lexbor import LexborHTMLParser, LexborNode

from closedloop_integrations import charsets, markup
from closedloop_integrations.procurement.mending import plain, printed, read_amount, read_time
from closedloop_integrations.procurement.words import PageWords

MAX_RAW = 2000

_CHARSET = re.compile(rb"""<meta[^>]+charset\s*=\s*["']?\s*([\w-]+)""", re.I)


@dataclass(frozen=True, slots=True)
class NoticeRow:
    """A notice as a list shows it. `published` is aware; `agency`, `kind` and `region` may be empty."""

    id: str
    url: str
    title: str
    buyer: str
    published: datetime
    agency: str
    kind: str
    region: str
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NoticeDetail:
    """A notice read in full. `amount_minor` is fen, None where none is given or readable."""

    id: str
    url: str
    title: str
    buyer: str
    published: datetime
    agency: str
    kind: str
    region: str
    amount_minor: int | None
    body: str
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Quarantined:
    """Something nobody could read: why, and the HTML it came in (at most 2000 characters)."""

    reason: str
    raw: str


@dataclass(frozen=True, slots=True)
class ListPage:
    """One page of a search. `total` as the site counts; `next_url` is empty on the last page."""

    rows: tuple[NoticeRow, ...]
    quarantined: tuple[Quarantined, ...]
    total: int | None
    next_url: str


class _UnreadableError(Exception):
    pass


def decode(content: bytes, content_type: str = "") -> str:
    """The page as text: by the header's charset, else the page's own, else UTF-8, else GB18030; never fails."""
    named = re.search(r"charset\s*=\s*[\"']?([\w-]+)", content_type, re.I)
    declared = _CHARSET.search(content[:2048])
    said = (named[1] if named else "", declared[1].decode("ascii", "ignore") if declared else "")
    known = [name for charset in (*said, "utf-8", "gb18030") if (name := charsets.codec(charset))]
    for errors in ("strict", "replace"):
        for charset in known:
            try:
                return content.decode(charset, errors)
            except ValueError:
                continue
    raise AssertionError("GB18030 replaces what it cannot read")


def parse_list(html: str, base_url: str, words: PageWords) -> ListPage:
    """The rows of a search page; `base_url` is the page's own address."""
    try:
        tree = markup.tree(html)
    except markup.TooDeep:
        return ListPage((), (Quarantined("NESTED_TOO_DEEP", html[:MAX_RAW]),), None, "")
    results = tree.css_first("ul.results, ul.vT-srch-result-list-bid")
    if results is None:
        return ListPage((), (Quarantined("LAYOUT_UNKNOWN", html[:MAX_RAW]),), None, "")
    rows: list[NoticeRow] = []
    quarantined: list[Quarantined] = []
    # Its own items: lists within them are none of the site's.
    for item in (child for child in results.iter() if child.tag == "li"):
        try:
            rows.append(_row(item, base_url, words))
        except _UnreadableError as reason:
            quarantined.append(Quarantined(str(reason), (item.html or "")[:MAX_RAW]))
    counted = re.search(r"(?<![0-9])[0-9]{1,9}(?![0-9])", _text(tree.css_first("p.total")))
    following = tree.css_first("a.next")
    href = (following.attributes.get("href") or "") if following is not None else ""
    next_url = _joined(base_url, href) if href else ""
    return ListPage(tuple(rows), tuple(quarantined), int(counted[0]) if counted else None, next_url)


def parse_detail(html: str, url: str, words: PageWords) -> NoticeDetail | Quarantined:
    """A notice from its own page at `url`."""
    try:
        return _detail(markup.tree(html), url, words)
    except markup.TooDeep:
        return Quarantined("NESTED_TOO_DEEP", html[:MAX_RAW])
    except _UnreadableError as reason:
        return Quarantined(str(reason), html[:MAX_RAW])


def notice_id(url: str) -> str:
    """What a site calls a notice: the `id` of its address, else the name of the page."""
    parts = urlsplit(url)
    return (parse_qs(parts.query).get("id") or [""])[0] or parts.path.rpartition("/")[2].partition(".")[0]


def _joined(base_url: str, href: str) -> str:
    """Empty for an address that is none, like "http://[x"."""
    try:
        joined = urljoin(base_url, href)
        urlsplit(joined)
    except ValueError:
        return ""
    return joined


def _row(item: LexborNode, base_url: str, words: PageWords) -> NoticeRow:
    link = item.css_first("a[href]")
    title = _text(link)
    if link is None or not title:
        raise _UnreadableError("TITLE_MISSING")
    url = _joined(base_url, (link.attributes.get("href") or "").strip())
    if not urlsplit(url).scheme.startswith("http") or url == base_url or not notice_id(url):
        raise _UnreadableError("LINK_MISSING")
    for line_break in item.css("span br"):
        line_break.replace_with("|")
    facts = _facts(_text(item.css_first("span")), words)
    published = read_time(facts.get("published", ""))
    if published is None:
        raise _UnreadableError("TIME_UNREADABLE")
    buyer, remarks = _buyer(facts.get("buyer", ""), title, "", words, facts.get("unlabelled_buyer", ""))
    return NoticeRow(
        notice_id(url),
        url,
        title,
        buyer,
        published,
        facts.get("agency", ""),
        facts.get("kind", ""),
        facts.get("region", ""),
        remarks,
    )


def _facts(line: str, words: PageWords) -> dict[str, str]:
    """`date | 采购人：buyer | 代理机构：agency | type | region`: by label if there is one, else by what it looks like.

    Rows may be shifted by empty cells, so the place in the line alone says nothing; but what stands unlabelled between
    date and type is buyer and agency, and what stands behind the type is the region.
    """
    facts: dict[str, str] = {}
    unlabelled: list[str] = []
    for cell in (cell.strip() for cell in re.split("[|｜]", line)):
        label, *values = re.split("[:：]", cell, maxsplit=1)
        field = words.field_of.get(label.replace(" ", "")) if values else None
        if field:
            facts[field] = values[0].strip()
        elif "published" not in facts and read_time(cell):
            facts["published"] = cell
        elif words.kind.search(cell) and "kind" not in facts:
            facts["kind"] = cell
            if "buyer" not in facts:
                facts |= zip(("unlabelled_buyer", "agency"), unlabelled, strict=False)
            unlabelled = []
        elif cell and cell not in words.field_of:
            unlabelled.append(cell)
    if unlabelled and "kind" in facts:
        facts.setdefault("region", unlabelled[0])
    return facts


def _detail(tree: LexborHTMLParser, url: str, words: PageWords) -> NoticeDetail:
    title = _text(tree.css_first("h2.tc, h1, h2")) or _text(tree.css_first("title"))
    if not title:
        raise _UnreadableError("TITLE_MISSING")
    facts: dict[str, str] = {}
    amount_label = ""
    for cells in (row.css("td, th") for row in tree.css("table.summary tr, .table tr")):
        for label, value in zip(cells[::2], cells[1::2], strict=False):
            name = re.sub(r"[\s:]", "", plain(_text(label)))
            field = words.field_of.get(re.sub(r"\(.*\)", "", name))
            if field and _text(value):
                facts.setdefault(field, _text(value))
                amount_label = name if field == "amount" and not amount_label else amount_label
    published = read_time(_text(tree.css_first("#pubTime")) or facts.get("published", ""))
    if published is None:
        raise _UnreadableError("TIME_UNREADABLE")
    content = tree.css_first("div.content, div.vF_detail_content")
    paragraphs = [] if content is None else [printed(line) for line in content.text(separator="\n").splitlines()]
    body = "\n".join(line for line in paragraphs if line)
    buyer, remarks = _buyer(facts.get("buyer", ""), title, body, words)
    amount, doubts = _amount(facts.get("amount", ""), amount_label, body, words)
    return NoticeDetail(
        notice_id(url),
        url,
        title,
        buyer,
        published,
        facts.get("agency", ""),
        facts.get("kind", ""),
        facts.get("region", ""),
        amount,
        body,
        remarks + doubts,
    )


def buyer_in(title: str, words: PageWords) -> str:
    """The buyer of an intention, whose name stands in the title alone; empty where none does."""
    found = words.intention.match(plain(title))
    return found["buyer"].strip() if found else ""


def _buyer(printed: str, title: str, body: str, words: PageWords, unlabelled: str = "") -> tuple[str, tuple[str, ...]]:
    if printed:
        return printed, ()
    if unlabelled:
        return unlabelled, ("BUYER_UNLABELLED",)
    if named := buyer_in(title, words):
        return named, ("BUYER_FROM_TITLE",)
    if found := words.body_buyer.search(_plain_lines(body)):
        return found["buyer"], ("BUYER_FROM_BODY",)
    raise _UnreadableError("BUYER_MISSING")


def _amount(printed: str, label: str, body: str, words: PageWords) -> tuple[int | None, tuple[str, ...]]:
    if printed and (amount := read_amount(printed, label)) is not None:
        return amount, ()
    for found in words.body_amount.finditer(_plain_lines(body)):
        if (amount := read_amount(found["amount"], found["label"])) is not None:
            return amount, ("AMOUNT_FROM_BODY",)
    return None, ("AMOUNT_UNREADABLE",) if printed else ()


def _plain_lines(body: str) -> str:
    return "\n".join(plain(line) for line in body.splitlines())


def _text(node: LexborNode | None) -> str:
    return "" if node is None else printed(node.text())
