"""What people would not type and programs send all the same: texts, numbers, moments, amounts, structures."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from google.protobuf.struct_pb2 import Struct

# Words that fit the patterns of the contracts.
FITTING_WORDS = (
    "x", "nobody", "LOOP-1", "2026", "2026-Q1", "2026-01", "CNY", "Asia/Shanghai", "31", "310000", "funnel.pipelines",
    "a.b.c", "won_value", "zh-CN", "a@b.example", "+8613800000000", "https://example.com/", "09:00", "a" * 64, "A1",
    "91310000MA1FL0000X", "unknown_key", "example.com", "image/png", "0" * 64, "abcd1234", "*/5 * * * *", "text/html",
)  # fmt: skip

# What a text can do to those who handle it carelessly. The canary of `attacks/injection.py` has its own.
TEXTS = (
    "客户", "nobody", "x", " ", "\t\n\r", "%", "_", "%_\\", "\\", "'", '"', "';--", "\"'`", "--", "/*", "{}", "{0}",
    "%s%d%n", "%(x)s",
    "$1", "${x}", "{{7*7}}", "<script>alert(1)</script>", "=1+1", "@SUM(A1)", "../../etc/passwd", "C:\\con", "null", "None",
    "true", "NaN", "Infinity", "-0", "1e400", "0x10", "١٢٣", "½", "²", "Ⅷ", "ß", "ẞ", "İ", "ı", "ﬁ", "ΰ", "\u0130stanbul",
    "\ufeffbom", "\u200b", "\u200e\u202eabc\u202c", "\u2028", "\u2029", "\x7f", "\x1b[31m", "\x85", "\ufffd", "\uffff",
    "e\u0301" * 20, "Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞͉͚̯̞̠͍A̴̵̜̰͔ͫ͗͢L̠ͨͧͩ͘G̴̻͈͍͔̹̑͗̎̅͛́Ǫ̵̹̻̝̳͂̌̌͘!", "👩‍👩‍👧‍👦🏴󠁧󠁢󠁥󠁮󠁧󠁿", "𝕏𐍈𠜎",
    "\U0010ffff", "ﷺ", "🇨🇳" * 8, "بِسْمِ", "शि", "가",
    "A" * 300, "龙" * 300, "( (" * 40, "[" * 120, "a," * 60, "2026-02-30", "9999-12-31", "0000-00-00", "infinity",
    "-infinity",
    "epoch", "now", "00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff", "admin",
    "service:targets",
    "rulebook:", "platform.calendars", '"1"', '"9223372036854775807"', "W10=", "bnVsbA==",
)  # fmt: skip

# Seconds since 1970: the first and last a Timestamp can say, beyond both, and what is ordinary.
MOMENTS = (
    0,
    1,
    -1,
    1767225600,
    1798761600,
    -62135596800,
    253402300799,
    -62135596801,
    253402300800,
    2**63 - 1,
    -(2**63),
)
ORDINARY_MOMENTS = (1767225600, 1798761600, 1782864000)
NANOS = (0, 1, 999_999_999, -1, 1_000_000_000, 2**31 - 1, -(2**31))
SPANS = (0, 1, -1, 3600, 86400, 315_576_000_000, -315_576_000_000, 315_576_000_001, 2**63 - 1, -(2**63))
DAYS = (
    (1, 1, 1), (9999, 12, 31), (2026, 2, 28), (2026, 2, 31), (2026, 0, 0), (0, 1, 1), (2026, 13, 1), (-1, -1, -1),
    (2**31 - 1, 2**31 - 1, 2**31 - 1), (2024, 2, 29), (1900, 1, 1), (8999, 12, 31),
)  # fmt: skip
ORDINARY_DAYS = ((2026, 1, 5), (2026, 3, 31), (2026, 12, 31))
CURRENCIES = ("CNY", "CNY", "CNY", "USD", "JPY", "KWD", "XXX", "", "cny", "圆圆圆", "C\0Y", "CNYCNY")
AMOUNTS = (
    (1, 0), (100, 990_000_000), (0, 0), (0, 1), (-5, -1), (5, -1), (2**62, 0), (-(2**63), 0), (2**63 - 1, 999_999_999),
    (10**15, 0), (1, 2**31 - 1), (-1, 0),
)  # fmt: skip
DECIMALS = (
    "1", "0", "-0.5", "1e400", "1e-400", "1e999999", "1e999999999", "-1E+999999999999", "NaN", "sNaN", "Infinity",
    "twelve", "", "1_000",
    "0" * 300, "9" * 300, "٣", "1.", ".1", "0x1", "1e", "+1", " 1 ", "1\n",
)  # fmt: skip
REALS = (
    0.0,
    -0.0,
    1.0,
    0.5,
    -1.0,
    1e308,
    -1e308,
    5e-324,
    float("nan"),
    float("inf"),
    float("-inf"),
    2.0**53,
    1.0000000000000002,
)
MASKS = (
    "nothing.there",
    "*",
    "name",
    "lines",
    "",
    "id",
    "a.b.c.d",
    "request_id",
    "profile.",
    ".",
    "Name",
    "..",
    "profile.custom_fields.x",
)
# A level of it is three of protobuf's, which reads a hundred.
DEEPEST_STRUCT = 30


def struct(draw: Random) -> Struct:
    """Small and large, shallow and deep; some of it no JSON could carry."""
    made = Struct()
    shape = draw.choice(_SHAPES)
    shape(made, draw)
    return made


ORDINARY: tuple[dict[str, Any], ...] = (
    {}, {"a": {"b": [1, None, "x"]}}, {"rows": "no list"}, {"n": 1.5, "t": True, "s": "客户"},
)  # fmt: skip


def _plain(made: Struct, draw: Random) -> None:
    made.update(draw.choice(ORDINARY))


def _texts(made: Struct, draw: Random) -> None:
    for _ in range(4):
        made[draw.choice(TEXTS)] = draw.choice(TEXTS)


def _no_numbers(made: Struct, draw: Random) -> None:
    made["n"] = draw.choice(REALS)
    made.update({"list": [draw.choice(REALS), {"x": draw.choice(REALS)}]})


def _deep(made: Struct, draw: Random) -> None:
    inner = made
    for _ in range(draw.randrange(5, DEEPEST_STRUCT)):
        inner = inner.get_or_create_struct("x")


def _deep_list(made: Struct, draw: Random) -> None:
    inner: Any = made.fields["x"].list_value
    for _ in range(draw.randrange(5, DEEPEST_STRUCT)):
        inner = inner.values.add().list_value


def _wide(made: Struct, draw: Random) -> None:
    for number in range(draw.choice((10, 300, 3000))):
        made[f"k{number}"] = number


def _odd(made: Struct, draw: Random) -> None:
    # A Value of no kind, an empty name, a NUL inside, a Value nested into nothing.
    made.fields["nothing"].SetInParent()
    made.fields[""].string_value = ""
    made.fields[draw.choice(("a\0b", "a"))].string_value = draw.choice(("\0", "x"))
    made.fields["empty"].list_value.values.add()


_SHAPES: tuple[Callable[[Struct, Random], None], ...] = (
    _plain, _plain, _texts, _no_numbers, _deep, _deep_list, _wide, _odd,
)  # fmt: skip
