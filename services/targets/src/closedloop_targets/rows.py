"""Records as rows for `jsonb_populate_recordset`, by which thousands of them travel in one statement."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date
from decimal import Decimal
from typing import Any

Text = (date, Decimal)


def columns(record: Any, leave_out: Collection[str] = ()) -> dict[str, Any]:
    """The fields of a dataclass with slots; dates and decimals as text, nested values as they are."""
    found = {}
    for name in type(record).__slots__:
        if name not in leave_out:
            value = getattr(record, name)
            found[name] = str(value) if isinstance(value, Text) else value
    return found
