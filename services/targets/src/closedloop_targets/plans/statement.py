"""Reads a target in words: "Q1, East China, +20 %", "华东一季度签约额1.2亿"."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import lru_cache
from typing import Generic, TypeVar

from closedloop_chassis import errors
from closedloop_chassis.currency import CODES
from closedloop_targets.metrics.rules import MetricRules
from closedloop_targets.periods.rules import FiscalCalendar, Period, containing, parse

Holder = TypeVar("Holder")

NUMBER = r"\d[\d,]*(?:\.\d+)?"
GROWTH = re.compile(
    r"([+\-−]|增长|提升|上升|下降|下滑|grow(?:th)?(?: of| by)?|increase(?: of| by)?|decrease(?: of| by)?|up|down)"
    rf"\s*({NUMBER})\s*[%％]",
    re.I,
)
DOWNWARD = ("-", "−", "下降", "下滑", "decrease", "down")
SCALES = {
    "亿": 10**8, "千万": 10**7, "百万": 10**6, "万": 10**4, "千": 10**3,
    "billion": 10**9, "bn": 10**9, "million": 10**6, "m": 10**6, "thousand": 10**3, "k": 10**3,
}  # fmt: skip
SCALE = "|".join(sorted(SCALES, key=len, reverse=True))
GIVEN_YEAR = r"(?P<year>(?:19|20)\d\d)\s*(?:年|-|/)?\s*"
YEAR = f"(?:{GIVEN_YEAR})?"
# A code stands for itself also between Chinese characters, where a word has no end that a pattern would see.
LEFT, RIGHT = rf"(?:{GIVEN_YEAR}|(?<![A-Za-z0-9_]))", r"(?![A-Za-z0-9_])"
CHINESE = {"一": 1, "二": 2, "三": 3, "四": 4, "1": 1, "2": 2, "3": 3, "4": 4, "上": 1, "下": 2}
PERIODS = (
    ("Q", re.compile(rf"{LEFT}Q(?P<number>[1-4]){RIGHT}", re.I)),
    ("Q", re.compile(rf"{YEAR}第?(?P<number>[一二三四1-4])季度?")),
    ("H", re.compile(rf"{LEFT}H(?P<number>[12]){RIGHT}", re.I)),
    ("H", re.compile(rf"{YEAR}(?P<number>[上下])半年")),
    ("W", re.compile(rf"{LEFT}W(?P<number>\d{{1,2}}){RIGHT}", re.I)),
    ("M", re.compile(rf"{LEFT}M(?P<number>\d{{1,2}}){RIGHT}", re.I)),
    ("M", re.compile(rf"{YEAR}(?P<number>\d{{1,2}})月")),
    ("", re.compile(r"(?<![\d.])(?P<year>(?:19|20)\d\d)(?=年|\b)")),
)


@dataclass(frozen=True, slots=True)
class Reading(Generic[Holder]):
    """What was understood; None: not said. `amount` in whole units of `currency`, empty for none named."""

    period: Period | None
    holder: Holder | None
    metric: str | None
    growth_ratio: float | None
    amount: Decimal | None
    currency: str
    # Amounts as they stand in the text where it names more than one: nobody can say which is meant.
    rivals: tuple[str, ...] = ()


def read(
    text: str,
    names: Iterable[tuple[str, Holder]],
    metrics: MetricRules,
    calendar: FiscalCalendar,
    today: date,
    within: Period | None = None,
) -> Reading[Holder]:
    """`names` are holders by name; the longest name in the text is meant. A period without a year is the one of
    `within`, else the next that has not passed."""
    period, rest = _period(text, calendar, today, within)
    growth, rest = _growth(rest)
    named = [] if growth is not None else _amounts(rest, metrics.currency_words)
    amount, currency = (named[0].number, named[0].currency) if len(named) == 1 else (None, "")
    folded = text.casefold()
    holders = [(len(name), holder) for name, holder in names if name and name.casefold() in folded]
    holder = max(holders, key=lambda found: found[0])[1] if holders else None
    metric = next(
        (m.code for m in metrics.metrics if any(word.casefold() in folded for word in (m.name, *m.words))), None
    )
    if metric is None and (growth is not None or named):
        metric = metrics.main
    rivals = tuple(one.text for one in named) if len(named) > 1 else ()
    return Reading(period, holder, metric, growth, amount, currency, rivals)


def _growth(text: str) -> tuple[float | None, str]:
    match = GROWTH.search(text)
    if match is None:
        return None, text
    sign = -1 if match[1].casefold().startswith(DOWNWARD) else 1
    return float(sign * Decimal(match[2].replace(",", "")) / 100), text.replace(match[0], " ", 1)


@dataclass(frozen=True, slots=True)
class _Amount:
    number: Decimal
    currency: str
    text: str


def _amounts(text: str, currencies: Mapping[str, str]) -> list[_Amount]:
    """A bare number says nothing; with a scale or a currency it is an amount, and so is the lower end of its range."""
    found: dict[tuple[Decimal, str], _Amount] = {}
    for match in _pattern(tuple(currencies)).finditer(text):
        said = match["before"] or match["after"] or ""
        currency = currencies.get(said, said)
        scale = SCALES.get((match["scale"] or "").casefold(), 1)
        if not match["scale"] and not currency:
            continue
        for number in filter(None, (match["low"], match["number"])):
            value = Decimal(number.replace(",", "")) * scale
            found.setdefault((value, currency), _Amount(value, currency, number + (match["scale"] or "")))
    return list(found.values())


@lru_cache(maxsize=16)
def _pattern(words: tuple[str, ...]) -> re.Pattern[str]:
    """A number with its scale, and what money it is before or behind it; or a range of two numbers.

    Codes of money are written in capitals: "won" is no currency."""
    codes = rf"(?<![A-Za-z])(?-i:{'|'.join(sorted(CODES))})(?![A-Za-z])"
    money = "|".join([*map(re.escape, words), codes])
    low = rf"(?:(?P<low>{NUMBER})\s*(?:[-–~～至到]|to\b|and\b|or\b)\s*)?"
    scaled = rf"(?P<number>{NUMBER})\s*(?P<scale>(?:{SCALE})(?![a-z]))?"
    return re.compile(rf"(?P<before>{money})?\s*{low}{scaled}\s*(?P<after>{money})?", re.I)


def _period(text: str, calendar: FiscalCalendar, today: date, within: Period | None) -> tuple[Period | None, str]:
    for letter, pattern in PERIODS:
        for match in pattern.finditer(text):
            number = match["number"] if letter else ""
            count = CHINESE.get(number) or (int(number) if number else 0)
            suffix = f"-{letter}{count}" if letter in ("Q", "H") else f"-{letter}{count:02}" if letter else ""
            found = _of_year(match["year"], suffix, calendar, today, within)
            if found is not None:
                return found, text.replace(match[0], " ", 1)
    return None, text


def _of_year(
    said: str | None, suffix: str, calendar: FiscalCalendar, today: date, within: Period | None
) -> Period | None:
    if said:
        years = [int(said)]
    else:
        around = within.start if within else today
        years = [int(containing(around, "year", calendar).code) + offset for offset in (0, 1)]
    for year in years:
        try:
            period = parse(f"{year}{suffix}", calendar)
        except errors.InvalidArgument:
            continue
        if said or (within.overlaps(period) if within else period.end >= today):
            return period
    return None
