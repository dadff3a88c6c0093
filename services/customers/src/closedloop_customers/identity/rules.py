"""Whether two records are one customer (U11).

The evidence of each feature is added up as log-odds after Fellegi and Sunter, "A Theory for Record Linkage" (1969):
what two records share speaks for it, what differs against it. The weights were set on the generated set of
docs/customers.md.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from pydantic import Field
from rapidfuzz import fuzz

from closedloop_chassis.rulebook.rules import ClockSetting, Part, Rules
from closedloop_customers import names
from closedloop_customers.names import CompanyName
from closedloop_customers.shops import Called, apart, two_shops

_NOWHERE: Mapping[str, int] = {}

RecordType = Literal["account", "contact", "lead"]


class FeatureWeights(Part):
    """In log-odds: the values agree, are at least `alike_from` similar, or differ; nothing where one is missing."""

    agree: float = Field(ge=-30, le=30)
    alike: float = Field(default=0, ge=-30, le=30)
    alike_from: float = Field(default=1, ge=0, le=1)
    differ: float = Field(default=0, ge=-30, le=30)


class NameWeights(Part):
    """A shared name says more the longer it is: `per_character` up to `most`; Chinese characters say more."""

    per_character: float = Field(default=2.0, ge=0, le=10)
    per_letter: float = Field(default=0.75, ge=0, le=10)
    most: float = Field(default=8.0, ge=0, le=30)
    # The same, written by another hand (a character that looks alike, a department or remark behind): this share of it;
    # with a character struck twice, which may be another brand's; with two in the wrong order, one that sounds alike,
    # a wide trade left out; with a character more or less.
    variant_share: float = Field(default=0.85, ge=0, le=1)
    twice_share: float = Field(default=0.75, ge=0, le=1)
    alike_share: float = Field(default=0.6, ge=0, le=1)
    lost_share: float = Field(default=0.42, ge=0, le=1)
    # Both say which of several they are, and not the same, "（东院）" and "（西院）"; where only one says it, `alike_share`
    # at most. However much else they share, a register, a phone, an address: no more than `apart_most` in all.
    apart_share: float = Field(default=0.45, ge=0, le=1)
    apart_most: float = Field(default=0.6, ge=0, le=1)
    # Both are shops and not one, by their names: a chain of fifty would be 1,225 pairs to look at.
    shops_most: float = Field(default=0.4, ge=0, le=1)
    alike_from: float = Field(default=0.85, ge=0, le=1)
    # One name in characters, the other in pinyin, this similar as they are said: some have two readings.
    said_from: float = Field(default=0.9, ge=0, le=1)
    # Names up to so long are each a name of its own in every order of their characters.
    shuffled_above: int = Field(default=3, ge=1, le=100)
    # A brand so long may be told without its wide trade.
    brand_from: int = Field(default=2, ge=1, le=100)
    differ: float = Field(default=-5.0, ge=-30, le=0)
    # Trades so wide that they are left out as often as not.
    wide_trades: tuple[str, ...] = (
        "科技", "技术", "信息", "工程", "实业", "发展", "贸易", "商贸", "国际", "控股", "企业", "产业", "投资", "管理", "服务",
    )  # fmt: skip
    # Who has one of these and who has not are two companies, however alike the rest.
    telling: tuple[str, ...] = ("集团", "分公司", "分行", "支行", "办事处", "研究院", "附属", "分校")
    # Bodies of a place: the same name one step further down is another body.
    public: tuple[str, ...] = (
        "局", "厅", "委员会", "政府", "法院", "检察院", "学", "学校", "学院", "医院", "保健院", "幼儿园",
        "馆", "中心", "站", "所", "院",
    )  # fmt: skip
    same_place: float = Field(default=1.5, ge=-30, le=30)
    # One names the province, the other a town in it.
    place_within: float = Field(default=-1.0, ge=-30, le=30)
    # Neither says where (Chinese names do, by law; others need not); only one of them does. Many a brand stands in more
    # than one town; one that nobody knows elsewhere hardly does.
    place_unknown: float = Field(default=-2.5, ge=-30, le=30)
    place_unsaid: float = Field(default=-2.75, ge=-30, le=30)
    only_place: float = Field(default=-1.0, ge=-30, le=30)
    other_place: float = Field(default=-8.0, ge=-30, le=0)


class TypeRules(Part):
    """`prior`: log-odds that two records which share a block are one customer, before anything is compared."""

    prior: float = Field(ge=-30, le=30)
    features: dict[str, FeatureWeights]


class IdentityRules(Rules):
    """How duplicates are recognised."""

    rulebook: ClassVar[str] = "customers.identity"

    # At or above, a match is shown; at or above, it is "the same".
    shown: float = Field(default=0.5, ge=0, le=1)
    certain: float = Field(default=0.95, ge=0, le=1)
    name: NameWeights = NameWeights()
    types: dict[RecordType, TypeRules] = Field(
        default={
            "account": TypeRules(
                prior=-5.0,
                features={
                    "credit_code": FeatureWeights(agree=14, differ=-12),
                    "registration": FeatureWeights(agree=11, alike=3, alike_from=0.8, differ=-6),
                    "domain": FeatureWeights(agree=6, differ=-1),
                    "phone": FeatureWeights(agree=5, differ=-0.5),
                    # The province.
                    "region": FeatureWeights(agree=1.5, differ=-5),
                    "address": FeatureWeights(agree=4, alike=2.5, alike_from=0.8, differ=-1),
                },
            ),
            "contact": TypeRules(
                prior=-5.0,
                features={
                    "person": FeatureWeights(agree=4, alike=2, alike_from=0.8, differ=-5),
                    "phone": FeatureWeights(agree=5.5, differ=-0.5),
                    "email_address": FeatureWeights(agree=7, differ=-0.5),
                    "wechat_id": FeatureWeights(agree=7, differ=-1),
                    "account": FeatureWeights(agree=3, differ=-1),
                },
            ),
            "lead": TypeRules(
                prior=-5.0,
                features={
                    "person": FeatureWeights(agree=3, alike=1, alike_from=0.8, differ=-3),
                    "phone": FeatureWeights(agree=6, differ=-1),
                    "email_address": FeatureWeights(agree=7, differ=-0.5),
                    "wechat_id": FeatureWeights(agree=7, differ=-1),
                    "account": FeatureWeights(agree=2, differ=-1),
                },
            ),
        }
    )
    # Records that share something so common are not compared for its sake; keeps a scan's cost in step with n.
    largest_block: int = Field(default=50, ge=2, le=1000)
    # How often all records are compared by themselves.
    scan_every: ClockSetting = ClockSetting(days=1)


@dataclass(frozen=True, slots=True)
class Portrait:
    """What a record is recognised by. `values` by feature: "credit_code", "phone"...; a record may have several."""

    id: str
    names: tuple[CompanyName, ...] = ()
    values: Mapping[str, frozenset[str]] = field(default_factory=dict)
    # Places its address names.
    seats: frozenset[str] = frozenset()
    called: Called = field(default_factory=Called)


@dataclass(frozen=True, slots=True)
class Reason:
    feature: str
    left: str
    right: str
    similarity: float
    weight: float
    # Names that say which of several they are, and not the same.
    apart: bool = False


@dataclass(frozen=True, slots=True)
class Comparison:
    """`reasons`: the weightiest first; their weights and the prior sum to the log-odds of `probability`, but
    for two parts of one whole, where that ends at `apart_most`."""

    probability: float
    reasons: tuple[Reason, ...]


def towns_of(portraits: Iterable[Portrait]) -> dict[str, int]:
    """In how many towns each name is known, by its skeleton; who says no town counts for none."""
    found: dict[str, set[frozenset[str]]] = {}
    for portrait in portraits:
        for name in portrait.names:
            if name.places:
                found.setdefault(names.skeleton(name.core), set()).add(name.towns or name.places)
    return {core: len(_widest(towns)) for core, towns in found.items()}


def compare(
    left: Portrait, right: Portrait, kind: RecordType, rules: IdentityRules, towns: Mapping[str, int] = _NOWHERE
) -> Comparison:
    """`towns`: see `towns_of`; a name that is missing there may be anywhere."""
    settings = rules.types[kind]
    reasons = [reason for reason in (_names(left, right, rules.name, towns),) if reason is not None]
    told = any("@" in reason.left and "@" in reason.right for reason in reasons)
    for feature, weights in settings.features.items():
        ours, theirs = left.values.get(feature, frozenset()), right.values.get(feature, frozenset())
        # Names that agree on the place have said the region already.
        if ours and theirs and not (feature == "region" and told and ours & theirs):
            reasons.append(_values(feature, ours, theirs, weights))
    odds = settings.prior + sum(reason.weight for reason in reasons)
    ordered = sorted(reasons, key=lambda reason: -abs(reason.weight))
    probability = 1 / (1 + math.exp(-max(min(odds, 50.0), -50.0)))
    if two_shops(left.called, right.called):
        probability = min(probability, rules.name.shops_most)
    elif any(reason.apart for reason in reasons) or apart(left.called, right.called):
        probability = min(probability, rules.name.apart_most)
    return Comparison(probability, tuple(ordered))


def _values(feature: str, ours: Collection[str], theirs: Collection[str], weights: FeatureWeights) -> Reason:
    shared = sorted(set(ours) & set(theirs))
    if shared:
        return Reason(feature, shared[0], shared[0], 1.0, weights.agree)
    one, other, similarity = min(ours), min(theirs), 0.0
    if weights.alike_from < 1:
        similarity, one, other = max((fuzz.ratio(a, b) / 100, a, b) for a in ours for b in theirs)
    return Reason(
        feature, one, other, similarity, weights.alike if similarity >= weights.alike_from else weights.differ
    )


def _names(left: Portrait, right: Portrait, weights: NameWeights, towns: Mapping[str, int]) -> Reason | None:
    """The pair of names that speaks most for one company."""
    found = [
        _name(one, other, weights, _place(one, other, left.seats, right.seats, weights, towns))
        for one in left.names
        for other in right.names
        if one.core and other.core
    ]
    return max(found, key=lambda reason: reason.weight, default=None)


def _name(one: CompanyName, other: CompanyName, weights: NameWeights, place: float) -> Reason:
    similarity, share = _alike(one, other, weights)
    apart = one.which != other.which
    if apart:
        share = min(share, weights.apart_share if one.which and other.which else weights.alike_share)
    if not share:
        return Reason("name", one.canonical, other.canonical, similarity, weights.differ)
    told = min((one.core, other.core), key=len)
    worth = min(sum(weights.per_letter if c.isascii() else weights.per_character for c in told), weights.most)
    return Reason("name", one.canonical, other.canonical, similarity, worth * share + place, apart)


def _alike(one: CompanyName, other: CompanyName, weights: NameWeights) -> tuple[float, float]:
    """How similar, and which share of the name's worth that is; 0 for another name."""
    if one.core == other.core:
        if one.aside == other.aside:
            return 1.0, 1.0
        return 1.0, weights.alike_share if one.aside and other.aside else weights.variant_share
    ours, theirs = names.skeleton(one.core), names.skeleton(other.core)
    similarity = fuzz.ratio(ours, theirs) / 100
    if any((word in ours) != (word in theirs) for word in weights.telling):
        return similarity, 0.0
    if ours == theirs:
        return similarity, weights.variant_share if len(one.core) == len(other.core) else weights.twice_share
    if (
        (len(ours) > weights.shuffled_above and sorted(ours) == sorted(theirs))
        or names.said(one.core) == names.said(other.core)
        or names.said(ours) == names.said(theirs)
        or (
            ours.isascii() != theirs.isascii()
            and fuzz.ratio(names.said(ours), names.said(theirs)) >= weights.said_from * 100
        )
        or _wide(ours, theirs, weights)
    ):
        return similarity, weights.alike_share
    if similarity >= weights.alike_from:
        return similarity, weights.alike_share if ours.isascii() else weights.lost_share
    return similarity, 0.0


