"""What a contract must be before it is submitted, signed, archived (S40, S64, S66)."""

from __future__ import annotations

from datetime import date
from typing import Any, ClassVar

from pydantic import Field

from closedloop_chassis import errors
from closedloop_chassis.rulebook.rules import Rules
from closedloop_funnel.clearance import rules as clearance
from closedloop_funnel.contracts.record import Contract, Seen
from closedloop_funnel.pipelines.stages import PipelineRule


class ContractRules(Rules):
    """`major_project_minor`: from this amount on (in the company's currency) several departments sign (S64)."""

    rulebook: ClassVar[str] = "funnel.contracts"

    number_format: str = Field(default="C{year}-{sequence:06d}", max_length=100)
    major_project_minor: int = Field(default=100_000_000, ge=0)
    # Below this share of the approved quote's total a contract is not what was approved.
    least_of_quote: float = Field(default=1.0, ge=0, le=1)

    def model_post_init(self, context: object, /) -> None:
        clearance.check_number_format(self.number_format)


def content(contract: Contract) -> dict[str, Any]:
    """What a decision binds: everything both sides would sign, and who they are."""
    names = (
        "account_id",
        "number",
        "title",
        "quote_id",
        "amount_minor",
        "currency",
        "clauses",
        "effective_date",
        "end_date",
    )
    return {name: getattr(contract, name) for name in (*names, "attachment_ids", "custom_fields")}


def check_amount(rules: ContractRules, contract: Seen) -> None:
    """Raises FailedPrecondition AMOUNT_BELOW_QUOTE, InvalidArgument CURRENCY_MIXED. By the quote it stands on, else by the
    one that the customer was given last."""
    quote = contract.quote or contract.offered
    if quote is None:
        return
    if quote["currency"] != contract.currency:
        raise errors.InvalidArgument(
            "CURRENCY_MIXED", f"the quote is in {quote['currency']}", {"amount.currency_code": contract.currency}
        )
    if contract.amount_minor < quote["total_minor"] * rules.least_of_quote:
        raise errors.FailedPrecondition("AMOUNT_BELOW_QUOTE", "it is less than the quote that was approved")


def check_quoted(quote_id: str | None, pipeline: PipelineRule) -> None:
    """Without its quote nobody is told of discount, margin and products. Raises FailedPrecondition QUOTE_REQUIRED."""
    if not quote_id and pipeline.asks_for("quote"):
        raise errors.FailedPrecondition("QUOTE_REQUIRED", f"in {pipeline.name} a contract stands on an approved quote")


def check_signable(contract: Seen, signed: date, today: date) -> None:
    """Raises CONTRACT_NOT_APPROVED, CONTENT_CHANGED_SINCE_DECISION, OPPORTUNITY_CLOSED (FailedPrecondition),
    DATE_IN_FUTURE."""
    if contract.state != "approved":
        raise errors.FailedPrecondition("CONTRACT_NOT_APPROVED", f"it is {contract.state}; nothing is signed undecided")
    same_customer = contract.asked_for_id == contract.deal["account_id"]
    if not same_customer or not clearance.stands(contract, content(contract)):
        raise errors.FailedPrecondition(
            "CONTENT_CHANGED_SINCE_DECISION", "what was decided is not what stands here; submit it again"
        )
    if contract.deal["state"] == "lost":
        raise errors.FailedPrecondition("OPPORTUNITY_CLOSED", "the opportunity was lost; reopen it first")
    if signed > today:
        raise errors.InvalidArgument("DATE_IN_FUTURE", f"{signed} has not come yet", {"sign_date": "in the future"})


def check_dates(effective: date | None, ends: date | None) -> None:
    """Raises InvalidArgument DATES_REVERSED."""
    if effective and ends and ends < effective:
        raise errors.InvalidArgument(
            "DATES_REVERSED", "it would end before it begins", {"end_date": "before effective_date"}
        )


def is_major(rules: ContractRules, contract: Seen, company_currency: str) -> bool:
    """In foreign currency by the deal's own rate; where none is known, the bare figure decides."""
    worth = contract.amount_minor
    amount, reporting = contract.deal["amount_minor"], contract.deal["reporting_minor"]
    if contract.currency != company_currency and amount and reporting is not None:
        worth = round(worth * reporting / amount)
    return worth >= rules.major_project_minor
