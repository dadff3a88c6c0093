"""What documents, notices and messages must say, and whose the figures of integrations are (S79, S80)."""

from __future__ import annotations

from typing import ClassVar, Literal, get_args

from closedloop_chassis.figures.rules import FigureRules, Name, Owner

ObligatoryField = Literal[
    "transaction.account_id",
    "transaction.customer",
    "transaction.person_id",
    "transaction.unit_id",
    "transaction.product_ids",
    "transaction.channel",
    "notice.buyer",
    "notice.amount",
    "notice.region",
    "notice_match.account",
    "delivery.address",
    "delivery.owner_id",
]


class IntegrationFigureRules(FigureRules):
    rulebook: ClassVar[str] = "integrations.figures"

    # What the company earns is its head's to answer for; how messages and notices come and go is operations'.
    owner: Owner = Owner(role="executive")
    owners: dict[Name, Owner] = {
        name: Owner(role="operations")
        for name in (
            "integrations.notices_matched",
            "integrations.match_precision",
            "integrations.messages_delivered",
            "integrations.transaction",
            "integrations.notice",
            "integrations.notice_match",
            "integrations.delivery",
        )
    }
    obligatory: tuple[ObligatoryField, ...] = get_args(ObligatoryField)
