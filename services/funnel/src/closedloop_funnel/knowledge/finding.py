"""The search as other slices ask it too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_chassis.work import Work
from closedloop_funnel.knowledge import rules, store
from closedloop_funnel.knowledge.rules import KnowledgeRules
from closedloop_funnel.knowledge.store import Hit

FIRST = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Words, and where one stands; `stage` as "<pipeline>/<stage>"."""

    query: str = ""
    customer_type: str = ""
    industry: str = ""
    stage: str = ""
    kinds: tuple[str, ...] = ()

    @property
    def says_something(self) -> bool:
        return bool(rules.terms(self.query) or self.customer_type or self.industry or self.stage)


async def find(
    db: Reader | Transaction, work: Work, asked: Asked, after: float = 1e300, after_id: str = FIRST, limit: int = 10
) -> list[Hit]:
    """Best first."""
    ranked_by = work.rules(KnowledgeRules)
    params: dict[str, Any] = {
        "terms": [rules.quoted(term) for term in dict.fromkeys(rules.terms(asked.query))],
        # D, C, B, A.
        "weights": [ranked_by.body, ranked_by.body, ranked_by.summary, ranked_by.title],
        "common": ranked_by.common,
        "most_terms": ranked_by.most_terms,
        "customer_type": asked.customer_type,
        "customer_type_fits": ranked_by.customer_type_fits,
        "industry": asked.industry,
        "industry_fits": ranked_by.industry_fits,
        "stage": asked.stage,
        "stage_fits": ranked_by.stage_fits,
        "misfit": ranked_by.misfit,
        "kinds": list(asked.kinds) or None,
        "today": work.home.today(),
        "after": after,
        "after_id": after_id,
        "limit": limit,
    }
    return await store.search(db, params)