def _wide(one: str, other: str, weights: NameWeights) -> bool:
    """Whether one is the other but for wide trades at its end."""
    short, long = sorted((one, other), key=len)
    if len(short) < weights.brand_from or not long.startswith(short):
        return False
    rest = long[len(short) :]
    while rest:
        trade = next((trade for trade in weights.wide_trades if rest.startswith(trade)), None)
        if trade is None:
            return False
        rest = rest.removeprefix(trade)
    return True


def _place(
    one: CompanyName,
    other: CompanyName,
    ours: frozenset[str],
    theirs: frozenset[str],
    weights: NameWeights,
    towns: Mapping[str, int],
) -> float:
    """`ours`, `theirs`: the places of the addresses."""
    if one.places and other.places:
        return _places(one, other, weights)
    if not one.places and not other.places:
        return 0.0 if one.core.isascii() else weights.place_unknown
    # Who does not say it in the name may say it in the address.
    if one.towns & theirs if one.places else other.towns & ours:
        return weights.same_place
    told = one if one.places else other
    return weights.only_place if towns.get(names.skeleton(told.core)) == 1 else weights.place_unsaid


def _places(one: CompanyName, other: CompanyName, weights: NameWeights) -> float:
    if one.province and other.province and one.province != other.province:
        return weights.other_place
    public = one.core.endswith(weights.public)
    if one.towns and other.towns:
        if one.towns == other.towns:
            return weights.same_place
        if one.towns <= other.towns or other.towns <= one.towns:
            return weights.place_unsaid if public else weights.same_place
        # A district of which nobody knows the town.
        return weights.other_place if public or (one.province and other.province) else weights.place_unsaid
    if not one.towns and not other.towns:
        return weights.same_place
    return weights.other_place if public else weights.place_within


def _widest(towns: set[frozenset[str]]) -> list[frozenset[str]]:
    """Without those that only say more of another: {"济南", "历城"} where there is {"济南"}."""
    return [one for one in towns if not any(other < one for other in towns)]
