"""How tables hang together: which column names the rows of its table, and which columns point there."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from rapidfuzz import fuzz, process

from closedloop_integrations.diagnoses.rules import DiagnosisRules
from closedloop_integrations.diagnoses.tables import Column, Table, normal

# Looking for what a value may have meant is the one thing that costs values times keys.
MOST_STRAYS = 500


@dataclass(slots=True)
class Reference:
    """`column` of `table` points to the key of `target`; strays are its values that are no key as they stand."""

    table: Table
    column: Column
    target: Table
    key: Column
    found: float
    # Value → the key it is, but for case, spaces and punctuation.
    aliases: dict[str, str] = field(default_factory=dict)
    # Value → the key it is most like.
    misspelled: dict[str, str] = field(default_factory=dict)
    dangling: list[str] = field(default_factory=list)

    @property
    def own(self) -> bool:
        """Within one table, such as a parent company: optional by nature."""
        return self.table is self.target


def understand(tables: Sequence[Table], rules: DiagnosisRules) -> list[Reference]:
    """Also sets what each table is about, and its key."""
    for table in tables:
        table.key = next((column for column in table.columns if column.is_key), None)
        table.record_type = (rules.vocabulary.of(table.key.name) if table.key else "") or "unknown"
    return [found for table in tables for column in table.columns if (found := _points(table, column, tables, rules))]


def _points(table: Table, column: Column, tables: Sequence[Table], rules: DiagnosisRules) -> Reference | None:
    if column is table.key or column.type in ("empty", "date"):
        return None
    candidates: list[tuple[float, float, int, Table, Column]] = []
    for target in tables:
        key = target.key
        if key is None or (key.type == "number") != (column.type == "number"):
            continue
        if key.type == "number" and not _same_thing(column, key, target):
            continue
        known, normals = key.counts, key.normals
        hits = sum(count for value, count in column.counts.items() if value in known or normal(value) in normals)
        if (found := hits / column.filled) >= rules.reference_found:
            likeness = fuzz.ratio(column.name.casefold(), key.name.casefold())
            candidates.append((found, likeness, -len(candidates), target, key))
    if not candidates:
        return None
    _, _, _, target, key = max(candidates, key=lambda each: each[:3])
    exact = sum(count for value, count in column.counts.items() if value in key.counts) / column.filled
    reference = Reference(table, column, target, key, exact)
    _strays(reference, rules)
    return reference


def _strays(reference: Reference, rules: DiagnosisRules) -> None:
    key = reference.key
    by_normal = key.normals
    choices = list(key.counts)
    strays = [value for value, _ in reference.column.counts.most_common() if value not in key.counts]
    for place, value in enumerate(strays):
        if (meant := by_normal.get(normal(value))) is not None:
            reference.aliases[value] = meant
        elif place < MOST_STRAYS and (like := most_like(value, choices, rules)):
            reference.misspelled[value] = like
        else:
            reference.dangling.append(value)


def most_like(value: str, choices: Sequence[str], rules: DiagnosisRules) -> str:
    """Empty where none is alike enough. Values that differ in their digits are different things."""
    found = process.extractOne(value, choices, scorer=fuzz.ratio, score_cutoff=rules.likeness * 100)
    if found is None or re.findall(r"\d+", value) != re.findall(r"\d+", found[0]):
        return ""
    return str(found[0])


def unused(references: Sequence[Reference]) -> Iterator[tuple[Table, Column, list[str], list[Reference]]]:
    """Keys nothing points to, of tables something points to."""
    targets: dict[int, list[Reference]] = {}
    for reference in references:
        if not reference.own:
            targets.setdefault(id(reference.target), []).append(reference)
    for pointing in targets.values():
        target, key = pointing[0].target, pointing[0].key
        used = {
            meant
            for each in pointing
            for value in each.column.counts
            if (meant := each.aliases.get(value) or each.misspelled.get(value) or value) in key.counts
        }
        if idle := [value for value in key.counts if value not in used]:
            yield target, key, idle, pointing


def _same_thing(column: Column, key: Column, target: Table) -> bool:
    """Numbers are everywhere; those of a reference stand under a title that says whose they are."""
    title, stem = normal(column.name), normal(target.name.partition(".")[0]).removesuffix("s")
    return normal(key.name) in title or (len(stem) > 2 and stem in title)
