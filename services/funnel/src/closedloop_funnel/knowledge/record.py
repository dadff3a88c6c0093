"""An article as it is kept."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One row of `article` without its text: what a list shows."""

    id: str
    version: int = 1
    kind: str
    state: str
    title: str
    summary: str = ""
    customer_types: list[str] = field(default_factory=list)
    industries: list[str] = field(default_factory=list)
    stage_keys: list[str] = field(default_factory=list)
    product_ids: list[str] = field(default_factory=list)
    length_ms: int | None = None
    ability_keys: list[str] = field(default_factory=list)
    applied_hearing_keys: list[str] = field(default_factory=list)
    attachment_ids: list[str] = field(default_factory=list)
    language_code: str = ""
    author_id: str
    unit_id: str
    provenance: dict[str, Any] = field(default_factory=dict)
    import_digest: str = ""
    valid_until: date | None = None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Article(Listed):
    """One row of `article`; its words are made when it is written."""

    body: str
