"""The chapters in the order they are played."""

from __future__ import annotations

from closedloop_devstack.demo.chapters import (
    company_loaded,
    contact_moved_on,
    deal_won,
    evidence,
    invoice_arrives,
    leads_answered,
    loop_closed,
    quote_escalates,
    target_closed,
    tender_found,
)
from closedloop_devstack.demo.tale import Chapter

CHAPTERS: tuple[Chapter, ...] = (
    company_loaded.CHAPTER,
    target_closed.CHAPTER,
    leads_answered.CHAPTER,
    evidence.CHAPTER,
    quote_escalates.CHAPTER,
    deal_won.CHAPTER,
    tender_found.CHAPTER,
    invoice_arrives.CHAPTER,
    contact_moved_on.CHAPTER,
    loop_closed.CHAPTER,
)
