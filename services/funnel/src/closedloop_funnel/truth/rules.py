"""What speaks against a log: each rule a function that answers with a sentence (S45, S50, S51).

A log is held against the others of the same seller. Where two contradict each other the one written down later is
marked: what was logged on the spot is likelier to be true.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import ClassVar, Literal

from pydantic import Field
from rapidfuzz import fuzz, process

from closedloop_chassis.rulebook.rules import ClockSetting, Part, Rules
from closedloop_funnel.places import Place, metres

KindWord = Literal[
    "no_content",
    "copied_text",
    "impossible_time",
    "impossible_place",
    "photo_contradicts",
    "photo_reused",
    "call_as_visit",
    "outdated_script",
    "survey_contradicts",
    "logged_late",
]
# Two people cannot be in one place; one person cannot be in two.
IN_PERSON = ("visit", "meeting", "demo")
NOISE = re.compile(r"[\s\W_]+")


CONFIDENCE: dict[KindWord, float] = {
    "no_content": 0.9,
    "copied_text": 0.85,
    "impossible_time": 0.8,
    "impossible_place": 0.9,
    "photo_contradicts": 0.85,
    "photo_reused": 0.95,
    "call_as_visit": 0.85,
    "outdated_script": 1.0,
    "survey_contradicts": 0.7,
    "logged_late": 1.0,
}


class Script(Part):
    """A version of the talk script and the day from which it is the policy."""

    version: str = Field(min_length=1, max_length=64)
    since: date


class TruthRules(Rules):
    """Every rule with its numbers. `check_after`: how soon after it was logged a log is looked at. `marking`: findings
    that make a log suspect; the others are told only. `confidence`: how sure a rule is, 0..1. How precise a rule is, is said
    from `least_judged` findings on that somebody judged."""

    rulebook: ClassVar[str] = "funnel.truth"

    check_after: ClockSetting = ClockSetting(hours=0.25)
    least_judged: int = Field(default=5, ge=1, le=100_000)
    # Nightly, what is kept only to find copies is forgotten.
    hour: time = time(3, 30)
    # no_content
    content_kinds: tuple[str, ...] = ("visit", "call", "meeting", "demo")
    least_characters: int = Field(default=6, ge=1, le=1000)
    hollow: tuple[str, ...] = (
        *("已联系", "已沟通", "已拜访", "已跟进", "已回访", "正常拜访", "常规拜访", "正常沟通", "电话沟通", "客户很好"),
        *("持续跟进", "保持联系", "沟通顺利", "一切正常", "无", "ok", "done", "contacted", "visited", "follow up"),
    )
    # copied_text
    copied_ratio: float = Field(default=0.93, gt=0, le=1)
    copied_characters: int = Field(default=12, ge=1, le=1000)
    copied_days: int = Field(default=30, ge=1, le=366)
    # copied_text from a colleague: closer and longer, not of one meeting that both logged, not what everybody writes.
    colleague_ratio: float = Field(default=0.95, gt=0, le=1)
    colleague_characters: int = Field(default=20, ge=1, le=1000)
    joint_hours: float = Field(default=24, ge=0, le=8784)
    common_sellers: int = Field(default=3, ge=2, le=1000)
    # impossible_time
    overlap_minutes: float = Field(default=10, ge=0, le=1440)
    shortest_visit_minutes: float = Field(default=5, ge=0, le=1440)
    # impossible_place
    fastest_kmh: float = Field(default=120, gt=0, le=2000)
    least_travel_meters: float = Field(default=3000, ge=0, le=1_000_000)
    # call_as_visit
    call_phrases: tuple[str, ...] = ("电话沟通", "电话联系", "电话拜访", "打电话", "通了电话", "电话里", "微信语音")
    call_window_minutes: float = Field(default=30, ge=0, le=1440)
    # outdated_script
    scripts: tuple[Script, ...] = ()
    script_grace_days: int = Field(default=7, ge=0, le=366)
    # logged_late
    late_hours: float = Field(default=72, gt=0, le=8784)

    marking: tuple[KindWord, ...] = (
        *("no_content", "copied_text", "impossible_time", "impossible_place", "photo_contradicts", "photo_reused"),
        *("call_as_visit", "survey_contradicts"),
    )
    confidence: dict[KindWord, float] = CONFIDENCE
    # The report (S51): a claim of so many visits with so little conversion is red.
    industry_conversion: float = Field(default=0.2, gt=0, le=1)
    claimed_high: float = Field(default=0.95, gt=0, le=1)
    conversion_share_low: float = Field(default=0.7, gt=0, le=1)
    call_share_high: float = Field(default=0.3, gt=0, le=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """One done activity. `contradictions`: what its photos say against it; `reused_in`: earlier logs that show one of
    its pictures."""

    id: str
    kind: str
    account_id: str
    started: datetime
    ended: datetime | None = None
    logged: datetime
    content: str = ""
    place: Place | None = None
    has_photos: bool = False
    contradictions: tuple[str, ...] = ()
    reused_in: tuple[str, ...] = ()
    script_version: str = ""
    owner: str = ""

    @property
    def ends(self) -> datetime:
        return self.ended or self.started


@dataclass(frozen=True, slots=True)
class Suspicion:
    """What one rule found: why, in a sentence, and the logs it contradicts or copies."""

    kind: KindWord
    explanation: str
    related: tuple[str, ...] = ()


def judge(rules: TruthRules, log: Log, others: Sequence[Log], colleagues: Sequence[Log] = ()) -> list[Suspicion]:
    """Everything that speaks against the log. `others`: logs of the same seller around it; itself may be among them;
    `colleagues`: logs of others that read like it."""
    beside = [one for one in others if one.id != log.id]
    found = [one for one in (rule(rules, log, beside) for rule in RULES) if one is not None]
    if not any(one.kind == "copied_text" for one in found) and (copied := from_colleague(rules, log, colleagues)):
        found.append(copied)
    return found


def no_content(rules: TruthRules, log: Log, _: Sequence[Log]) -> Suspicion | None:
    if log.kind not in rules.content_kinds:
        return None
    said = bare(log.content)
    if len(said) < rules.least_characters or said in {bare(phrase) for phrase in rules.hollow}:
        return Suspicion("no_content", f"a {log.kind} that says {log.content.strip()!r} says nothing")
    return None


def copied_text(rules: TruthRules, log: Log, others: Sequence[Log]) -> Suspicion | None:
    said = bare(log.content)
    if len(said) < rules.copied_characters:
        return None
    window = timedelta(days=rules.copied_days)
    earlier = {
        one.id: bare(one.content)
        for one in others
        if _written_before(one, log) and log.started - window <= one.started <= log.started + window
    }
    twins = process.extract(said, earlier, scorer=fuzz.ratio, score_cutoff=100 * rules.copied_ratio, limit=5)
    if not twins:
        return None
    return Suspicion(
        "copied_text",
        f"{twins[0][1]:.0f} % the same as an earlier log of the same seller",
        tuple(str(key) for _, _, key in twins),
    )


def from_colleague(rules: TruthRules, log: Log, colleagues: Sequence[Log]) -> Suspicion | None:
    """A colleague's text; not where both logged one meeting, nor where it is what everybody writes."""
    said = bare(log.content)
    if len(said) < rules.colleague_characters:
        return None
    window, joint = timedelta(days=rules.copied_days), timedelta(hours=rules.joint_hours)
    alike = [
        one
        for one in colleagues
        if abs(one.started - log.started) <= window
        and fuzz.ratio(said, bare(one.content), score_cutoff=100 * rules.colleague_ratio)
    ]
    if len({one.owner for one in alike}) >= rules.common_sellers:
        return None
    sources = [
        one
        for one in alike
        if _written_before(one, log)
        and not (log.account_id and one.account_id == log.account_id and abs(one.started - log.started) <= joint)
    ]
    if not sources:
        return None
    closest = max(fuzz.ratio(said, bare(one.content)) for one in sources)
    return Suspicion(
        "copied_text",
        f"{closest:.0f} % the same as an earlier log of a colleague",
        tuple(sorted(one.id for one in sources)[:5]),
    )


