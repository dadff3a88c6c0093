"""The closing account of an import, for people and for programs."""

from __future__ import annotations

from typing import Any

from closedloop_cli.loading.crm import Totals
from closedloop_cli.loading.ledger import Ledger, Tally
from closedloop_cli.loading.survey import StageTotal
from closedloop_cli.screen import Column, Screen


def show(screen: Screen, ledger: Ledger, totals: Totals | None, dry_run: bool) -> None:
    if screen.as_json:
        screen.document(document(ledger, totals, dry_run))
        return
    words = screen.words
    screen.table(_tally_columns(screen), ledger.tallies.items(), title=words("closing_dry" if dry_run else "closing"))
    if ledger.columns or ledger.ignored:
        understood = [*ledger.columns.items(), *((column, "") for column in ledger.ignored)]
        screen.table(
            _COLUMNS, [(*one, ledger.ignored[one[0]]) for one in understood], title=words("columns_understood")
        )
        if ledger.ignored:
            screen.say("columns_ignored", columns=", ".join(ledger.ignored))
    if ledger.mends:
        rows = sorted((field, written, became, count) for (field, written, became), count in ledger.mends.items())
        screen.table(_MENDS, rows, title=words("mended"))
    if totals is not None:
        stages = dict.fromkeys([*totals.file, *(totals.platform or {})])
        columns = _FILE if totals.platform is None else _FILE + _PLATFORM
        rows_of_totals = [(stage, totals.file.get(stage), (totals.platform or {}).get(stage)) for stage in stages]
        screen.table(columns, rows_of_totals, title=words("totals", currency=totals.currency))
        accountless = sum(total.accountless for total in (totals.platform or totals.file).values())
        if accountless:
            screen.say("accountless_kept", count=f"{accountless:,}")
        if totals.platform is not None:
            screen.say("totals_equal" if totals.equal else "totals_differ")
    if ledger.rejections:
        screen.table(
            _REJECTIONS,
            ledger.rejections,
            title=words("rejections", count=ledger.rejected, shown=len(ledger.rejections)),
        )
        screen.say("errors_in" if ledger.errors else "errors_option", file=ledger.errors or "")


def document(ledger: Ledger, totals: Totals | None, dry_run: bool) -> dict[str, Any]:
    """{"dryRun", "kinds": {kind: figures}, "addsUp", "mended", "rejections", "totals", "totalsEqual"}; sums as text."""
    return {
        "dryRun": dry_run,
        "kinds": {kind: tally.figures() for kind, tally in ledger.tallies.items()},
        "addsUp": ledger.adds_up,
        "mended": [
            {"field": field, "written": written, "became": became, "count": count}
            for (field, written, became), count in sorted(ledger.mends.items())
        ],
        "rejections": [
            {"file": one.file, "row": one.row, "column": one.column, "reason": one.reason, "message": one.message}
            for one in ledger.rejections
        ],
        **(
            {"columns": {"understood": ledger.columns, "ignored": dict(ledger.ignored)}}
            if ledger.columns or ledger.ignored
            else {}
        ),
        **({} if totals is None else _totals(totals)),
    }


def _totals(totals: Totals) -> dict[str, Any]:
    told = {"file": totals.file, "platform": totals.platform}
    return {
        "currency": totals.currency,
        "totals": {
            side: {
                stage: {"count": one.count, "value": str(one.value), "withoutAccount": one.accountless}
                for stage, one in stages.items()
            }
            for side, stages in told.items()
            if stages is not None
        },
        "totalsEqual": totals.equal if totals.platform is not None else None,
    }


def _tally_columns(screen: Screen) -> list[Column]:
    def figure(name: str) -> Column:
        return Column(name, lambda row: f"{getattr(row[1], name):,}", right=True)

    figures = ("read", "loaded", "created", "updated", "unchanged", "rejected")
    return [Column("records", lambda row: screen.words(row[0])), *map(figure, figures), Column("adds_up", _adds_up)]


def _adds_up(row: tuple[str, Tally]) -> str:
    return "✓" if row[1].adds_up else "✗"


def _count(total: StageTotal | None) -> str:
    return f"{total.count:,}" if total else "–"


def _value(total: StageTotal | None) -> str:
    return f"{total.value:,.0f}" if total else "–"


_COLUMNS = [
    Column("column", lambda row: row[0]),
    Column("field", lambda row: row[1] or "–"),
    Column("ignored", lambda row: f"{row[2]:,}" if row[2] else "", right=True),
]
_MENDS = [
    Column("field", lambda row: row[0]),
    Column("written", lambda row: row[1]),
    Column("became", lambda row: row[2]),
    Column("times", lambda row: f"{row[3]:,}", right=True),
]
_FILE = [
    Column("stage", lambda row: row[0]),
    Column("file_count", lambda row: _count(row[1]), right=True),
    Column("file_sum", lambda row: _value(row[1]), right=True),
]
_PLATFORM = [
    Column("platform_count", lambda row: _count(row[2]), right=True),
    Column("platform_sum", lambda row: _value(row[2]), right=True),
    Column("equal", lambda row: "✓" if row[1] == row[2] else "✗"),
]
_REJECTIONS = [
    Column("file", lambda one: one.file),
    Column("line", lambda one: str(one.row), right=True),
    Column("column", lambda one: one.column),
    Column("reason", lambda one: one.reason),
    Column("message", lambda one: one.message),
]
