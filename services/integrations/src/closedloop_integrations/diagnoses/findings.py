"""What is wrong with the tables, counted, each with a sentence and what to do about it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from closedloop_integrations.diagnoses.references import Reference, most_like, unused
from closedloop_integrations.diagnoses.rules import DiagnosisRules
from closedloop_integrations.diagnoses.spelling import Speller
from closedloop_integrations.diagnoses.tables import Column, Table, normal

# Two words with a capital each, every value of the column: people, whom no dictionary knows.
_PERSON = re.compile(r"(?:[^\W\d_a-z][\w'’.-]* ?){2,4}")
FEW_PAIRS = 20


@dataclass(frozen=True, slots=True)
class Finding:
    kind: str
    table: str
    field: str
    count: int
    examined: int
    text: str
    suggestion: str
    examples: Sequence[str] = ()


def all_of(
    tables: Sequence[Table], references: Sequence[Reference], speller: Speller, rules: DiagnosisRules
) -> list[Finding]:
    """Worst first: by what they cost, then by how many rows."""
    pointing = {id(reference.column) for reference in references}
    found = [finding for reference in references for finding in _of_reference(reference)]
    found += _idle(references)
    for table in tables:
        plain = [column for column in table.columns if id(column) not in pointing and column is not table.key]
        ends = _explained(table, plain, rules)
        found += _broken(table)
        found += _impossible(table)
        found += _missing(table, plain, ends, rules)
        found += _stale(table, ends, rules)
        found += _orders(table, rules)
        found += _duplicates(table)
        for column in plain:
            found += _codes(table, column, speller, rules)
    return sorted(found, key=lambda each: (-cost(each, rules), -each.count, each.table, each.field))


def cost(finding: Finding, rules: DiagnosisRules) -> float:
    """Points of a hundred."""
    return rules.costs.get(finding.kind, 0.0) * (finding.count / finding.examined if finding.examined else 0.0)


def score(found: Sequence[Finding], rules: DiagnosisRules) -> float:
    """100 less what each kind costs at its worst column: one fault that shows in five columns is one fault."""
    worst: dict[tuple[str, str], float] = {}
    for each in found:
        key = (each.kind, each.table)
        worst[key] = max(worst.get(key, 0.0), cost(each, rules))
    return max(100.0 - sum(worst.values()), 0.0)


def _of_reference(reference: Reference) -> Iterator[Finding]:
    table, column, target = reference.table, reference.column, reference.target
    blank = table.rows - column.filled
    where = f"{target.name} by {reference.key.name}"
    if blank and not reference.own:
        yield Finding(
            "missing_reference",
            table.name,
            column.name,
            blank,
            table.rows,
            f"{blank:,} of {table.rows:,} rows have no {column.name}, which names a row of {where}.",
            f"Ask whose they are, and make {column.name} obligatory.",
            _names(table, (not value for value in column.values)),
        )
    for kind, strays, sentence, advice in (
        ("alias", reference.aliases, "another spelling of", "Keep the spelling as an alias, or write it as there."),
        ("misspelling", reference.misspelled, "not there, but much like", "Look at each and correct it."),
    ):
        if strays:
            count = sum(column.counts[value] for value in strays)
            first, meant = next(iter(strays.items()))
            yield Finding(
                kind,
                table.name,
                column.name,
                count,
                column.filled,
                f'{count:,} rows say "{first}", {sentence} "{meant}" in {where}.'
                if len(strays) == 1
                else f'{count:,} rows name {len(strays):,} values that are {sentence} one in {where}: "{first}" for "{meant}"...',
                advice,
                [f"{value} → {strays[value]} ({column.counts[value]:,})" for value in strays],
            )
    if reference.dangling:
        count = sum(column.counts[value] for value in reference.dangling)
        yield Finding(
            "missing_reference",
            table.name,
            column.name,
            count,
            column.filled,
            f"{count:,} rows name {len(reference.dangling):,} values that are not in {where}.",
            f"Add them to {target.name}, or correct them.",
            list(reference.dangling),
        )


def _broken(table: Table) -> Iterator[Finding]:
    """Rows as they stand in the file: what a reader that believes every quote and every heading would lose of them."""
    if table.swallowed:
        count, first = sum(each.rows for each in table.swallowed), table.swallowed[0]
        yield Finding(
            "broken_row",
            table.name,
            "",
            count,
            table.rows,
            f"{count:,} rows would be swallowed by an open quote at line {first.line:,}"
            + (f" and {len(table.swallowed) - 1:,} more" if len(table.swallowed) > 1 else "")
            + "; it was read as a character, and the rows are counted here.",
            "Close the quote, or double it if it belongs to the text.",
            [f"line {each.line}: {each.text}" for each in table.swallowed],
        )
    if table.beyond:
        yield Finding(
            "broken_row",
            table.name,
            "",
            len(table.beyond),
            table.rows,
            f"{len(table.beyond):,} rows have more cells than the {len(table.columns):,} headings; what is beyond is not read.",
            "Put what contains a delimiter into quotes, or give the column a heading.",
            [f"line {line}" for line in table.beyond],
        )


def _impossible(table: Table) -> Iterator[Finding]:
    for column in table.columns:
        if column.impossible:
            count = sum(column.counts[value] for value in column.impossible)
            yield Finding(
                "impossible_date",
                table.name,
                column.name,
                count,
                column.filled,
                f"{count:,} rows have a {column.name} that no calendar has; the others are days.",
                "Look at each; ask whoever wrote it.",
                [f"{value} ({column.counts[value]:,})" for value in column.impossible],
            )


def _idle(references: Sequence[Reference]) -> Iterator[Finding]:
    for target, key, idle, pointing in unused(references):
        used_by = ", ".join(sorted({f"{each.table.name}.{each.column.name}" for each in pointing}))
        person = target.record_type == "people"
        yield Finding(
            "idle_owner" if person else "idle_record",
            target.name,
            key.name,
            len(idle),
            len(key.counts),
            f"{len(idle):,} of {len(key.counts):,} {'people own nothing' if person else 'records are used by nothing'}"
            f": they do not occur in {used_by}.",
            "Take them off the list, or give them work." if person else "Find out whether they are still needed.",
            idle,
        )


def _explained(table: Table, columns: Sequence[Column], rules: DiagnosisRules) -> dict[str, tuple[Column, list[str]]]:
    """Columns whose blanks are a state of the row: by which other column, and at which of its values."""
    codes = [
        column
        for column in table.columns
        if column.type == "code" and column.filled == table.rows and len(column.counts) <= rules.most_states_values
    ][: rules.most_states]
    found: dict[str, tuple[Column, list[str]]] = {}
    for column in columns:
        if not 0 < column.filled < table.rows:
            continue
        for state in codes:
            if state is column:
                continue
            blanks = Counter(s for s, value in zip(state.values, column.values, strict=True) if not value)
            share = {value: blanks[value] / count for value, count in state.counts.items()}
            empty = [value for value, part in share.items() if part >= rules.filled_enough]
            whole = [value for value, part in share.items() if part <= 1 - rules.filled_enough]
            if empty and whole and len(empty) + len(whole) == len(share):
                found[column.name] = (state, empty)
                break
    return found


def _missing(
    table: Table, columns: Sequence[Column], ends: Mapping[str, tuple[Column, list[str]]], rules: DiagnosisRules
) -> Iterator[Finding]:
    for column in columns:
        blank = table.rows - column.filled
        if not blank:
            continue
        sentence = f"{blank:,} of {table.rows:,} rows have no {column.name}"
        advice = f"Fill {column.name} in, or drop the column."
        if column.name in ends:
            state, values = ends[column.name]
            sentence += f": all whose {state.name} is {' or '.join(values)}"
            advice = f"Open rows need an expected {column.name}; ask for it when a row is {' or '.join(values)}."
        yield Finding(
            "missing_field",
            table.name,
            column.name,
            blank,
            table.rows,
            f"{sentence}.",
            advice,
            _names(table, (not value for value in column.values)),
        )


def _stale(table: Table, ends: Mapping[str, tuple[Column, list[str]]], rules: DiagnosisRules) -> Iterator[Finding]:
    """Begun long before the newest day of the table, and not ended."""
    dated = [column for column in table.columns if column.type == "date"]
    newest = max((day for column in dated for day in column.days if day), default=None)
    for end in dated:
        begins = [column for column in dated if column is not end and column.filled > end.filled]
        if end.name not in ends or newest is None or not begins:
            continue
        begin = begins[0]
        before = newest - timedelta(days=rules.stale_days)
        open_rows = [day for day, value in zip(begin.days, end.values, strict=True) if day and not value]
        old = [
            day is not None and day < before and not value for day, value in zip(begin.days, end.values, strict=True)
        ]
        if count := sum(old):
            yield Finding(
                "stale",
                table.name,
                begin.name,
                count,
                len(open_rows),
                f"{count:,} of {len(open_rows):,} open rows began over {rules.stale_days} days before {newest}, the newest day.",
                "Close them, or say what happens next.",
                _names(table, old),
            )


def _orders(table: Table, rules: DiagnosisRules) -> Iterator[Finding]:
    dated = [column for column in table.columns if column.type == "date"][: rules.most_days]
    for place, first in enumerate(dated):
        for second in dated[place + 1 :]:
            pairs = [(a, b) for a, b in zip(first.days, second.days, strict=True) if a and b]
            if len(pairs) < FEW_PAIRS:
                continue
            early, late = (first, second) if _kept(pairs) >= 0.5 else (second, first)
            broken = [bool(a and b and a > b) for a, b in zip(early.days, late.days, strict=True)]
            if 0 < sum(broken) <= (1 - rules.order_kept) * len(pairs):
                yield Finding(
                    "deviation",
                    table.name,
                    late.name,
                    sum(broken),
                    len(pairs),
                    f"{sum(broken):,} rows have a {late.name} before their {early.name}; the others never do.",
                    "Look at each; one of the two days is wrong.",
                    _names(table, broken),
                )


def _kept(pairs: Sequence[tuple[date, date]]) -> float:
    return sum(a <= b for a, b in pairs) / len(pairs)


def _duplicates(table: Table) -> Iterator[Finding]:
    rows = Counter(zip(*(column.values for column in table.columns), strict=True)) if table.columns else Counter()
    if again := sum(count - 1 for count in rows.values()):
        text = f"{again:,} rows are copies of another."
        yield Finding("duplicate", table.name, "", again, table.rows, text, "Keep one of each.")
    if (key := table.key) is None:
        return
    alike: dict[str, list[str]] = {}
    for value in key.counts:
        alike.setdefault(normal(value) or value, []).append(value)
    several = [values for values in alike.values() if sum(key.counts[value] for value in values) > 1]
    count = sum(sum(key.counts[value] for value in values) - 1 for values in several)
    if count:
        yield Finding(
            "duplicate",
            table.name,
            key.name,
            count,
            table.rows,
            f"{count:,} rows have a {key.name} that another row has, but for case, spaces and punctuation.",
            "Merge them.",
            [" / ".join(values) for values in several],
        )


def _codes(table: Table, column: Column, speller: Speller, rules: DiagnosisRules) -> Iterator[Finding]:
    if column.type != "code":
        return
    ordered = [value for value, _ in column.counts.most_common()]
    aliases, misspelled = {}, {}
    for place, value in enumerate(ordered):
        usual = ordered[:place]
        same = next((other for other in usual if normal(other) == normal(value)), "")
        if same:
            aliases[value] = same
        elif like := most_like(
            value, [other for other in usual if column.counts[other] >= 5 * column.counts[value]], rules
        ):
            misspelled[value] = like
    if not all(_PERSON.fullmatch(value) for value in column.counts):
        for value in ordered:
            if value not in aliases and value not in misspelled and (meant := speller.meant(value)):
                misspelled[value] = meant
    for kind, found, advice in (
        ("alias", aliases, "Agree on one spelling."),
        ("misspelling", misspelled, "Correct the list the value is chosen from, and the rows."),
    ):
        if found:
            count = sum(column.counts[value] for value in found)
            first, meant = next(iter(found.items()))
            yield Finding(
                kind,
                table.name,
                column.name,
                count,
                column.filled,
                f'{count:,} rows say "{first}", which seems to mean "{meant}".'
                if len(found) == 1
                else f'{count:,} rows say one of {len(found):,} values that seem to mean another: "{first}" for "{meant}"...',
                advice,
                [f"{value} → {found[value]} ({column.counts[value]:,})" for value in found],
            )


def _names(table: Table, hit: object) -> list[str]:
    """The first rows it concerns, by their key or else by number."""
    names = table.key.values if table.key else [f"row {at}" for at in range(2, table.rows + 2)]
    return [name for name, one in zip(names, hit, strict=True) if one]  # type: ignore[call-overload]
