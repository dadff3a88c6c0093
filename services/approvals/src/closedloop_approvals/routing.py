"""Between a matter as it is told and the route it takes: facts, rates, neighbours, delegations gathered in one read."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Protocol

from google.protobuf import json_format
from google.type.money_pb2 import Money

from closedloop.approvals.v1 import policies_pb2
from closedloop.common.v1.common_pb2 import RuleReference
from closedloop_approvals import standing_in
from closedloop_approvals.policies import rules as policies
from closedloop_approvals.policies.rulebook import ApprovalPolicyRules
from closedloop_approvals.policies.rules import Facts, Neighbour, Plan
from closedloop_approvals.standing_in import StandIn
from closedloop_chassis import errors, protos
from closedloop_chassis.rulebook.rules import ClockSetting
from closedloop_chassis.work import Work

# Rejected and recalled matters count for nothing, and a subject does not count beside itself. Which customer it is for may
# be left open, but gains nothing: what names none counts with all of its owner, and all of its owner with it. The family
# is asked for once (a subquery), not for every row of the owner.
SURROUNDINGS = f"""
SELECT (SELECT coalesce(jsonb_agg(jsonb_build_object('id', id, 'base_minor', base_minor,
                                                     'submitted_at', coalesce(submitted_at, opened_at),
                                                     'owner_id', owner_id, 'unit_id', unit_id,
                                                     'people', participants || submitter_id || opened_by)
                                  ORDER BY coalesce(submitted_at, opened_at), id), '[]')
          FROM approval_request
         WHERE (account_id = ANY((SELECT account_family(%(account_id)s::uuid))::uuid[])
                OR (owner_id = %(owner_id)s AND (%(account_id)s::uuid IS NULL OR account_id IS NULL)))
           AND kind = %(kind)s AND coalesce(submitted_at, opened_at) > %(since)s
           AND base_minor IS NOT NULL AND state IN ('pending', 'returned', 'approved')
           AND (origin, subject_id) <> (%(origin)s, %(subject_id)s))
       AS neighbours,
       (SELECT rate FROM exchange_rate WHERE base_currency = %(currency)s AND quote_currency = %(base_currency)s
           AND start_date <= %(day)s ORDER BY start_date DESC LIMIT 1) AS rate,
       (SELECT rate FROM exchange_rate WHERE base_currency = %(base_currency)s AND quote_currency = %(currency)s
           AND start_date <= %(day)s ORDER BY start_date DESC LIMIT 1) AS inverse,
       ({standing_in.IN_FORCE}) AS stand_ins
