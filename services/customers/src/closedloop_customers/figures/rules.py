"""What accounts, contacts and leads must say, and whose the figures of customers are (S79, S80)."""

from __future__ import annotations

from typing import ClassVar, Literal, get_args

from closedloop_chassis.figures.rules import FigureRules, Name, Owner

ObligatoryField = Literal[
    "account.industry",
    "account.region_code",
    "account.owner_id",
    "account.credit_code",
    "account.grade",
    "contact.reachable",
    "contact.job_title",
    "contact.current",
    "lead.reachable",
    "lead.industry",
    "lead.region_code",
    "lead.close_reason",
    "interaction.summary",
    "interaction.person_id",
    "interaction.customer",
]


class CustomerFigureRules(FigureRules):
    rulebook: ClassVar[str] = "customers.figures"

    # Marketing's word is whether leads convert; how records are kept is operations'.
    owners: dict[Name, Owner] = {
        name: Owner(role="manager")
        for name in ("customers.first_response", "customers.answered_in_time", "customers.response_alarms")
    } | {"customers.lead_conversion": Owner(role="executive")}
    obligatory: tuple[ObligatoryField, ...] = get_args(ObligatoryField)
