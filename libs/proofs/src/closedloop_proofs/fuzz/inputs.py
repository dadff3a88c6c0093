"""What is put before the parsers: true documents of each kind with something odd in them, and things that are none."""

from __future__ import annotations

import base64
import json
from typing import Any

from hypothesis import strategies as st

from closedloop_proofs.fuzz.values import DECIMALS, TEXTS

odd_texts = st.sampled_from(TEXTS) | st.text(max_size=60)
# Numbers and texts that stand where a number should.
odd_numbers = (
    st.sampled_from(DECIMALS) | st.integers() | st.floats() | st.sampled_from((10**30, -(10**400), 2**31, True, None))
)
odd_values = odd_texts | odd_numbers | st.none() | st.booleans()
odd_json = st.recursive(
    odd_values, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(odd_texts, inner, max_size=4), max_leaves=12
)
depths = st.sampled_from((10, 100, 500, 1000, 3000, 20_000))


def nested(opening: str, closing: str = "") -> st.SearchStrategy[str]:
    return depths.map(lambda depth: opening * depth + closing * depth)


@st.composite
def with_odd_parts(draw: st.DrawFn, whole: Any) -> Any:
    """A true document in which some parts are replaced, left out or put where they do not belong."""
    found = json.loads(json.dumps(whole))
    for _ in range(draw(st.integers(1, 3))):
        found = _changed(draw, found)
    return found


def _changed(draw: st.DrawFn, part: Any) -> Any:
    """Goes down by chance, and changes what it ends at."""
    if isinstance(part, dict) and part and draw(st.integers(0, 5)):
        key = draw(st.sampled_from(sorted(part)))
        if draw(st.integers(0, 7)) == 0:
            return {name: value for name, value in part.items() if name != key}
        return {**part, key: _changed(draw, part[key])}
    if isinstance(part, list) and part and draw(st.integers(0, 5)):
        index = draw(st.integers(0, len(part) - 1))
        return [*part[:index], _changed(draw, part[index]), *part[index + 1 :]]
    return draw(odd_json)


# Mail.

