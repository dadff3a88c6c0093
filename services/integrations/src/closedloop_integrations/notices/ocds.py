"""Open Contracting Data Standard, version 1.1: release and record packages become notices, a release at a time.

A release tells of a stage (planning, tender, award, contract) of a process (`ocid`); later releases of the same stage say
it anew. Of a record the compiled release is read, else its releases. Nothing is fetched: a release that is only linked to
is set aside. Remarks: `AMOUNT_UNREADABLE`. Reasons: `NOT_A_RELEASE`, `RELEASE_LINKED`, `BUYER_MISSING`, `TITLE_MISSING`,
`TIME_UNREADABLE`, `STAGE_UNKNOWN`, `FIELD_TOO_LONG`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from closedloop_chassis.currency import coins
from closedloop_integrations import spreadsheets
from closedloop_integrations.procurement.mending import printed

MAX_MINOR = 10**16
LONGEST_BODY, MOST_ITEMS, MOST_SUPPLIERS = 100_000, 1000, 100
# Stage and kind by tag, the last stage first.
TAGS: dict[str, tuple[str, str]] = {
    "contractTermination": ("contract", "cancellation"),
    "contractAmendment": ("contract", "contract"),
    "contractUpdate": ("contract", "contract"),
    "contract": ("contract", "contract"),
    "awardCancellation": ("award", "cancellation"),
    "awardUpdate": ("award", "award"),
    "award": ("award", "award"),
    "tenderCancellation": ("tender", "cancellation"),
    "tenderAmendment": ("tender", "amendment"),
    "tenderUpdate": ("tender", "amendment"),
    "tender": ("tender", "tender"),
    "planningUpdate": ("planning", "intention"),
    "planning": ("planning", "intention"),
}
STAGES = ("contract", "award", "tender", "planning")


class UnreadableError(Exception):
    """Its text is the reason, and a sentence behind a colon."""


@dataclass(frozen=True, slots=True)
class Stage:
    """What a release says of one stage, as `rules.complete` takes it; `moment` decides which of two is newer."""

    said: dict[str, Any]
    moment: datetime


def releases(text: str) -> list[Any]:
    """The releases of a package, as they stand in it. Raises InvalidArgument FILE_NOT_RECOGNISED."""
    try:
        package = json.loads(text, parse_float=Decimal)
    except (ValueError, RecursionError) as error:
        raise spreadsheets.unknown("no JSON that could be read") from error
    if isinstance(package, dict) and isinstance(package.get("releases"), list):
        return list(package["releases"])
    if isinstance(package, dict) and isinstance(package.get("records"), list):
        return [release for record in package["records"] for release in _of_record(record)]
    if isinstance(package, dict) and "ocid" in package:
        return [package]
    raise spreadsheets.unknown("neither a release package nor a record package of OCDS")


def raw(release: Any) -> str:
    return _whole(json.dumps(release, ensure_ascii=False, default=float))


def stages(release: Any, source: str, url: str = "") -> list[Stage]:
    """Raises UnreadableError."""
    if not isinstance(release, dict):
        raise UnreadableError("NOT_A_RELEASE: no object")
    if "url" in release and "tag" not in release and "tender" not in release:
        raise UnreadableError("RELEASE_LINKED: it stands at another address, which nobody fetches")
    ocid, moment = _text(release.get("ocid")), _moment(release.get("date"))
    if not ocid or len(ocid) > 200:
        raise UnreadableError("NOT_A_RELEASE: no ocid")
    if moment is None:
        raise UnreadableError("TIME_UNREADABLE: no date of the release")
    buyer = _buyer(release)
    if not buyer:
        raise UnreadableError("BUYER_MISSING: neither buyer nor procuring entity")
    if len(buyer) > 200:
        raise UnreadableError("FIELD_TOO_LONG: buyer")
    found = [
        Stage(_said(release, stage, kind, ocid, buyer, moment, source, url), moment) for stage, kind in _told(release)
    ]
    if not found:
        raise UnreadableError("STAGE_UNKNOWN: it tells of no planning, tender, award or contract")
    return found


def _of_record(record: Any) -> Iterator[Any]:
    if not isinstance(record, dict):
        yield record
    elif isinstance(record.get("compiledRelease"), dict):
        yield {"tag": ["compiled"], **record["compiledRelease"]}
    else:
        inner = record.get("releases")
        yield from inner if isinstance(inner, list) and inner else [record]


def _told(release: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Stages with the kind of notice each is; a compiled release tells of all it holds."""
    tags = release.get("tag")
    named = [tag for tag in TAGS if isinstance(tags, list) and tag in tags]
    if named:
        seen: set[str] = set()
        for stage, kind in (TAGS[tag] for tag in named):
            if stage not in seen and _has(release, stage):
                seen.add(stage)
                yield stage, kind
        return
    usual = {"contract": "contract", "award": "award", "tender": "tender", "planning": "intention"}
    for stage in STAGES:
        if _has(release, stage):
            cancelled = _text(_of(release, stage).get("status")) in ("cancelled", "unsuccessful", "withdrawn")
            yield stage, "cancellation" if cancelled else usual[stage]


