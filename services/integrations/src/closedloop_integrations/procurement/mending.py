"""Values as procurement sites print them, and what they mean. Nothing is guessed: what cannot be read is None."""

from __future__ import annotations

import re
import unicodedata
from datetime import datetime, timedelta, timezone
from decimal import ROUND_HALF_UP, Decimal

CHINA = timezone(timedelta(hours=8))
MAX_FEN = 10**16

_SCALES = {"": 1, "百": 100, "千": 1000, "万": 10_000, "百万": 1_000_000, "千万": 10_000_000}
_SCALES |= {"亿": 10**8, "百亿": 10**10, "千亿": 10**11}
_AMOUNT = re.compile(
    r"(?P<sign>[-−~]\s*)?(?P<mark>¥|RMB|CNY|人民币)?\s*(?P<number>\d[\d,]{0,20}(?:\.\d+)?)"
    r"\s*(?P<scale>[百千]?[万亿]|[百千])?\s*(?P<unit>[元圆])?"
)
_GROUPED = re.compile(r"(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?")
_CHINESE = re.compile(r"[\u3400-\u9fff]")
_FOREIGN = re.compile(r"美元|欧元|日元|英镑|港[元币]|USD|EUR|JPY|GBP|HKD|\$|€|£", re.I)
_DIGITS = {digit: value for value, digit in enumerate("零壹贰叁肆伍陆柒捌玖")} | {"〇": 0, "两": 2}
_DIGITS |= {digit: value for value, digit in enumerate("一二三四五六七八九", 1)}
_TENS = {"拾": 10, "十": 10, "佰": 100, "百": 100, "仟": 1000, "千": 1000}
_CAPITAL = re.compile(
    r"(?P<yuan>[零壹贰叁肆伍陆柒捌玖拾佰仟万亿]+)[元圆](?:整|正)?零?(?:(?P<jiao>[壹贰叁肆伍陆柒捌玖])角)?(?:(?P<fen>[壹贰叁肆伍陆柒捌玖])分)?"
)
_DATE = re.compile(
    r"(?<!\d)(?P<year>20\d{2})\s*(?:[-./年]\s*(?P<month>\d{1,2})\s*[-./月]\s*(?P<day>\d{1,2})|(?P<m2>\d{2})(?P<d2>\d{2})(?!\d))\s*日?"
    r"(?:[T\s]*(?P<hour>\d{1,2})\s*[:时点]\s*(?P<minute>\d{1,2})(?:\s*[:分]\s*(?P<second>\d{1,2}))?)?"
)
_DATE_IN_WORDS = re.compile(
    r"(?P<year>[二两][〇零○一二三四五六七八九]{3})年(?P<month>[一二三四五六七八九十]{1,2})月(?P<day>[一二三四五六七八九十]{1,3})日"
)


def plain(text: str) -> str:
    """Half-width letters, digits and punctuation; runs of white space become one space."""
    return printed(unicodedata.normalize("NFKC", text))


def printed(text: str) -> str:
    """The text as it stands, runs of white space as one space."""
    return re.sub(r"\s+", " ", text).strip()


def read_time(text: str) -> datetime | None:
    """The first date in the text, with its time of day where there is one; China's time. Years 2000 to 2099."""
    value = plain(text)
    if words := _DATE_IN_WORDS.search(value.replace("○", "〇")):
        year = int("".join(str(_DIGITS[digit]) for digit in words["year"]))
        return _moment(year, _number(words["month"]), _number(words["day"]), 0, 0, 0)
    found = _DATE.search(value)
    if found is None:
        return None
    parts = found.groupdict(default="0")
    month, day = (parts["m2"], parts["d2"]) if found["m2"] else (parts["month"], parts["day"])
    return _moment(*map(int, (parts["year"], month, day, parts["hour"], parts["minute"], parts["second"])))


def read_amount(text: str, label: str = "") -> int | None:
    """The first amount in the text, in fen.

    The unit stands with the number (128.65万元, ¥1,286,500.00, 壹佰万元整) or in the label ("预算金额(万元)").
    A number without any unit, a negative one, a range and a foreign currency are None.
    """
    value, heading = plain(text), plain(label)
    if _FOREIGN.search(value) or _FOREIGN.search(heading):
        return None
    labelled = re.search(r"([百千]?[万亿]|[百千])?元", heading)
    for found in _AMOUNT.finditer(value):
        scaled = found["scale"] and not _CHINESE.match(value[found.end() :])
        if not (found["unit"] or found["mark"] or scaled or labelled):
            continue
        if found["sign"] or not _GROUPED.fullmatch(found["number"]):
            return None
        own = found["unit"] or found["mark"] or scaled
        scale = found["scale"] if own or labelled is None else labelled[1]
        return _fen(Decimal(found["number"].replace(",", "")) * _SCALES[scale or ""])
    if words := _CAPITAL.search(value):
        jiao, fen = (_DIGITS[words[part] or "零"] for part in ("jiao", "fen"))
        return _fen(_number(words["yuan"]) + Decimal(jiao) / 10 + Decimal(fen) / 100)
    return None


def _fen(yuan: Decimal) -> int | None:
    fen = int((yuan * 100).quantize(Decimal(1), ROUND_HALF_UP))
    return fen if fen <= MAX_FEN else None


def _moment(year: int, month: int, day: int, hour: int, minute: int, second: int) -> datetime | None:
    try:
        return datetime(year, month, day, hour, minute, second, tzinfo=CHINA)
    except ValueError:
        return None


def _number(words: str) -> int:
    """Chinese numerals, everyday or financial, up to 9999亿."""
    total, section, digit = 0, 0, 0
    for word in words:
        if word in _DIGITS:
            digit = _DIGITS[word]
        elif word in _TENS:
            section += (digit or 1) * _TENS[word]
            digit = 0
        else:
            # 万 counts what stands since 亿, 亿 counts everything before it.
            total = total + (section + digit) * 10_000 if word == "万" else (total + section + digit) * 100_000_000
            section = digit = 0
    return total + section + digit