CHARSETS = (
    "utf-8", "gb2312", "gb18030", "hz", "utf-7", "utf-16", "idna", "punycode", "rot13", "base64", "unknown-8bit",
    "x" * 99, "", "ascii\0", "unicode_escape", "raw_unicode_escape", "undefined", "mbcs", "uu", "zlib",
)  # fmt: skip
TRANSFERS = ("7bit", "8bit", "base64", "quoted-printable", "x-uuencode", "binary", "BASE64 ", "x\0")
KINDS = (
    "text/plain", "text/html", "multipart/mixed", "multipart/alternative", "multipart/report", "message/rfc822",
    "message/delivery-status", "message/partial", "text/rfc822-headers", "application/octet-stream", "text", "/", "a/b/c",
    "multipart/mixed; boundary", "image/*", "text/plain; name*=utf-8''%ff%fe", "message/external-body",
)  # fmt: skip
HEADERS = (
    "From", "To", "Cc", "Subject", "Date", "Message-ID", "In-Reply-To", "References", "Content-Type", "Content-Disposition",
    "Content-Transfer-Encoding", "Return-Path", "Auto-Submitted", "Received", "Sender", "X-Autoreply", "List-Unsubscribe",
)  # fmt: skip
DATES = (
    "Mon, 5 Jan 2026 09:00:00 +0800", "Mon, 99 Jan 99999 99:99:99 +9999", "-1", "Thu, 01 Jan 1970 00:00:00 -0000", "0",
    "31 Dec 9999 23:59:59 -2359", "1 Jan 0001 00:00:00 +2359", "Mon, 5 Jan 2026", "5 Jan 26 9:0 EST",
    "1 Jan 10000 0:0:0 +0000",
)  # fmt: skip
ADDRESSES = (
    "a@b.example", '"A, B" <a@b.example>', "<>", "@", "a@b@c", '"' + "\\" * 50, "(" * 200, "a" * 500 + "@b.example",
    "=?utf-8?b?5a6i?= <x@y.z>",
    "group: a@b.c, d@e.f;", "a@[127.0.0.1]", "a@b,\r\n c@d", "," * 300, "<" * 300 + "a@b" + ">" * 300,
)  # fmt: skip
_word_charsets = st.sampled_from(CHARSETS)
encoded_words = st.builds(
    lambda charset, kind, content: f"=?{charset}?{kind}?{content}?=",
    _word_charsets,
    st.sampled_from("bBqQxz"),
    st.sampled_from(("5a6i5oi3", "=E5=AE=A2", "====", "!!!", "", "A" * 77, "=FF=FE", "_")),
)
header_values = (
    encoded_words
    | st.sampled_from(DATES)
    | st.sampled_from(ADDRESSES)
    | odd_texts
    | st.builds(
        "{0}; charset={1}; boundary={2}".format,
        st.sampled_from(KINDS),
        _word_charsets,
        st.sampled_from(("b", '"b"', "", '"', "b" * 300)),
    )
    | st.sampled_from(
        ("attachment; filename*0*=utf-16''%ff; filename*1=x", 'inline; filename="../../x"', "attachment", *TRANSFERS)
    )
)
headers = st.lists(st.tuples(st.sampled_from(HEADERS), header_values), max_size=8)
bodies = st.binary(max_size=300) | st.sampled_from(
    (
        b"--b\r\n\r\nx\r\n--b--\r\n",
        b"--b\r\nContent-Type: text/html\r\n\r\n<p>x<table>\r\n",
        b"\r\n> " * 200,
        b"-- \r\n" * 50,
        b"<div>" * 3000,
        b"begin 644 x\n#0V%T\n`\nend\n",
        b"=\xff" * 90,
    )
)
# As much of one thing as a mail holds: whatever counts it more than once takes the process for itself.
PIECES = (
    "-- \n", "> ", "On x wrote:\n", "__________\n", "From: x\n", "发件人：", "写道：\n", "离职。", "a@b.c ", "\n\n",
    "<div>", "<p class='", "Sent from my x\n",
    "此致\n", "+86 138 ", "=?utf-8?q?x?= ", "(", "a=b;", "<a@b>", "=", "A" * 9 + " ",
)  # fmt: skip
pieces = st.tuples(st.sampled_from(PIECES), st.sampled_from((100, 10_000, 300_000))).map(
    lambda piece: piece[0] * (piece[1] // len(piece[0]))
)


def _mail(head: list[tuple[str, str]], body: bytes) -> bytes:
    lines = b"".join(f"{name}: {value}\r\n".encode("utf-8", "surrogatepass") for name, value in head)
    return lines + b"\r\n" + body


def _within(depth: int, inner: bytes) -> bytes:
    return b"Content-Type: message/rfc822\r\n\r\n" * depth + inner


def _boxes(depth: int) -> bytes:
    found = b"From: a@b.example\r\n"
    for level in range(depth):
        found += f"Content-Type: multipart/mixed; boundary=b{level}\r\n\r\n--b{level}\r\n".encode()
    return found + b"\r\nx"


mails = (
    st.builds(_mail, headers, bodies)
    | st.builds(_mail, headers, pieces.map(str.encode))
    | st.builds(lambda name, value: _mail([(name, value)], b""), st.sampled_from(HEADERS), pieces)
    | st.builds(_mail, headers, st.builds(_mail, headers, bodies).map(lambda inner: b"--b\r\n" + inner + b"\r\n--b--"))
    | st.builds(_within, st.sampled_from((1, 20, 200, 2000)), st.builds(_mail, headers, bodies))
    | st.sampled_from((20, 200, 1500)).map(_boxes)
    | st.binary(max_size=500)
    | st.builds(
        lambda name, times: f"{name}: x\r\n".encode() * times + b"\r\n",
        st.sampled_from(HEADERS),
        st.sampled_from((2, 5000)),
    )
)

retries = odd_texts | st.sampled_from(DATES) | st.sampled_from(("9" * 400, "²", "-5"))

# The ERP.

SALE = {
    "ccode": "SI26010001", "ddate": "2026-01-05", "dverifydate": "2026-01-05 09:00:00",
    "dmodifysystime": "2026-01-05 09:00:00",
    "csocode": "SO1", "ccuscode": "C1", "ccusname": "济南 三中", "cpersoncode": "0001", "cdepcode": "east",
    "cexch_name": "人民币",
    "isum": "29999.97", "ccostcode": "K1", "ccostname": "x", "cinvcode": "B86", "cinvname": "x", "cwhcode": "W1",
    "iquantity": "3.000000",
    "imoney": "26548.65",
    "entry": [{"irowno": 1, "cinvcode": "B86", "cinvname": "x", "iquantity": "3.000000", "imoney": "26548.65",
    "itax": "3451.32"}],
}  # fmt: skip
ERP_LISTS = ("saleorder", "saleinvoice", "salereturn", "cost", "currentstock")
erp_documents = st.tuples(
    st.sampled_from(ERP_LISTS),
    with_odd_parts(SALE).map(json.dumps)
    | odd_json.map(json.dumps)
    | nested("[")
    | nested('{"entry":[', "")
    | odd_texts,
)

# Pages of a procurement site.

PRINTED = (
    st.text(
        alphabet="0123456789.,:-/年月日时分万亿元零壹贰拾佰仟萬億二〇十()（）|采购人：预算金额 ￥<>&;a\n\x00",
        max_size=60,
    )
    | odd_texts
)
LIST_PAGE = (
    '<p class="total">{0}</p><ul class="results"><li><a href="{1}">{2}</a><p>x</p><span>{3}</span></li></ul>'
    '<a class="next" href="{4}">x</a>'
)
DETAIL_PAGE = (
    '<h2 class="tc">{0}</h2><table><tr><td>{1}</td><td>{2}</td></tr></table><div class="vF_detail_content">{3}</div>'
    '<span id="pubTime">{4}</span>'
)
links = (
    st.sampled_from(
        (
            "/t1.htm",
            "http://[",
            "//",
            "javascript:x",
            "http://a.test:99999/",
            "http://\x00/",
            "?id=1",
            "//[::1",
            "http://a.test/\t",
        )
    )
    | odd_texts
)
pages = (
    st.builds(
        lambda layout, parts: layout.format(*parts),
        st.sampled_from((LIST_PAGE, DETAIL_PAGE)),
        st.tuples(PRINTED | st.sampled_from(("9" * 5000, "41")), links, PRINTED, PRINTED, links | PRINTED),
    )
    | nested("<div>")
    | nested("<table><tr><td>")
    | nested("<ul class=vT-srch-result-list-bid><li>")
    | nested("<!--")
    | odd_texts
)
# Conditions of approval policies.

CEL_PIECES = (
    "amount", "kind", "facts", "custom", "product_ids", "discount_ratio", "has(facts.amount)", "1", "0", "-1", "1.5",
    "1e400", "''", '"x"', "b'x'", "r'\\'",
    "true", "null", "[", "]", "{", "}", "(", ")", "+", "-", "*", "/", "%", "==", "!=", "<", "in", "&&", "||", "!",
    "?", ":", ",", ".", "size(", "int(", "double(",
    "string(", ".contains(", ".all(x,", ".matches(", "duration(", "timestamp(", "type(", "dyn(", "__class__",
    "9223372036854775808", "0xffffffffffffffff", "18446744073709551615u", "'\\ud800'", "'\\U00110000'",
)  # fmt: skip
conditions = (
    st.lists(st.sampled_from(CEL_PIECES), max_size=20).map(" ".join)
    | odd_texts
    | st.sampled_from((100, 400, 990)).flatmap(
        lambda n: st.sampled_from(
            (
                "(" * n,
                "!" * n + "true",
                "-" * n + "1",
                "[" * n,
                "1+" * n + "1",
                "'a'+" * (n // 4) + "'a'",
                "true?" * (n // 5) + "1",
            )
        )
    )
)

# Page tokens and bearer tokens.

page_tokens = (
    st.lists(odd_values, max_size=4).map(lambda key: base64.urlsafe_b64encode(json.dumps(key).encode()).decode())
    | st.binary(max_size=90).map(lambda raw: base64.urlsafe_b64encode(raw).decode())
    | (nested("[") | nested('{"a":')).map(lambda text: base64.urlsafe_b64encode(text.encode()).decode())
    | st.text(max_size=60)
)


def _part(content: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()


_token_parts = (
    odd_json.map(_part)
    | st.builds(
        lambda name, value: _part({"alg": "ES256", "kid": "k", name: value}),
        st.sampled_from(("alg", "kid", "typ", "crit", "b64", "zip", "jwk", "x5c")),
        odd_json,
    )
    | nested("[").map(lambda text: base64.urlsafe_b64encode(text.encode()).decode())
    | st.text(max_size=40)
)
bearer_tokens = st.tuples(_token_parts, _token_parts, _token_parts).map(".".join) | odd_texts
key_sets = odd_json.map(json.dumps) | st.builds(
    lambda key: json.dumps({"keys": [key]}),
    with_odd_parts({"kty": "EC", "crv": "P-256", "x": "AAAA", "y": "AAAA", "kid": "k", "alg": "ES256", "use": "sig"}),
) | nested("[")  # fmt: skip

# Webhooks: what a stranger can put into the headers.

_stamps = st.sampled_from(("1767225600", "0", "-1", "9" * 5000, "١٧٦٧٢٢٥٦٠٠", "²", "1e9", "", " 1 ", "1_0", "NaN"))
hooks = st.tuples(
    st.fixed_dictionaries({}, optional={"webhook-id": odd_texts, "webhook-timestamp": _stamps | odd_texts,
    "webhook-signature": odd_texts | st.just("v1,")}),
    st.binary(max_size=50),
    odd_texts,
)  # fmt: skip

# Files of the import.

DEALS = "opportunity_id,sales_agent,product,account,deal_stage,engage_date,close_date,close_value"
PRODUCTS = "product,series,sales_price"
ACCOUNTS = "account,sector,year_established,revenue,employees,office_location,subsidiary_of"
TEAMS = "sales_agent,manager,regional_office"
cells = odd_texts | st.sampled_from(
    (
        *DECIMALS,
        "2016-10-20",
        "31-02-17",
        "Won",
        "Prospecting",
        "99999999999",
        "-1",
        "1e14",
        "999999999999999",
        '"',
        '"a\nb"',
        "a,b",
    )
)
HEADINGS = {"opportunities": DEALS, "products": PRODUCTS, "accounts": ACCOUNTS, "teams": TEAMS}
ROWS = {
    "opportunities": ["Z063OYW0", "Mei-Mei Johns", "GTXPro", "Isdom", "Won", "25-10-16", "2017-03-11", "4514"],
    "products": ["GTX Pro", "GTX", "4821"],
    "accounts": ["Acme Corporation", "technolgy", "1996", "1100.04", "2822", "United States", ""],
    "teams": ["Anna Snelling", "Dustin Brinkmann", "Central"],
}
csv_files = st.sampled_from(sorted(ROWS)).flatmap(
    lambda kind: st.tuples(
        st.just(kind),
        st.lists(
            st.tuples(st.just(ROWS[kind]), st.integers(0, 7), cells).map(
                lambda row: [row[2] if at == row[1] % len(row[0]) else cell for at, cell in enumerate(row[0])]
            )
            | st.lists(cells, min_size=1, max_size=9),
            max_size=4,
        ),
        st.sampled_from((b"", b"", b"", b"\xff", b"\xef\xbb\xbf", b"\x00", b'"')),
    )
)
row_files = st.tuples(
    st.sampled_from((".csv", ".jsonl")),
    st.dictionaries(
        st.sampled_from(
            (
                "name",
                "profile.name",
                "provenance.source",
                "provenance.observed_time",
                "profile.annual_revenue",
                "profile.employee_count",
                "profile.custom_fields",
                "profile.tags",
                "nothing",
                "a.b.c",
                "",
            )
        ),
        odd_json,
        max_size=5,
    ),
    st.sampled_from((b"", b"\xff", b"[" * 5000, b"{")),
)