def impossible_time(rules: TruthRules, log: Log, others: Sequence[Log]) -> Suspicion | None:
    if log.kind not in IN_PERSON:
        return None
    lasted = (log.ends - log.started) / timedelta(minutes=1)
    if log.kind == "visit" and log.ended is not None and lasted < rules.shortest_visit_minutes:
        return Suspicion("impossible_time", f"a visit of {lasted:.0f} minutes")
    for one in others:
        if one.kind not in IN_PERSON or one.account_id == log.account_id or not _written_before(one, log):
            continue
        shared = (min(one.ends, log.ends) - max(one.started, log.started)) / timedelta(minutes=1)
        if shared > rules.overlap_minutes:
            return Suspicion(
                "impossible_time", f"{shared:.0f} minutes of it were spent with another customer", (one.id,)
            )
    return None


def impossible_place(rules: TruthRules, log: Log, others: Sequence[Log]) -> Suspicion | None:
    if log.place is None:
        return None
    for one in others:
        if one.place is None or not _written_before(one, log):
            continue
        apart = metres(one.place, log.place)
        if apart < rules.least_travel_meters:
            continue
        first, second = sorted((one, log), key=lambda each: each.started)
        hours = max((second.started - first.ends) / timedelta(hours=1), 0.0)
        if apart / 1000 > rules.fastest_kmh * hours:
            return Suspicion(
                "impossible_place",
                f"{apart / 1000:.0f} km from another check-in {hours * 60:.0f} minutes apart",
                (one.id,),
            )
    return None


