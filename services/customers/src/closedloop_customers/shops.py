"""Several customers under one legal person: shops, branches, divisions. They share its registered name, its code, often a
telephone, and none of it says that two of them are one; what they are called themselves does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rapidfuzz import fuzz

from closedloop_customers import names
from closedloop_customers.identifiers import MatchingRules, own_names, registered_names
from closedloop_customers.names import CompanyName


@dataclass(frozen=True, slots=True)
class Called:
    """What an account is called itself, its own name first, and how its legal person is registered, where that is another
    name. `same_from`: how alike two names of one shop are at least; `marks`: characters that tell shops apart."""

    own: tuple[CompanyName, ...] = ()
    registered: tuple[CompanyName, ...] = ()
    same_from: float = 1.0
    marks: str = ""


def profiles_apart(one: Mapping[str, Any], other: Mapping[str, Any], rules: MatchingRules) -> bool:
    """Whether two accounts are known to be two by what they are called, whatever else they share."""
    return apart(called(one, rules), called(other, rules))


def two_shops(one: Called, other: Called) -> bool:
    return bool(one.own and other.own) and _shop(one) and _shop(other) and apart(one, other)


def plainly_two(one: Mapping[str, Any], other: Mapping[str, Any], rules: MatchingRules) -> bool:
    """Whether nobody has to be asked: two shops, or a shop and the legal person it names."""
    ours, theirs = called(one, rules), called(other, rules)
    if not apart(ours, theirs):
        return False
    return two_shops(ours, theirs) or _shop_of(ours, theirs) or _shop_of(theirs, ours)


def _shop(one: Called) -> bool:
    return one.own[0].shop


def _shop_of(one: Called, other: Called) -> bool:
    registered = {name.canonical for name in one.registered}
    return _shop(one) and any(name.canonical in registered for name in other.own)


def called(profile: Mapping[str, Any], rules: MatchingRules) -> Called:
    return Called(own_names(profile, rules), registered_names(profile, rules), rules.same_shop_from, rules.shop_marks)


def apart(one: Called, other: Called) -> bool:
    """Where one of them is a shop, or both have one registered name, two are apart unless they have a name in common, but for
    a slip of the pen."""
    if not one.own or not other.own:
        return False
    of_one_person = {name.canonical for name in one.registered} & {name.canonical for name in other.registered}
    if not of_one_person and not one.own[0].shop and not other.own[0].shop:
        return False
    return not any(_alike(left, right, one) for left in one.own for right in other.own)


def _alike(one: CompanyName, other: CompanyName, rules: Called) -> bool:
    if one.which and other.which and not _one_word(one.which, other.which, rules):
        return False
    if one.places and other.places and not one.places & other.places:
        return False
    return _one_word(one.core + one.which, other.core + other.which, rules)


def _one_word(one: str, other: str, rules: Called) -> bool:
    """But for a slip of the pen."""
    left, right = names.skeleton(one), names.skeleton(other)
    if left == right or names.said(left) == names.said(right):
        return True
    if left.isascii() != right.isascii():
        return fuzz.ratio(names.said(left), names.said(right)) >= rules.same_from * 100
    more, less = Counter(left) - Counter(right), Counter(right) - Counter(left)
    # Another character in the place of one, or a number more, is no slip: 东校区 and 西校区, 一店 and 十一店.
    if (more and less) or set(more + less) & set(rules.marks):
        return False
    return fuzz.ratio(left, right) >= rules.same_from * 100
