"""Waking customers who went quiet: to whom, by which channel, about what they themselves looked at (S27, S28)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from math import erfc, exp, sqrt
from statistics import NormalDist
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field

from closedloop_chassis.rulebook.rules import ClockSetting, Part, Rules
from closedloop_customers import sayings

Grounds = Literal["product_updated", "product_watched", "neighbour_succeeded", "product_line"]
# What a text may name.
WORDS = frozenset({"contact", "account", "owner", "product", "line", "neighbours"})


def _sayable(text: str) -> str:
    return sayings.checked(text, WORDS)


Text = Annotated[str, AfterValidator(_sayable)]


class Topic(Part):
    """What a wake-up is about. `grounds` says on which facts it applies; headline and text may name WORDS in braces."""

    grounds: Grounds
    title: str
    headline: Text
    text: Text


class WakeUpRules(Rules):
    """Topics in order of preference, the clock of silence and the rhythm of messages."""

    rulebook: ClassVar[str] = "customers.wake_up"

    silence: ClockSetting = ClockSetting(days=7)
    # After a wake-up that ended without an answer the customer is left alone for so long.
    rest: ClockSetting = ClockSetting(days=30)
    # Messages of one wake-up, and how long an answer is waited for after each.
    messages: int = Field(default=2, ge=1, le=10)
    answer: ClockSetting = ClockSetting(days=7)
    channels: tuple[Literal["email", "sms"], ...] = ("email", "sms")
    # How far back a customer's behaviour tells what interests them.
    behaviour_days: int = Field(default=180, ge=1, le=3660)
    neighbour_days: int = Field(default=180, ge=1, le=3660)
    # Started by hand: nobody had an effective touch for so long.
    least_silence_days: int = Field(default=2, ge=0, le=366)
    topics: dict[str, Topic] = Field(
        default={
            "product_updated": Topic(
                grounds="product_updated",
                title="关注的产品有更新",
                headline="您关注的{product}有更新",
                text="{contact}您好，您此前了解过的{product}近期有更新，我整理了与{account}相关的变化，方便时可以为您介绍。{owner}",
            ),
            "neighbour_succeeded": Topic(
                grounds="neighbour_succeeded",
                title="附近客户成功",
                headline="与{account}同行业的客户已经用起来了",
                text="{contact}您好，近期本地同行业已有{neighbours}家客户签约，他们解决的问题可能也是您关心的，想与您分享做法。{owner}",
            ),
            "product_watched": Topic(
                grounds="product_watched",
                title="关注的产品",
                headline="关于您了解过的{product}",
                text="{contact}您好，您此前了解过{product}，不知目前进展如何？如有新的需求，我随时可以提供资料或演示。{owner}",
            ),
            "product_line_news": Topic(
                grounds="product_line",
                title="产品线动态",
                headline="{line}的近期动态",
                text="{contact}您好，{account}所用的{line}近期有新的方案与案例，想听听您的使用情况和新的计划。{owner}",
            ),
        }
    )
    template: str = "wake_up"
    # Control group: the plain words at the same moment, so that a topic can be measured (S28).
    experiment: str = "wake_up"
    control_ratio: float = Field(default=0.1, ge=0, le=0.5)
    # Delivered in each arm before a lift is said to mean something.
    least_messages: int = Field(default=100, ge=1, le=1_000_000)
    control_template: str = "wake_up"
    control_headline: Text = "{account}近况问候"
    control_text: Text = "{contact}您好，好久没有联系，不知近况如何？有任何需要请随时找我。{owner}"


@dataclass(frozen=True, slots=True)
class Interest:
    """A product the customer looked at or bought: when last, how often, and when the product last changed."""

    product_id: str
    product_name: str
    touches: int
    last_at: datetime
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a quiet customer; interests with the latest first."""

    interests: Sequence[Interest] = ()
    neighbours: int = 0
    product_lines: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Recipient:
    """Somebody who might be written to. `closed`: channels that may not be used; `opted_out`: topics ("" is all)."""

    contact_id: str
    name: str
    email: str
    phone: str
    language: str
    time_zone: str
    closed: frozenset[str] = frozenset()
    opted_out: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Plan:
    """Whom to write to, how and about what; `evidence` is the behaviour behind it, as (name, value, unit, text)."""

    recipient: Recipient
    channels: tuple[str, ...]
    topic: str
    words: Mapping[str, str]
    evidence: Sequence[tuple[str, float, str, str]] = field(default_factory=tuple)
    explanation: str = ""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why nobody can be woken: OPTED_OUT, NO_CHANNEL or NO_TOPIC_APPLIES."""

    reason: str
    explanation: str


def plan(recipients: Sequence[Recipient], facts: Facts, rules: WakeUpRules, topic: str = "") -> Plan | Refusal:
    """The first recipient who can be reached and did not opt out, with the first topic that applies to the
    customer's facts."""
    asked = [topic] if topic else list(rules.topics)
    applying = [(key, grounds) for key in asked if (grounds := _applies(rules.topics[key], facts)) is not None]
    reachable = [(r, channels) for r in recipients if (channels := _channels(r, rules))]
    if not reachable:
        silenced = any(r.closed and (r.email or r.phone) for r in recipients)
        return (
            Refusal("OPTED_OUT", "everybody we know there wants no messages")
            if silenced
            else Refusal("NO_CHANNEL", "no mail address and no mobile number is known")
        )
    willing = [(r, channels) for r, channels in reachable if "" not in r.opted_out]
    if not willing:
        return Refusal("OPTED_OUT", "everybody we know there wants no messages")
    for key, (words, evidence) in applying:
        for recipient, channels in willing:
            if key not in recipient.opted_out:
                why = f"{rules.topics[key].title}: {'; '.join(text for *_, text in evidence)}"
                return Plan(recipient, channels, key, words, evidence, why)
    return Refusal("NO_TOPIC_APPLIES", "nothing this customer did, bought or is near to gives a reason to write")


