"""Whether two records are one customer (U11).

The evidence of each feature is added up as log-odds after Fellegi and Sunter, "A Theory for Record Linkage" (1969):
what two records share speaks for it, what differs against it. The weights were set on the generated set of
docs/customers.md.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from pydantic import Field
from rapidfuzz import fuzz

from closedloop_chassis.rulebook.rules import ClockSetting, Part, Rules
from closedloop_customers.names import CompanyName

# Of shorter names every order may be a name of its own.
_LEAST_SHUFFLED = 3

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
    # A slip of the pen (a character lost, or two in the wrong order): this share of it.
    alike_share: float = Field(default=0.6, ge=0, le=1)
    alike_from: float = Field(default=0.85, ge=0, le=1)
    differ: float = Field(default=-5.0, ge=-30, le=0)
    # Who has one of these and who has not are two companies, however alike the rest.
    telling: tuple[str, ...] = ("集团", "分公司", "分行", "支行", "办事处", "研究院", "附属", "分校")
    same_place: float = Field(default=1.5, ge=-30, le=30)
    # Neither says where (Chinese names do, by law; others need not); only one of them does. Many a brand stands in more
    # than one town.
    place_unknown: float = Field(default=-2.5, ge=-30, le=30)
    place_unsaid: float = Field(default=-2.5, ge=-30, le=30)
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


@dataclass(frozen=True, slots=True)
class Reason:
    feature: str
    left: str
    right: str
    similarity: float
    weight: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """`reasons`: the weightiest first; their weights and the prior sum to the log-odds of `probability`."""

    probability: float
    reasons: tuple[Reason, ...]


def compare(left: Portrait, right: Portrait, kind: RecordType, rules: IdentityRules) -> Comparison:
    settings = rules.types[kind]
    reasons = [reason for reason in (_names(left.names, right.names, rules.name),) if reason is not None]
    for feature, weights in settings.features.items():
        ours, theirs = left.values.get(feature, frozenset()), right.values.get(feature, frozenset())
        if ours and theirs:
            reasons.append(_values(feature, ours, theirs, weights))
    odds = settings.prior + sum(reason.weight for reason in reasons)
    ordered = sorted(reasons, key=lambda reason: -abs(reason.weight))
    return Comparison(1 / (1 + math.exp(-max(min(odds, 50.0), -50.0))), tuple(ordered))


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


def _names(ours: Collection[CompanyName], theirs: Collection[CompanyName], weights: NameWeights) -> Reason | None:
    """The pair of names that speaks most for one company."""
    found = [_name(one, other, weights) for one in ours for other in theirs if one.core and other.core]
    return max(found, key=lambda reason: reason.weight, default=None)


def _name(one: CompanyName, other: CompanyName, weights: NameWeights) -> Reason:
    similarity = 1.0 if one.core == other.core else fuzz.ratio(one.core, other.core) / 100
    told = min((one.core, other.core), key=len)
    worth = min(sum(weights.per_letter if c.isascii() else weights.per_character for c in told), weights.most)
    if similarity == 1.0:
        weight = worth + _places(one, other, weights)
    elif _slip(one.core, other.core, similarity, weights):
        weight = worth * weights.alike_share + _places(one, other, weights)
    else:
        weight = weights.differ
    return Reason("name", one.canonical, other.canonical, similarity, weight)


def _slip(one: str, other: str, similarity: float, weights: NameWeights) -> bool:
    if any((word in one) != (word in other) for word in weights.telling):
        return False
    return similarity >= weights.alike_from or (len(one) > _LEAST_SHUFFLED and sorted(one) == sorted(other))


def _places(one: CompanyName, other: CompanyName, weights: NameWeights) -> float:
    if not one.places and not other.places:
        return 0.0 if one.core.isascii() else weights.place_unknown
    if not one.places or not other.places:
        return weights.place_unsaid
    return weights.same_place if one.places <= other.places or other.places <= one.places else weights.other_place
