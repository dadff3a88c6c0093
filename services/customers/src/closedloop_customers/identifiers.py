"""Identifiers by which the same person or company is found again, in one spelling each.

A key is "<kind>:<normalised value>": "phone:+8613800138000", "mail:li@example.com", "name:华东精密".
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from pydantic import Field

from closedloop_chassis import errors
from closedloop_chassis.rulebook.rules import Rules
from closedloop_customers import divisions, names

_NOT_DIGITS = re.compile(r"[^0-9+]")
# What a table makes of a number it takes for an amount: 1.38E+10, 13800138000.0.
_AMOUNT = re.compile(r"[0-9][eE][+-]?[0-9]|[0-9]{5}\.0+$")
_EXTENSION = re.compile(r"转|分机|ext|#|,", re.IGNORECASE)
# E.164.
_MOST_DIGITS = 15
# Digits and letters without I, O, S, V and Z.
_CREDIT_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"


class MatchingRules(Rules):
    """By what accounts and contacts are recognised, before somebody makes them twice (U11)."""

    rulebook: ClassVar[str] = "customers.matching"

    account_keys: tuple[str, ...] = ("credit", "name", "domain", "phone")
    contact_keys: tuple[str, ...] = ("phone", "mail", "wechat")
    # Country prefix of numbers written without one.
    country_prefix: str = "+86"
    # What is written where no number is known, and numbers behind which anybody may be, in the country's digits: "?" is one
    # of them, "*" any number. The first are nobody's; the second tell a company and no person.
    placeholder_phones: tuple[str, ...] = (*(digit * 7 + "*" for digit in "0123456789"), "1000000*", "1234567*")
    hotline_phones: tuple[str, ...] = (
        "400???????", "800???????", "9[56]???", "9[56]????", "9[56]?????", "9[56]??????",
        "1[0-2]?", "1[0-2]??", "1[0-2]???", "1[0-2]????",
    )  # fmt: skip
    # What company names are read by; see names.py. Places beside the provinces and their towns: ours alone.
    legal_forms: tuple[str, ...] = names.LEGAL_FORMS
    provinces: dict[str, tuple[str, ...]] = divisions.PROVINCES
    places: tuple[str, ...] = ()
    telling: tuple[str, ...] = names.TELLING
    departments: tuple[str, ...] = names.DEPARTMENTS
    short_forms: dict[str, str] = names.SHORT_FORMS
    branches: tuple[str, ...] = names.BRANCHES
    shops: tuple[str, ...] = names.SHOPS
    # Names of shops and divisions of one legal person at least so alike are one of them, written by two hands, unless one has
    # one of the marks and the other has not.
    same_shop_from: float = Field(default=0.85, ge=0, le=1)
    shop_marks: str = Field(default="0123456789一二三四五六七八九十百东南西北中", max_length=200)
    # Of so many that share one key (a hotline, the code of a chain) an import compares names; the same name is found anyway.
    most_shops: int = Field(default=200, ge=1, le=10_000)
    remarks: tuple[str, ...] = names.REMARKS
    other_names: tuple[str, ...] = names.OTHER_NAMES
    # Domains of everybody, which say nothing about the company.
    public_domains: frozenset[str] = frozenset(
        {"qq.com", "163.com", "126.com", "sina.com", "sina.cn", "139.com", "189.cn", "foxmail.com", "yeah.net",
         "sohu.com", "gmail.com", "outlook.com", "hotmail.com", "yahoo.com", "icloud.com", "live.com"}
    )  # fmt: skip

    @cached_property
    def lexicon(self) -> names.Lexicon:
        return names.Lexicon(
            self.legal_forms,
            tuple(self.provinces.items()),
            self.places,
            self.telling,
            self.departments,
            tuple(self.short_forms.items()),
            self.branches,
            self.shops,
            self.remarks,
            self.other_names,
        )


def phone(text: str, prefix: str = "+86") -> str:
    """E.164 as far as it can be told, without an extension; empty for what is no number."""
    written = _EXTENSION.split(unicodedata.normalize("NFKC", text).strip(), maxsplit=1)[0]
    digits = "" if _AMOUNT.search(written) else _NOT_DIGITS.sub("", written)
    digits = digits[:1] + digits[1:].replace("+", "")
    if digits.startswith("00"):
        digits = "+" + digits[2:]
    if len(digits.lstrip("+")) < 5:
        return ""
    if prefix == "+86" and len(digits) == 13 and digits.startswith("861"):
        digits = "+" + digits
    whole = digits if digits.startswith("+") else prefix + digits.removeprefix("0")
    return "" if len(whole) > _MOST_DIGITS + 1 or whole.startswith("+00") else whole


def company_phone(text: str, rules: MatchingRules) -> str:
    """A number that tells who it is; empty for none and for what stands where none is known."""
    number = phone(text, rules.country_prefix)
    return "" if _like(number, rules.placeholder_phones, rules) else number


def own_phone(text: str, rules: MatchingRules) -> str:
    """A number that tells a person."""
    number = company_phone(text, rules)
    return "" if _like(number, rules.hotline_phones, rules) else number


def _like(number: str, patterns: Iterable[str], rules: MatchingRules) -> bool:
    """Of numbers of the country alone: others are counted otherwise."""
    own = number.removeprefix(rules.country_prefix)
    return own != number and any(fnmatchcase(own, like) for like in patterns)


def check_ways(profile: Mapping[str, Any], rules: MatchingRules, known: Mapping[str, Any] | None = None) -> None:
    """Raises InvalidArgument PHONE_UNREADABLE, MAIL_UNREADABLE, UNKNOWN_TIME_ZONE for what nobody can be reached by; what
    stands in `known` is not asked of again."""
    old = known or {}
    for name, reason in (
        ("phone", "PHONE"),
        ("phones", "PHONE"),
        ("email_address", "MAIL"),
        ("email_addresses", "MAIL"),
    ):
        written, before = ([kept] if isinstance(kept := of.get(name, []), str) else kept for of in (profile, old))
        for text in written:
            readable = phone(text, rules.country_prefix) if reason == "PHONE" else mail(text)
            if text and not readable and text not in before:
                what = "phone number" if reason == "PHONE" else "mail address"
                raise errors.InvalidArgument(
                    f"{reason}_UNREADABLE", f"{text!r} is no {what}", {f"profile.{name}": f"no {what}"}
                )
    zone = profile.get("time_zone", "")
    if zone and zone != old.get("time_zone", ""):
        try:
            ZoneInfo(zone)
        except (KeyError, ValueError, OSError) as error:
            raise errors.InvalidArgument(
                "UNKNOWN_TIME_ZONE", f"{zone!r} is no IANA time zone", {"profile.time_zone": "unknown"}
            ) from error


def mail(text: str) -> str:
    address = unicodedata.normalize("NFKC", text).strip().lower()
    return address if "@" in address.strip("@") else ""


def domain(text: str) -> str:
    host = re.sub(r"^[a-z]+://", "", text.strip().lower()).split("/", 1)[0].split(":", 1)[0]
    return host.removeprefix("www.").strip(".")


def company(text: str, rules: MatchingRules) -> str:
    """The name in one spelling: brand and trade, "@" and the places it names, if any."""
    return names.parse(text, rules.lexicon).canonical


def credit_code_fits(code: str) -> bool:
    """Whether the last of the 18 characters of a unified social credit code checks the others (GB 32100-2015)."""
    if len(code) != 18 or any(character not in _CREDIT_ALPHABET for character in code):
        return False
    total = sum(_CREDIT_ALPHABET.index(character) * pow(3, place, 31) for place, character in enumerate(code[:17]))
    return _CREDIT_ALPHABET[-total % 31] == code[17]


def company_names(profile: Mapping[str, Any], rules: MatchingRules) -> tuple[names.CompanyName, ...]:
    """As an account is called and registered, each once, the first its own."""
    return tuple(dict.fromkeys((*own_names(profile, rules), *registered_names(profile, rules))))


def own_names(profile: Mapping[str, Any], rules: MatchingRules) -> tuple[names.CompanyName, ...]:
    """What it is called itself, the first its own name."""
    return _parsed((profile.get("name", ""), *profile.get("aliases", ())), rules)


def registered_names(profile: Mapping[str, Any], rules: MatchingRules) -> tuple[names.CompanyName, ...]:
    """Of the legal person, where that is another name: several shops may have it."""
    own = {name.canonical for name in own_names(profile, rules)}
    return tuple(name for name in _parsed((profile.get("legal_name", ""),), rules) if name.canonical not in own)


def _parsed(written: Iterable[str], rules: MatchingRules) -> tuple[names.CompanyName, ...]:
    parsed = (names.parse(text, rules.lexicon) for text in dict.fromkeys(written) if text)
    return tuple(dict.fromkeys(name for name in parsed if name.core))


def account_blocks(profile: Mapping[str, Any], rules: MatchingRules) -> list[str]:
    """What accounts that may be one share, however they are spelt: the sound of the name, its beginning, its end, and
    its first two characters in a place. Keys of the kind "like"; they find candidates and prove nothing."""
    found = {block for name in company_names(profile, rules) for block in _blocks_of(name)}
    return sorted(f"like:{block}" for block in found)


def _blocks_of(name: names.CompanyName) -> Iterator[str]:
    said = names.sounds(names.skeleton(name.core))
    yield "".join(said)
    yield names.said(name.core)
    yield "<" + "".join(said[:3])
    yield ">" + "".join(said[-3:])
    for place in name.places:
        yield "".join(said[:2]) + "@" + place


def account_keys(profile: Mapping[str, Any], rules: MatchingRules) -> list[str]:
    found = {
        "credit": [profile.get("credit_code", "")],
        "name": [name.canonical for name in company_names(profile, rules)],
        "domain": [host for host in map(domain, profile.get("domains", ())) if host not in rules.public_domains],
        "phone": [company_phone(number, rules) for number in profile.get("phones", ())],
    }
    return _keys(found, rules.account_keys)


def contact_keys(profile: Mapping[str, Any], rules: MatchingRules) -> list[str]:
    found = {
        "phone": [own_phone(number, rules) for number in profile.get("phones", ())],
        "mail": [mail(address) for address in profile.get("email_addresses", ())],
        "wechat": [profile.get("wechat_id", "").lower()],
    }
    return _keys(found, rules.contact_keys)


def lead_keys(profile: Mapping[str, Any], rules: MatchingRules) -> list[str]:
    """What makes two inquiries one lead: a way to answer that they share."""
    found = {
        "phone": [own_phone(profile.get("phone", ""), rules)],
        "mail": [mail(profile.get("email_address", ""))],
        "wechat": [profile.get("wechat_id", "").lower()],
    }
    return _keys(found, rules.contact_keys)


def _keys(found: Mapping[str, Iterable[str]], kinds: Iterable[str]) -> list[str]:
    return sorted({f"{kind}:{value}" for kind in kinds for value in found.get(kind, ()) if value})