def reachable(recipient: Recipient, topic: str, rules: WakeUpRules) -> tuple[str, ...]:
    """The channels by which somebody may still be written to about this; none for who wants no such messages."""
    return () if {"", topic} & recipient.opted_out else _channels(recipient, rules)


def in_control(record_id: str, rules: WakeUpRules) -> bool:
    """Whether a customer is in the control group; the same customer always, by chance over customers."""
    digest = hashlib.sha256(f"{rules.experiment}:{record_id}".encode()).digest()
    return int.from_bytes(digest[:8]) / 2**64 < rules.control_ratio


def compose(rules: WakeUpRules, topic: str, control: bool, words: Mapping[str, str]) -> tuple[str, str, str]:
    """Template, subject line and text of a message."""
    chosen = rules.topics.get(topic)
    if control or chosen is None:
        return rules.control_template, _said(rules.control_headline, words), _said(rules.control_text, words)
    return rules.template, _said(chosen.headline, words), _said(chosen.text, words)


def _applies(topic: Topic, facts: Facts) -> tuple[dict[str, str], list[tuple[str, float, str, str]]] | None:
    if topic.grounds == "neighbour_succeeded":
        if not facts.neighbours:
            return None
        return {"neighbours": str(facts.neighbours)}, [
            (
                "neighbours",
                facts.neighbours,
                "1",
                f"{facts.neighbours} customers of the same region and industry signed lately",
            )
        ]
    if topic.grounds == "product_line":
        line = next(iter(facts.product_lines), None)
        return ({"line": line}, [("product_line", 1, "1", f"buys {line}")]) if line else None
    wanted = [i for i in facts.interests if topic.grounds == "product_watched" or i.changed_at > i.last_at]
    if not wanted:
        return None
    first = wanted[0]
    told = f"{first.touches} touches with {first.product_name}, last on {first.last_at.date().isoformat()}"
    updated = f", which changed on {first.changed_at.date().isoformat()}" if first.changed_at > first.last_at else ""
    return {"product": first.product_name}, [("product_touches", first.touches, "1", told + updated)]


def _channels(recipient: Recipient, rules: WakeUpRules) -> tuple[str, ...]:
    has = {"email": bool(recipient.email), "sms": bool(recipient.phone)}
    return tuple(channel for channel in rules.channels if has[channel] and channel not in recipient.closed)


@dataclass(frozen=True, slots=True)
class Arm:
    """What became of the messages of one arm."""

    sent: int = 0
    delivered: int = 0
    opened: int = 0
    clicked: int = 0
    replied: int = 0
    opted_out: int = 0

    def ratio(self, count: int) -> float:
        return count / self.delivered if self.delivered else 0.0


@dataclass(frozen=True, slots=True)
class Compared:
    """Ratios of ratios; all 0 where an arm has nothing to divide by."""

    open_lift: float = 0.0
    click_lift: float = 0.0
    open_lift_low: float = 0.0
    open_lift_high: float = 0.0
    p_value: float = 1.0
    enough_data: bool = False


def compared(treated: Arm, control: Arm, rules: WakeUpRules) -> Compared:
    """Lift of opens with its 95 % interval (Katz et al. 1978, on the logarithm) and the two-sided z-test of two
    proportions. Messages count as independent, which those of one wake-up are not quite."""
    if not treated.delivered or not control.delivered:
        return Compared()
    lift, low, high = _ratio(treated, control, treated.opened, control.opened)
    pooled = (treated.opened + control.opened) / (treated.delivered + control.delivered)
    error = sqrt(pooled * (1 - pooled) * (1 / treated.delivered + 1 / control.delivered))
    z = (treated.ratio(treated.opened) - control.ratio(control.opened)) / error if error else 0.0
    return Compared(
        open_lift=lift,
        click_lift=_ratio(treated, control, treated.clicked, control.clicked)[0],
        open_lift_low=low,
        open_lift_high=high,
        p_value=erfc(abs(z) / sqrt(2)),
        enough_data=min(treated.delivered, control.delivered) >= rules.least_messages,
    )


def _ratio(treated: Arm, control: Arm, hits: int, of_control: int) -> tuple[float, float, float]:
    """The ratio and its interval; 0 where the control group has none to be compared with."""
    if not hits or not of_control:
        return 0.0, 0.0, 0.0
    z = NormalDist().inv_cdf(0.975)
    ratio = treated.ratio(hits) / control.ratio(of_control)
    spread = sqrt(1 / hits - 1 / treated.delivered + 1 / of_control - 1 / control.delivered)
    return ratio, ratio * exp(-z * spread), ratio * exp(z * spread)


def _said(text: str, words: Mapping[str, str]) -> str:
    return sayings.said(text, words, WORDS)
