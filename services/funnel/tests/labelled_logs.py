"""Sellers' logs with the truth beside them: honest ones, hard honest ones, and seven ways of making one up (S45, S51).

The ways are drawn so that rules cannot win outright: some copies are edited heavily, some empty logs use words no list
has, some phone calls leave no trace; and honest sellers write by templates, confirm a visit by phone, round their times,
drive fast, log late, and lose their photos' metadata to a messenger.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from itertools import count

from closedloop_funnel.truth.rules import Log

from .raw_history import moment, workday

FALSE = ("no_content", "copied_text", "impossible_time", "impossible_place", "photo", "photo_reused", "call_as_visit")
WHO = ("采购经理", "生产总监", "设备科长", "财务总监", "店长", "总经理助理", "质量主管", "信息部主任")
WHAT = ("担心换型停产", "对比了两家同行报价", "要求看同行业案例", "希望分期付款", "质疑节拍能否达标", "想先试用一条线")
WHAT += ("预算要等集团批复", "关心备件价格", "要求缩短交期", "问到会员积分通兑", "对上次售后不满意", "准备下月招标")
THEN = (
    "约定下周三技术交流",
    "本周内发修订方案",
    "请工程师现场测节拍",
    "下月初带财务一起谈",
    "先寄样品再定",
    "等招标公告",
)
MORE = (
    "现场看了三号产线",
    "仓库积压明显",
    "新厂房月底封顶",
    "对方提到竞品在试样",
    "陈列面被压缩到两个排面",
    "换了新的负责人",
)
EMPTY_KNOWN = ("已沟通", "已联系", "正常拜访", "持续跟进", "沟通顺利", "无", "ok")
EMPTY_OTHER = ("去了", "客户在忙", "聊了聊", "拜访客户一切顺利后续继续跟进", "今天照常走访了客户情况都正常")
HOME_PLACE = (31.23, 121.47)


@dataclass(frozen=True, slots=True)
class Labelled:
    """One log, whose it is, and how it was made up; empty: it is true."""

    owner: str
    log: Log
    false: str


def draw(seed: int, sellers: int = 12, days: int = 20, false_share: float = 0.2) -> list[Labelled]:
    drawn, numbers = random.Random(seed), count(1)
    found: list[Labelled] = []
    for seller in range(sellers):
        owner, day = f"seller{seller}", workday(date(2026, 3, 2), 1)
        written: list[Log] = []
        for _ in range(days):
            for one in _day(drawn, day, numbers, written, false_share):
                found.append(Labelled(owner, one[0], one[1]))
                written.append(one[0])
            day = workday(day + timedelta(days=1), 1)
    return found


def _day(
    drawn: random.Random, day: date, numbers: count[int], written: Sequence[Log], share: float
) -> list[tuple[Log, str]]:
    logs: list[tuple[Log, str]] = []
    at, place = moment(day, 9), HOME_PLACE
    for _ in range(drawn.randint(3, 5)):
        at += timedelta(minutes=drawn.randint(10, 60))
        kind = drawn.choices(("visit", "call", "meeting"), (6, 3, 1))[0]
        honest, place = _honest(drawn, kind, at, place, numbers)
        if drawn.random() < share:
            logs += _made_up(drawn, honest, [*written, *(one for one, _ in logs)], numbers)
        else:
            logs += _hard(drawn, honest, numbers)
        at = logs[-1][0].ends
    return logs


def _honest(
    drawn: random.Random, kind: str, at: datetime, last: tuple[float, float], numbers: count[int]
) -> tuple[Log, tuple[float, float]]:
    minutes = drawn.randint(20, 70) if kind != "call" else drawn.randint(3, 20)
    place = (last[0] + drawn.uniform(-0.05, 0.05), last[1] + drawn.uniform(-0.05, 0.05))
    seen = kind == "visit" and drawn.random() < 0.85
    log = Log(
        id=f"{next(numbers):06}",
        kind=kind,
        account_id=f"account{drawn.randrange(60)}",
        started=at,
        ended=at + timedelta(minutes=minutes),
        logged=at + timedelta(minutes=minutes + drawn.randint(1, 240)),
        content=_talk(drawn),
        place=place if seen else None,
        has_photos=seen and drawn.random() < 0.8,
    )
    return log, place if seen else last


def _talk(drawn: random.Random) -> str:
    parts = [f"{drawn.choice(WHO)}{drawn.choice(WHAT)}", drawn.choice(MORE), drawn.choice(THEN)]
    if drawn.random() < 0.7:
        parts.insert(1, f"报价{drawn.randint(8, 160)}万, 量{drawn.randint(2, 90)}台")
    return ", ".join(parts)


def _hard(drawn: random.Random, log: Log, numbers: count[int]) -> list[tuple[Log, str]]:
    """Honest, and not always easy to believe."""
    chance = drawn.random()
    if chance < 0.04:
        log = replace(log, logged=log.logged + timedelta(days=drawn.randint(3, 6)))
    elif chance < 0.08 and log.place is not None:
        log = replace(log, has_photos=True, contradictions=())
    elif chance < 0.10 and log.kind == "visit":
        log = replace(log, ended=log.started + timedelta(minutes=drawn.choice((4, 6, 8))), content=f"送样{log.content}")
    elif chance < 0.13 and log.kind == "visit":
        # Rounded: it seems to begin before the one before had ended.
        log = replace(log, started=log.started - timedelta(minutes=drawn.randint(2, 12)))
    elif chance < 0.17 and log.kind == "visit":
        call = replace(
            log,
            id=f"{next(numbers):06}",
            kind="call",
            started=log.started - timedelta(minutes=drawn.randint(15, 90)),
            ended=log.started - timedelta(minutes=12),
            logged=log.started - timedelta(minutes=1),
            content=f"确认{drawn.choice(('上午', '下午'))}到访, {drawn.choice(WHO)}在, {drawn.choice(MORE)}",
            place=None,
            has_photos=False,
        )
        return [(call, ""), (log, "")]
    return [(log, "")]


def _made_up(drawn: random.Random, log: Log, written: Sequence[Log], numbers: count[int]) -> list[tuple[Log, str]]:
    """Written in the evening, when it is made up."""
    way = drawn.choice(FALSE)
    log = replace(log, logged=moment(log.started.date(), 20) + timedelta(minutes=drawn.randint(0, 90)))
    if way == "no_content":
        return [(replace(log, content=drawn.choice(EMPTY_KNOWN if drawn.random() < 0.75 else EMPTY_OTHER)), way)]
    if way == "copied_text" and written:
        source = drawn.choice(written[-40:]).content
        return [(replace(log, content=_edited(drawn, source)), way)]
    log = replace(log, kind="visit")
    beside = [one for one in written if one.kind == "visit" and one.started.date() == log.started.date()]
    if way == "impossible_time" and beside:
        other = drawn.choice(beside)
        start = other.started + timedelta(minutes=drawn.randint(0, 15))
        return [(replace(log, started=start, ended=start + timedelta(minutes=40), place=None), way)]
    if way == "impossible_place" and log.place is not None:
        far = (log.place[0] + drawn.uniform(0.6, 3.0), log.place[1])
        return [(replace(log, place=far), way)]
    if way == "photo":
        return [(replace(log, has_photos=True, contradictions=("taken two days before",)), way)]
    if way == "photo_reused" and beside:
        return [(replace(log, has_photos=True, reused_in=(beside[0].id,)), way)]
    log = replace(log, place=None, has_photos=False)
    if drawn.random() < 0.5:
        said = drawn.choice(("电话沟通: ", "通了电话, ", "微信语音聊了"))
        return [(replace(log, content=said + log.content), "call_as_visit")]
    if drawn.random() < 0.6:
        call = replace(log, id=f"{next(numbers):06}", kind="call", content=_talk(drawn), logged=log.ends)
        return [(call, ""), (log, "call_as_visit")]
    return [(log, "call_as_visit")]


def _edited(drawn: random.Random, text: str) -> str:
    chance = drawn.random()
    if chance < 0.5:
        return text
    if chance < 0.8:
        place = drawn.randrange(max(len(text), 1))
        return text[:place] + drawn.choice("的了。，") + text[place + 1 :]
    # Half of it in other words.
    return text[: len(text) // 2] + ", " + drawn.choice(THEN) + drawn.choice(MORE)


NAMES = (
    "王建国",
    "李慧",
    "张志远",
    "刘畅",
    "陈立新",
    "杨帆",
    "赵敏",
    "黄海涛",
    "周宁",
    "吴晓",
    "徐鹏",
    "孙悦",
    "胡军",
    "朱琳",
)
COMMON = (
    "例行拜访, 客户生产正常, 设备运行稳定, 下月再来回访",
    "送达合同盖章件, 财务已签收, 等待付款流程审批完成",
    "参加客户月度例会, 汇报项目进度, 无新增问题需要跟进",
)


def draw_colleagues(seed: int, share: float = 0.04) -> list[Labelled]:
    """The same sellers, who name whom they spoke to. Some hand in what a colleague wrote in the last weeks; honestly, those
    who visit together log the same, and everybody writes of routine in the same words."""
    drawn = random.Random(seed + 1000)
    labelled = [one for one in draw(seed) if one.false != "copied_text"]
    labelled = [
        replace(one, log=replace(one.log, content=f"{one.log.content}, {drawn.choice(NAMES)}{drawn.randint(2, 98)}次"))
        if len(one.log.content) > 20
        else one
        for one in labelled
    ]
    found: list[Labelled] = []
    for one in labelled:
        others = [each for each in found if each.owner != one.owner and len(each.log.content) > 30]
        chance = drawn.random()
        if one.false or not others or chance > 3 * share:
            found.append(one)
            continue
        theirs = drawn.choice(others).log
        if chance < share:
            copied = replace(one.log, content=_edited(drawn, theirs.content), logged=theirs.logged + timedelta(days=9))
            found.append(Labelled(one.owner, copied, "copied_colleague"))
        elif chance < 2 * share:
            together = replace(theirs, id=one.log.id, logged=theirs.logged + timedelta(minutes=20))
            found.append(Labelled(one.owner, together, ""))
        else:
            found.append(Labelled(one.owner, replace(one.log, content=drawn.choice(COMMON)), ""))
    return found