"""


# Whether a matter of that owner and unit, to which these people are party, counts.
Counts = Callable[[str, str, Collection[str]], bool]


class Read(Protocol):
    """`tx.one` of a mutation or `db.one` of a read."""

    async def __call__(self, sql: str, params: Mapping[str, Any], /) -> dict[str, Any] | None: ...


@dataclass(frozen=True, slots=True)
class Matter:
    """What is to be signed and who is party to it. `subject_id` may be empty where nothing is submitted yet."""

    kind: str
    origin: str
    subject_id: str
    facts: policies_pb2.Facts
    submitter_id: str
    owner_id: str
    unit_id: str
    parties: Collection[str] = ()

    @property
    def amount(self) -> tuple[int | None, str]:
        """Minor units and currency; None where no amount was told. Raises InvalidArgument for what is no money."""
        if not self.facts.HasField("amount"):
            return None, ""
        return protos.minor_units(self.facts.amount, "facts.amount"), self.facts.amount.currency_code


@dataclass(frozen=True, slots=True)
class Routed:
    """A plan, the amount in the base currency by which it was made, and who stands in for whom at that moment; `partial`
    where a neighbour was left out."""

    plan: Plan
    base_minor: int | None
    base_currency: str
    version: int
    stand_ins: list[StandIn]
    partial: bool

    def references(self) -> list[RuleReference]:
        return [self.reference(reference.policy) for reference in self.plan.references]

    def reference(self, policy: str) -> RuleReference:
        explanation = next((r.explanation for r in self.plan.references if r.policy == policy), "")
        return RuleReference(
            rulebook=ApprovalPolicyRules.rulebook,
            version=self.version,
            rule=f"policies.{policy}",
            explanation=explanation[:2000],
        )


async def route(
    matter: Matter,
    rules: ApprovalPolicyRules,
    version: int,
    work: Work,
    read: Read,
    at: datetime,
    counts: Counts | None = None,
) -> Routed:
    """With all matters of the customer, or those that count. Raises what `policies.plan` raises, and FailedPrecondition
    RATE_UNKNOWN. One round trip."""
    amount, currency = matter.amount
    found = await read(
        SURROUNDINGS,
        {
            "account_id": matter.facts.account_id or None,
            "owner_id": matter.owner_id,
            "kind": matter.kind,
            "since": at - rules.window(matter.kind),
            "origin": matter.origin,
            "subject_id": matter.subject_id,
            "currency": currency,
            "base_currency": rules.base_currency,
            # A rate holds from a day of the company, not of Greenwich.
            "day": work.home.day(at),
            "now": at,
        },
    )
    assert found is not None
    base_minor = None if amount is None else _converted(amount, currency, rules.base_currency, found)
    neighbours = [
        Neighbour(
            row["id"], _units(row["base_minor"], rules.base_currency), datetime.fromisoformat(row["submitted_at"])
        )
        for row in found["neighbours"]
        if counts is None or counts(row["owner_id"], row["unit_id"], row["people"])
    ]
    facts = facts_of(matter, None if base_minor is None else _units(base_minor, rules.base_currency))

    def due(decision: ClockSetting) -> datetime:
        return work.calendars.due(decision, at, matter.unit_id)

    plan = policies.plan(facts, rules, work.org, neighbours, at, due, matter.parties)
    partial = len(neighbours) < len(found["neighbours"])
    return Routed(plan, base_minor, rules.base_currency, version, standing_in.parse(found["stand_ins"]), partial)


def facts_of(matter: Matter, amount: float | None) -> Facts:
    """As the policies look at them; `amount` in units of their currency."""
    told = matter.facts
    return Facts(
        kind=matter.kind,
        origin=matter.origin,
        submitter_id=matter.submitter_id,
        owner_id=matter.owner_id,
        unit_id=matter.unit_id,
        amount=amount,
        currency=told.amount.currency_code,
        discount_ratio=told.discount_ratio if told.HasField("discount_ratio") else None,
        margin_ratio=told.margin_ratio if told.HasField("margin_ratio") else None,
        payment_days=told.payment_days if told.HasField("payment_days") else None,
        account_id=told.account_id,
        account_grade=told.account_grade,
        industry=told.industry,
        region=told.region,
        product_ids=tuple(told.product_ids),
        major_project=told.major_project,
        custom=dict(told.custom_fields),
    )


def facts_dict(facts: policies_pb2.Facts) -> dict[str, Any]:
    """As jsonb keeps them. Raises InvalidArgument for numbers that are none (NaN in custom fields)."""
    try:
        return json_format.MessageToDict(facts, preserving_proto_field_name=True)
    except (json_format.SerializeToJsonError, ValueError) as error:
        raise errors.InvalidArgument("FACTS_INVALID", "the facts cannot be kept", {"facts": str(error)}) from error


def _converted(minor: int, currency: str, base: str, found: dict[str, Any]) -> int:
    if currency == base:
        return minor
    rate: Decimal | None = found["rate"] or (1 / found["inverse"] if found["inverse"] else None)
    if rate is None:
        raise errors.FailedPrecondition(
            "RATE_UNKNOWN",
            f"no exchange rate from {currency} to {base} is known; publish it in targets",
            currency=currency,
        )
    return round(Decimal(minor) / scale(currency) * rate * scale(base))


def _units(minor: int, currency: str) -> float:
    return minor / scale(currency)


def scale(currency: str) -> int:
    """Minor units in one unit of the currency."""
    return protos.minor_units(Money(currency_code=currency, units=1))
