"""What the file of deals says of itself before a row is sent: how many, since when, how much in which stage."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

from closedloop_cli import shapes
from closedloop_cli.loading.ledger import RowRefused
from closedloop_cli.loading.rows import Row


@dataclass(slots=True)
class StageTotal:
    """`value` is what the deals are worth together, in the currency of the import."""

    count: int = 0
    value: Decimal = Decimal(0)
    accountless: int = 0

    def add(self, value: Decimal, has_account: bool) -> None:
        self.count += 1
        self.value += value
        self.accountless += not has_account


@dataclass(slots=True)
class Survey:
    """By stage of the pipeline; a stage nobody declared stands under its own name."""

    rows: int = 0
    since: date | None = None
    stages: dict[str, StageTotal] = field(default_factory=dict)

    def total(self, stage: str) -> StageTotal:
        return self.stages.setdefault(stage, StageTotal())


def survey(rows: Iterable[Row]) -> Survey:
    found = Survey()
    for row in rows:
        found.rows += 1
        name = row.text("stage")
        stage = row.mapping.stages.get(name)
        value = shapes.parse_decimal(row.text("value")) or Decimal(0)
        found.total(stage.stage if stage else name).add(value, bool(row.text("account")))
        for word in ("engaged", "closed"):
            try:
                day = row.day(word)
            except RowRefused:
                continue
            if day is not None and (found.since is None or day < found.since):
                found.since = day
    return found
