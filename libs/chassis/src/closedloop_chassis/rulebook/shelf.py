"""All rulebooks of a service, in memory as they are in force, in SQL as they were and will be."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from psycopg.types.json import Jsonb
from pydantic import ValidationError

from closedloop_chassis import errors
from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_chassis.rulebook.rules import Rules

Model = TypeVar("Model", bound=Rules)

ALL = "SELECT name, version, effective_at, body, author_id, reason, created_at FROM rulebook ORDER BY name, effective_at, version"
LATEST = "SELECT coalesce(max(version), 0) FROM rulebook WHERE name = %(name)s"
# Serialises publishers of one rulebook; the row lock of memory_revision would serialise all of them.
LOCK = "SELECT pg_advisory_xact_lock(hashtext('rulebook'), hashtext(%(name)s))"
ADD = """
INSERT INTO rulebook (name, version, effective_at, body, author_id, reason, created_at)
VALUES (%(name)s, %(version)s, %(effective_at)s, %(body)s, %(author_id)s, %(reason)s, %(created_at)s)
"""
MOVED = "UPDATE memory_revision SET value = value + 1 WHERE name = 'rulebook'"


@dataclass(frozen=True, slots=True)
class Edition:
    """One version of one rulebook as it was published. Version 0 is the default in the code."""

    name: str
    version: int
    effective_at: datetime | None
    body: dict[str, Any]
    author_id: str = ""
    reason: str = ""
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class _InForce:
    """The editions of one rulebook by the moment from which they hold; a later version beats an earlier one."""

    moments: list[datetime]
    editions: list[Edition]
    models: list[Rules]


class Shelf:
    """Reads are from memory and take no time; `reload` runs at start and when another process published."""

    def __init__(self, models: Iterable[type[Rules]]) -> None:
        self.models: dict[str, type[Rules]] = {model.rulebook: model for model in models}
        self._defaults: dict[str, Rules] = {name: model() for name, model in self.models.items()}
        self._in_force: dict[str, _InForce] = {}
        self._history: dict[str, list[Edition]] = {}
        # Counts reloads; and the moments at which any rulebook changes by itself.
        self.revision = 0
        self._moments: list[datetime] = []

    def changed_between(self, earlier: datetime, later: datetime) -> bool:
        """Whether an edition takes effect after `earlier` and by `later`."""
        return bisect_right(self._moments, earlier) != bisect_right(self._moments, later)

    def in_force(self, model: type[Model], at: datetime) -> Model:
        rules = self._defaults[model.rulebook]
        held = self._in_force.get(model.rulebook)
        if held is not None:
            position = bisect_right(held.moments, at)
            rules = held.models[position - 1] if position else rules
        assert isinstance(rules, model)
        return rules

    def version(self, model: type[Rules], at: datetime) -> int:
        """The version in force, for explanations; 0 is the built-in default."""
        held = self._in_force.get(model.rulebook)
        position = bisect_right(held.moments, at) if held else 0
        # Every explanation asks, by the hundred thousand; the body would be copied each time.
        return held.editions[position - 1].version if held and position else 0

    def edition(self, name: str, at: datetime) -> Edition:
        """Raises NotFound for a name this service does not have."""
        model = self._model(name)
        held = self._in_force.get(name)
        position = bisect_right(held.moments, at) if held else 0
        if held is None or position == 0:
            return Edition(name, 0, None, model().model_dump(mode="json"))
        return held.editions[position - 1]

    def history(self, name: str) -> list[Edition]:
        self._model(name)
        return self._history.get(name, [])

    def check(self, name: str, body: dict[str, Any]) -> Rules:
        """The body as its model. Raises InvalidArgument with a violation for every field that is wrong."""
        try:
            return self._model(name).model_validate(body)
        except ValidationError as error:
            violations = {
                "body." + ".".join(str(part) for part in problem["loc"]): problem["msg"] for problem in error.errors()
            }
            raise errors.InvalidArgument("RULEBOOK_INVALID", f"{name} would not be valid", violations) from error

    async def publish(self, tx: Transaction, edition: Edition) -> Edition:
        """Queues the next version. Raises Aborted when `edition.version` is not the latest one it was made from."""
        tx.do(LOCK, {"name": edition.name})
        latest = await tx.value(LATEST, {"name": edition.name})
        if latest != edition.version:
            raise errors.Aborted(
                "RULEBOOK_CHANGED",
                f"{edition.name} is at version {latest} by now; look at it and repeat",
                version=latest,
            )
        published = Edition(
            edition.name,
            latest + 1,
            edition.effective_at,
            self.check(edition.name, edition.body).model_dump(mode="json"),
            edition.author_id,
            edition.reason,
            edition.created_at,
        )
        row = {field: getattr(published, field) for field in Edition.__slots__}
        tx.do(ADD, {**row, "body": Jsonb(published.body)})
        tx.do(MOVED)
        return published

    async def reload(self, reader: Reader) -> None:
        history: dict[str, list[Edition]] = defaultdict(list)
        for edition in await reader.all(ALL, into=Edition):
            if edition.name in self.models:
                history[edition.name].append(edition)
        self._in_force = {name: self._held(name, editions) for name, editions in history.items()}
        self._history = {name: sorted(editions, key=lambda e: e.version) for name, editions in history.items()}
        self._moments = sorted(moment for held in self._in_force.values() for moment in held.moments)
        self.revision += 1

    def _held(self, name: str, editions: list[Edition]) -> _InForce:
        # An edition that takes effect before an earlier-numbered one replaces it from its own moment on.
        newest_first = sorted(editions, key=lambda e: e.version, reverse=True)
        kept: list[Edition] = []
        for edition in newest_first:
            if not kept or edition.effective_at < min(e.effective_at for e in kept):  # type: ignore[operator, type-var]
                kept.append(edition)
        kept.reverse()
        return _InForce(
            [edition.effective_at for edition in kept if edition.effective_at],
            kept,
            [self.models[name].model_validate(edition.body) for edition in kept],
        )

    def _model(self, name: str) -> type[Rules]:
        if name not in self.models:
            raise errors.NotFound(
                "RULEBOOK_UNKNOWN", f"this service has no rulebook {name}; it has {', '.join(sorted(self.models))}"
            )
        return self.models[name]