def photo_contradicts(_: TruthRules, log: Log, __: Sequence[Log]) -> Suspicion | None:
    return Suspicion("photo_contradicts", log.contradictions[0]) if log.contradictions else None


def photo_reused(_: TruthRules, log: Log, __: Sequence[Log]) -> Suspicion | None:
    if not log.reused_in:
        return None
    return Suspicion("photo_reused", "a photo of it was shown in an earlier log", log.reused_in)


def call_as_visit(rules: TruthRules, log: Log, others: Sequence[Log]) -> Suspicion | None:
    """A visit that left no trace of a place, and a call in its stead."""
    if log.kind != "visit" or log.place is not None or log.has_photos:
        return None
    phrase = next((phrase for phrase in rules.call_phrases if phrase in log.content), "")
    if phrase:
        return Suspicion("call_as_visit", f"no place, no photo, and it says {phrase!r}")
    window = timedelta(minutes=rules.call_window_minutes)
    for one in others:
        near = abs(one.started - log.started) <= window
        if one.kind == "call" and near and log.account_id and one.account_id == log.account_id:
            return Suspicion(
                "call_as_visit", "no place, no photo, and a call with the customer at that time", (one.id,)
            )
    return None


def outdated_script(rules: TruthRules, log: Log, _: Sequence[Log]) -> Suspicion | None:
    day, grace = log.started.date(), timedelta(days=rules.script_grace_days)
    in_force = [script for script in rules.scripts if script.since + grace <= day]
    newest = max(in_force, key=lambda script: script.since, default=None)
    mine = next((script for script in rules.scripts if script.version == log.script_version), None)
    if newest is None or not log.script_version or (mine is not None and mine.since >= newest.since):
        return None
    return Suspicion("outdated_script", f"script {log.script_version}, since {newest.since} it is {newest.version}")


def logged_late(rules: TruthRules, log: Log, _: Sequence[Log]) -> Suspicion | None:
    late = (log.logged - log.ends) / timedelta(hours=1)
    return Suspicion("logged_late", f"written down {late:.0f} hours later") if late > rules.late_hours else None


Rule = Callable[[TruthRules, Log, Sequence[Log]], Suspicion | None]
RULES: tuple[Rule, ...] = (
    *(no_content, copied_text, impossible_time, impossible_place, photo_contradicts, photo_reused, call_as_visit),
    *(outdated_script, logged_late),
)


def bare(text: str) -> str:
    """Without spaces, punctuation and case."""
    return NOISE.sub("", text).casefold()


def _written_before(one: Log, other: Log) -> bool:
    return (one.logged, one.id) < (other.logged, other.id)


def standing(rules: TruthRules, found: Sequence[tuple[KindWord, str]]) -> str:
    """What the findings (kind, state) on a log make of it: genuine, suspect or confirmed_false."""
    if any(state == "confirmed" and kind in rules.marking for kind, state in found):
        return "confirmed_false"
    if any(state == "open" and kind in rules.marking for kind, state in found):
        return "suspect"
    return "genuine"
