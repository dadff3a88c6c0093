"""100,000 customers' names and 500 keywords looked for in 10,000 notices in one pass, against a tenth of the names.

python -m closedloop_proofs.bench.matcher
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from statistics import median

import typer

from closedloop_integrations.procurement.matching import CustomerName, MatchingRules, NoticeMatcher, SectorKeywords
from closedloop_proofs.bench.figures import Figure, Wanted
from closedloop_proofs.bench.ground import Ground
from closedloop_proofs.bench.load import Pressure
from closedloop_proofs.bench.samples import ratios

NAME = "matching 10,000 notices, 100,000 names and 500 keywords"
NAMES, FEW_NAMES, KEYWORDS, NOTICES = 100_000, 10_000, 500, 10_000
# Flat in the number of names; what is left is the processor's cache.
WANTED_RATIO = 2.0
TOWNS = ("济南市", "青岛市", "烟台市", "潍坊市", "临沂市", "济宁市", "泰安市", "威海市", "日照市", "德州市")
KINDS = ("中学", "小学", "医院", "实验学校", "职业学院", "水利局", "教育局", "卫生院", "监测中心", "图书馆")
GOODS = ("智慧黑板", "实验设备", "物业服务", "信息系统", "桌椅", "空调", "电梯", "图书", "监控设备", "试剂")

Notice = tuple[str, str, str]


def measure(ground: Ground, pressure: Pressure, rounds: int, only: Callable[[str], bool]) -> list[Figure]:
    if not only(NAME):
        return []
    ground.say("the matcher among many names and among few")
    share = 10 if pressure.seconds <= 1 else 1
    return [figure(rounds, NAMES // share, FEW_NAMES // share, NOTICES // share)]


def figure(rounds: int, names: int = NAMES, few: int = FEW_NAMES, notices: int = NOTICES) -> Figure:
    """Both matchers over the same notices, in turns; two of three notices name a customer of both."""
    began = time.monotonic()
    many_names = NoticeMatcher(known(names), keywords())
    built = time.monotonic() - began
    few_names = NoticeMatcher(known(few), keywords())
    texts = published(notices, few)
    pairs = [(timed(few_names, texts), timed(many_names, texts)) for _ in range(max(rounds, 1))]
    ratio = ratios([many for _, many in pairs], [few for few, _ in pairs])
    seconds = median(many for _, many in pairs)
    found = sum(bool(many_names.match(*text).customers) for text in texts)
    return Figure(
        name=NAME,
        value=seconds * 1000,
        unit="ms",
        against="a tenth of the names",
        limit=median(few for few, _ in pairs) * 1000,
        ratio=ratio.median,
        wanted=Wanted("<=", WANTED_RATIO),
        spread=ratio.spread,
        note=f"{notices:,} notices in {seconds:.2f} s ({notices / seconds:,.0f} a second), {found:,} name a customer; "
        f"the matcher of {names:,} names is built in {built:.2f} s",
        more={"build_seconds": built, "notices": notices, "names": names},
    )


def known(count: int) -> list[CustomerName]:
    return [CustomerName(str(number), name(number)) for number in range(count)]


def name(number: int) -> str:
    town, kind = TOWNS[number % len(TOWNS)], KINDS[number // len(TOWNS) % len(KINDS)]
    return f"{town}第{number}{kind}"


def keywords() -> MatchingRules:
    sectors = {
        f"sector{place}": SectorKeywords(words=tuple(f"{goods}{place}型" for goods in GOODS))
        for place in range(KEYWORDS // 10)
    }
    return MatchingRules(sectors=sectors)


def published(count: int, names: int) -> list[Notice]:
    """Buyer, title and a body of a dozen lines; the same every time."""
    chance = random.Random(7)
    made = []
    for number in range(count):
        buyer = name(chance.randrange(names)) if number % 3 else f"某县第{number}办事处"
        goods = chance.choice(GOODS)
        lines = [
            f"{number}-{line} 采购{chance.choice(GOODS)}{chance.randrange(60)}型若干，交货地点另行通知。"
            for line in range(12)
        ]
        made.append((buyer, f"{buyer}{goods}采购公开招标公告", "\n".join(lines)))
    return made


def timed(matcher: NoticeMatcher, notices: Sequence[Notice]) -> float:
    began = time.process_time()
    for notice in notices:
        matcher.match(*notice)
    return time.process_time() - began


def main(rounds: int = 3) -> None:
    found = figure(rounds)
    typer.echo(f"{found.note}; {found.ratio:.2f} x of a tenth of the names, wanted <= {WANTED_RATIO:g}")
    raise typer.Exit(code=0 if found.ok else 1)


if __name__ == "__main__":
    typer.run(main)