def _has(release: Mapping[str, Any], stage: str) -> bool:
    return bool(_of(release, stage))


def _of(release: Mapping[str, Any], stage: str) -> dict[str, Any]:
    """The stage's own object; of several awards or contracts the first."""
    if stage in ("award", "contract"):
        listed = _objects(release.get(f"{stage}s"))
        return listed[0] if listed else {}
    return _object(release.get(stage))


def _said(
    release: Mapping[str, Any], stage: str, kind: str, ocid: str, buyer: str, moment: datetime, source: str, url: str
) -> dict[str, Any]:
    tender, planning, own = _object(release.get("tender")), _object(release.get("planning")), _of(release, stage)
    budget = _object(planning.get("budget"))
    title = next(
        filter(
            None,
            map(
                _text,
                (
                    own.get("title"),
                    tender.get("title"),
                    planning.get("project"),
                    budget.get("project"),
                    budget.get("description"),
                    tender.get("description"),
                ),
            ),
        ),
        "",
    )
    if not title:
        raise UnreadableError("TITLE_MISSING: neither tender nor award has a title")
    if len(title) > 1000:
        raise UnreadableError("FIELD_TOO_LONG: title")
    several = _objects(release.get(f"{stage}s")) if stage in ("award", "contract") else [own]
    value = budget.get("amount") if stage == "planning" else None
    amounts = [value] if value else [each.get("value") for each in several if each.get("value")]
    amount, currency = _amount(amounts)
    entities = [entity for each in several for entity in _objects(each.get("suppliers"))]
    items = [item for each in several for item in _objects(each.get("items"))] or _objects(tender.get("items"))
    period = _object(tender.get("tenderPeriod"))
    lines = [_text(own.get("description")), _text(tender.get("description")), _text(planning.get("rationale"))]
    lines += [_text(item.get("description")) for item in items[:MOST_ITEMS]]
    page = next((_text(each.get("url")) for each in _objects(own.get("documents")) if each.get("url")), url)
    return {
        "source": source,
        "source_id": f"{ocid}/{stage}",
        "kind": kind,
        "title": title,
        "buyer": buyer,
        "agency": "",
        "region": _region(release),
        "items": [],
        "amount_minor": amount,
        "currency": currency,
        "publish_date": moment.date(),
        "expected_date": "",
        "deadline_at": _moment(period.get("endDate")) if stage == "tender" else None,
        "url": page if len(page) <= 2000 else "",
        "body": "\n".join(dict.fromkeys(filter(None, lines)))[:LONGEST_BODY],
        "suppliers": list(dict.fromkeys(n for e in entities if 0 < len(n := _text(e.get("name"))) <= 200))[
            :MOST_SUPPLIERS
        ],
        "sectors": [],
        "mended": ["AMOUNT_UNREADABLE"] if amounts and amount is None else [],
        "project_key": f"ocds:{ocid}"[:200],
    }


def _buyer(release: Mapping[str, Any]) -> str:
    if name := _text(_object(release.get("buyer")).get("name")):
        return name
    parties = _objects(release.get("parties"))
    for role in ("buyer", "procuringEntity"):
        for party in parties:
            roles = party.get("roles")
            if isinstance(roles, list) and role in roles and (name := _text(party.get("name"))):
                return name
    return _text(_object(_object(release.get("tender")).get("procuringEntity")).get("name"))


def _region(release: Mapping[str, Any]) -> str:
    for party in _objects(release.get("parties")):
        roles = party.get("roles")
        if isinstance(roles, list) and "buyer" in roles:
            address = _object(party.get("address"))
            return (_text(address.get("region")) or _text(address.get("locality")))[:100]
    return ""


def _amount(values: list[Any]) -> tuple[int | None, str]:
    """The sum in minor units, where all are in one currency; (None, "") where nobody can tell."""
    total, currencies = Decimal(0), set()
    for value in values:
        amount, currency = _object(value).get("amount"), _text(_object(value).get("currency"))
        if (
            isinstance(amount, bool)
            or not isinstance(amount, int | Decimal)
            or len(currency) != 3
            or not currency.isalpha()
        ):
            return None, ""
        # Also because a number of a million digits can be neither added nor multiplied.
        if not 0 <= amount <= MAX_MINOR:
            return None, ""
        total += Decimal(amount)
        currencies.add(currency.upper())
    if len(currencies) != 1:
        return None, ""
    minor = total * coins(currency := currencies.pop())
    if minor > MAX_MINOR or minor != minor.to_integral_value():
        return None, ""
    return int(minor), currency


def _moment(given: Any) -> datetime | None:
    try:
        moment = datetime.fromisoformat(_text(given))
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _text(given: Any) -> str:
    return printed(_whole(given)) if isinstance(given, str) else ""


def _whole(text: str) -> str:
    """JSON can escape half a character and NUL, which no database takes."""
    return text.replace("\0", " ").encode("utf-8", "replace").decode()


def _object(given: Any) -> dict[str, Any]:
    return given if isinstance(given, dict) else {}


def _objects(given: Any) -> list[dict[str, Any]]:
    return [each for each in given if isinstance(each, dict)] if isinstance(given, list) else []
