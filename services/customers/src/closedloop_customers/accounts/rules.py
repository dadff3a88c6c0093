"""What an account is, and what may become of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, ClassVar

from pydantic import Field

from closedloop_chassis import errors
from closedloop_chassis.rulebook.rules import Rules


class AccountRules(Rules):
    """The life of an account."""

    rulebook: ClassVar[str] = "customers.accounts"

    # Who bought within so many days is a customer, who bought before is a former one.
    customer_days: int = Field(default=730, ge=1, le=36500)
    # Fields whose change or confirmation counts as verification of the record (S31, S34).
    key_fields: frozenset[str] = frozenset(
        {
            "name",
            "legal_name",
            "credit_code",
            "phones",
            "industry",
            "customer_type",
            "region_code",
            "address",
            "product_lines",
        }
    )


@dataclass(frozen=True, slots=True)
class Account:
    """`profile` as in profiles.py; empty `owner_id`: in the pool of the unit; the first provenance is the one that
    made it."""

    id: str
    profile: dict[str, Any]
    status: str
    owner_id: str
    unit_id: str
    participant_ids: list[str]
    grade: str
    quality_light: str
    high_potential: bool
    provenances: list[dict[str, Any]]
    last_interaction_at: datetime | None
    last_verify_at: datetime
    merged_into_id: str | None
    created_at: datetime
    updated_at: datetime
    version: int

    @property
    def search(self) -> str:
        return search_text(self.profile)


def search_text(profile: Mapping[str, Any]) -> str:
    single = (profile.get(name, "") for name in ("name", "legal_name", "credit_code"))
    return " ".join([*single, *profile.get("aliases", ()), *profile.get("domains", ())]).lower()


def status_by_deals(last_won: date | None, today: date, rules: AccountRules) -> str:
    if last_won is None:
        return "prospect"
    return "customer" if today - last_won <= timedelta(days=rules.customer_days) else "former"


def requested_status(present: str, wanted: str, by_business: str) -> str:
    """The status after a person asks for `wanted`: retired, or back to what business says.

    Raises FailedPrecondition STATUS_FOLLOWS_BUSINESS for any other wish."""
    if wanted == "retired":
        return "retired"
    if present == "retired" and wanted in ("prospect", "customer", "former"):
        return by_business
    if wanted == present:
        return present
    raise errors.FailedPrecondition(
        "STATUS_FOLLOWS_BUSINESS", f"an account is retired and taken back by hand; it becomes {wanted} through business"
    )


def hung(account_id: str, wishes: Iterable[str], parents: Mapping[str, str]) -> str:
    """The first of these parents below which the account closes no circle; "" where there is none."""
    return next((parent for parent in wishes if parent and not in_cycle(account_id, parent, parents)), "")


def in_cycle(account_id: str, parent_id: str, parents: Mapping[str, str]) -> bool:
    """Whether hanging the account below `parent_id` would close a circle; `parents` maps child to parent."""
    seen: set[str] = set()
    while parent_id and parent_id not in seen:
        if parent_id == account_id:
            return True
        seen.add(parent_id)
        parent_id = parents.get(parent_id, "")
    return False
