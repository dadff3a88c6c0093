"""Many rows in one statement: a JSON array that PostgreSQL unpacks by the table's own types.

`INSERT INTO t (…) SELECT … FROM jsonb_populate_recordset(NULL::t, %(rows)s)`
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from typing import Any

from psycopg.types.json import Jsonb


def pack(items: Iterable[Any]) -> Jsonb:
    """Dataclasses with slots, or dicts; None becomes NULL."""
    return Jsonb([_row(item) for item in items])


def _row(item: Any) -> dict[str, Any]:
    if isinstance(item, dict):
        return {name: _plain(value) for name, value in item.items()}
    return {name: _plain(getattr(item, name)) for name in item.__slots__}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime | date):
        return value.isoformat()
    return f"{value.total_seconds()} seconds" if isinstance(value, timedelta) else value
