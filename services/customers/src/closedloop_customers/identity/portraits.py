"""What a record is recognised by, out of its profile."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from closedloop_customers import identifiers, names, shops
from closedloop_customers.identifiers import MatchingRules
from closedloop_customers.identity.rules import Portrait, RecordType

# Where an address begins to say what its name says already.
_ADDRESS = 60


def portrait(
    kind: RecordType, id: str, profile: Mapping[str, Any], rules: MatchingRules, account_id: str | None = None
) -> Portrait:
    if kind == "account":
        return _account(id, profile, rules)
    return _person(kind, id, profile, rules, account_id)


def _account(id: str, profile: Mapping[str, Any], rules: MatchingRules) -> Portrait:
    hosts = (identifiers.domain(text) for text in profile.get("domains", ()))
    return Portrait(
        id,
        identifiers.company_names(profile, rules),
        {
            "credit_code": _some([profile.get("credit_code", "")]),
            "registration": _some([_plain(profile.get("foreign_registration", ""))]),
            "domain": _some(host for host in hosts if host not in rules.public_domains),
            "phone": _some(identifiers.company_phone(number, rules) for number in profile.get("phones", ())),
            "region": _some([profile.get("region_code", "")[:2]]),
            "address": _some([_plain(profile.get("address", ""))[:_ADDRESS]]),
        },
        frozenset(names.places(profile.get("address", ""), rules.lexicon)),
        shops.called(profile, rules),
    )


def _person(
    kind: RecordType, id: str, profile: Mapping[str, Any], rules: MatchingRules, account_id: str | None
) -> Portrait:
    if kind == "contact":
        name, numbers, addresses = (
            profile.get("name", ""),
            profile.get("phones", ()),
            profile.get("email_addresses", ()),
        )
    else:
        name = profile.get("contact_name", "")
        numbers, addresses = [profile.get("phone", "")], [profile.get("email_address", "")]
    return Portrait(
        id,
        _names([profile.get("company_name", "")], rules),
        {
            "person": _some([_plain(name)]),
            "phone": _own_phones(numbers, rules),
            "email_address": _some(identifiers.mail(address) for address in addresses),
            "wechat_id": _some([profile.get("wechat_id", "").lower()]),
            "account": _some([account_id or ""]),
        },
    )


def _names(written: Iterable[str], rules: MatchingRules) -> tuple[names.CompanyName, ...]:
    parsed = (names.parse(text, rules.lexicon) for text in dict.fromkeys(written) if text)
    return tuple(dict.fromkeys(name for name in parsed if name.core))


def _own_phones(numbers: Iterable[str], rules: MatchingRules) -> frozenset[str]:
    return _some(identifiers.own_phone(number, rules) for number in numbers)


def _plain(text: str) -> str:
    return "".join(character for character in names.simplified(text) if character.isalnum())


def _some(values: Iterable[str]) -> frozenset[str]:
    return frozenset(value for value in values if value)
