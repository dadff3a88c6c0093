"""Pages of targets that can be printed: the ranking, key customers, neighbours, deviation, packs, the month's health."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from closedloop.targets.v1 import (
    alarms_pb2,
    alarms_pb2_grpc,
    boards_pb2,
    boards_pb2_grpc,
    reviews_pb2,
    reviews_pb2_grpc,
)
from closedloop_chassis.ids import is_id, new_id
from closedloop_cli import printing, shapes
from closedloop_cli.failures import Refused, Usage
from closedloop_cli.printing import Figure, Page, Section, amounts
from closedloop_cli.screen import Column, bar, plain
from closedloop_cli.session import LARGEST_PAGE, Session, session

app = typer.Typer()

Unit = Annotated[str, typer.Option(help="this unit and everything below it")]
Period = Annotated[str, typer.Option(help='e.g. "2026-Q1"; the present quarter when absent')]
Metric = Annotated[str, typer.Option(help="won value when absent")]
Currency = Annotated[str, typer.Option(help="what money is shown in; the company's when absent")]
Live = Annotated[bool, typer.Option("--live", help="computed now instead of the last snapshot")]
Limit = Annotated[int, typer.Option(min=0, help="0: all")]
Out = Annotated[Path | None, typer.Option(help="a file that ends in .md or .xlsx instead of the screen")]


@app.command()
def ranking(
    ctx: typer.Context,
    unit: Unit = "",
    kind: Annotated[str, typer.Option(help="which level is ranked; teams when absent")] = "",
    period: Period = "",
    metric: Metric = "",
    currency: Currency = "",
    live: Live = False,
    limit: Limit = 50,
    out: Out = None,
) -> None:
    """Units ranked by completion: the week's snapshot, or live."""
    run = session(ctx)
    request = boards_pb2.ListTeamRankingRequest(
        unit_id=unit, kind=kind, period=period, metric=metric, currency_code=currency, view=view(live)
    )
    ranks = list(
        run.pages(run.stub("targets", boards_pb2_grpc.BoardServiceStub).ListTeamRanking, request, "ranks", limit)
    )
    records(run, run.words("page_ranking"), [*RANK, *PROGRESS], ranks, out)


@app.command()
def customers(
    ctx: typer.Context,
    unit: Unit = "",
    person: Annotated[str, typer.Option(help="whose customers")] = "",
    stale: Annotated[bool, typer.Option("--stale", help="only those without movement for too long")] = False,
    limit: Limit = 50,
    out: Out = None,
) -> None:
    """Key customers with the stage each is in, the stalest first."""
    run = session(ctx)
    request = boards_pb2.ListKeyCustomersRequest(unit_id=unit, person_id=person, stale_only=stale)
    method = run.stub("targets", boards_pb2_grpc.BoardServiceStub).ListKeyCustomers
    found = list(run.pages(method, request, "customers", limit))
    records(run, run.words("page_customers"), _CUSTOMER, found, out, "customers_empty")


@app.command()
def alignment(
    ctx: typer.Context,
    unit: Annotated[str, typer.Option(help="whose attainment; the company's when absent")] = "",
    period: Period = "",
    live: Live = False,
    out: Out = None,
) -> None:
    """Neighbouring departments beside the attainment they drive."""
    run = session(ctx)
    request = boards_pb2.ListAlignmentRequest(unit_id=unit, period=period, view=view(live))
    method = run.stub("targets", boards_pb2_grpc.BoardServiceStub).ListAlignment
    records(run, run.words("page_alignment"), _ALIGNMENT, list(run.pages(method, request, "lines")), out)


@app.command()
def deviation(
    ctx: typer.Context,
    before: Annotated[str, typer.Argument(help='a period, e.g. "2026-Q1"')],
    after: Annotated[str, typer.Argument(help="the one it is compared with")],
    unit: Annotated[str, typer.Option(help="this unit and everything below it; the company when absent")] = "",
    metric: Metric = "",
    out: Out = None,
) -> None:
    """Deviation and time to response before and after, so that one sees whether they shrank."""
    run = session(ctx)
    request = alarms_pb2.CompareDeviationRequest(before=before, after=after, unit_id=unit, metric=metric)
    found = _whole(run, run.stub("targets", alarms_pb2_grpc.AlarmServiceStub).CompareDeviation, request, "weeks")
    if run.screen.as_json:
        run.screen.document(plain(found))
        return
    sections = [
        Section(run.words("page_spans"), _SPAN, [found.before, found.after]),
        Section(run.words("page_weeks"), _SPAN[:4], list(found.weeks)),
    ]
    printing.show(Page(run.words("page_deviation"), [found.verdict], sections), run.screen, out)


@app.command()
def pack(
    ctx: typer.Context,
    which: Annotated[str, typer.Argument(help="id of a pack, or a unit: then its newest")],
    period: Annotated[str, typer.Option(help='the fortnight, e.g. "2026-F07"; the newest pack when absent')] = "",
    prepare: Annotated[bool, typer.Option("--prepare", help="make it now, or anew; needs --period")] = False,
    out: Out = None,
) -> None:
    """A supervisor's pack: deviations, causes, proposals, decisions, follow-up."""
    run = session(ctx)
    stub = run.stub("targets", reviews_pb2_grpc.ReviewServiceStub)
    if prepare:
        if not period:
            raise Usage("pack_needs_period")
        making = reviews_pb2.PreparePackRequest(request_id=new_id(), unit_id=which, period=period)
        pack_id = run.call(stub.PreparePack, making).id
    else:
        pack_id = _pack_id(run, which, period)
    asked = reviews_pb2.GetReviewPackRequest(pack_id=pack_id)
    found = _whole(run, stub.GetReviewPack, asked, "deviations")
    if run.screen.as_json:
        run.screen.document(plain(found))
        return
    printing.show(_pack_page(run, found), run.screen, out)


@app.command()
def health(
    ctx: typer.Context,
    month: Annotated[str, typer.Option(help='e.g. "2026-M03"; the last full one when absent')] = "",
    unit: Annotated[str, typer.Option(help="the company when absent")] = "",
    by: Annotated[str, typer.Option(help="unit, product_line, metric, level or person")] = "unit",
    limit: Limit = 50,
    out: Out = None,
) -> None:
    """The health of a month's targets: decomposed, done, explained."""
    run = session(ctx)
    request = reviews_pb2.GetHealthReportRequest(
        unit_id=unit,
        period=month,
        dimension=shapes.number(reviews_pb2.HealthDimension, by, "--by"),
    )
    stub = run.stub("targets", reviews_pb2_grpc.ReviewServiceStub)
    report = _whole(run, stub.GetHealthReport, request, "slices", limit)
    if run.screen.as_json:
        run.screen.document(plain(report))
        return
    printing.show(_health_page(run, report, by), run.screen, out)


def view(live: bool) -> boards_pb2.BoardView.ValueType:
    return boards_pb2.BOARD_VIEW_LIVE if live else boards_pb2.BOARD_VIEW_UNSPECIFIED


def records(
    run: Session, title: str, columns: list[Column], found: list[Any], out: Path | None, empty: str = "board_empty"
) -> None:
    """A board: JSON lines, a table, or a page."""
    if out is None:
        run.screen.records(columns, found, empty=empty)
    else:
        printing.show(Page(title, [], [Section(title, columns, found, empty)]), run.screen, out)


def _whole(run: Session, method: Any, request: Any, field: str, limit: int = 0) -> Any:
    """One answer with a list in it: all of that, or so many, whatever the pages it comes in."""
    request.page_size = min(limit or LARGEST_PAGE, LARGEST_PAGE)
    found = run.call(method, request)
    token, records = found.next_page_token, getattr(found, field)
    while token and (not limit or len(records) < limit):
        request.page_token = token
        more = run.call(method, request)
        records.extend(getattr(more, field))
        token = more.next_page_token
    if limit:
        del records[limit:]
    found.ClearField("next_page_token")
    return found


def _pack_id(run: Session, which: str, period: str) -> str:
    if is_id(which):
        return which
    stub = run.stub("targets", reviews_pb2_grpc.ReviewServiceStub)
    request = reviews_pb2.ListReviewPacksRequest(unit_id=which, period=period)
    own = (one for one in run.pages(stub.ListReviewPacks, request, "packs") if one.ownership.unit_id == which)
    found = next(own, None)
    if found is None:
        raise Refused("pack_none", unit=which)
    return str(found.id)


def _pack_page(run: Session, pack: reviews_pb2.ReviewPack) -> Page:
    words = run.words
    state = shapes.word(reviews_pb2.ReviewPackState, pack.state).replace("_", " ")
    lines = [
        words("pack_of", person=pack.ownership.owner_id, state=state, time=shapes.when(pack.prepare_time)),
        words("pack_alarms", count=len(pack.alarm_ids)),
        *([pack.minutes] if pack.minutes else []),
    ]
    sections = [
        Section(
            words("pack_progress"),
            [Column("metric", lambda row: row.metric), *_progress(lambda row: row)],
            pack.progress,
        ),
        Section(words("pack_deviations"), _DEVIATION, pack.deviations),
        Section(words("pack_proposals"), _PROPOSAL, pack.proposals),
        Section(words("pack_decisions"), _DECISION, pack.decisions),
        Section(words("pack_follow_ups"), _FOLLOW_UP, pack.follow_ups),
        Section(words("pack_previous"), _FOLLOW_UP, pack.previous_follow_ups),
    ]
    return Page(words("page_pack", unit=pack.ownership.unit_id, period=pack.period.code), lines, sections)


def _health_page(run: Session, report: reviews_pb2.HealthReport, by: str) -> Page:
    words = run.words
    total = [reviews_pb2.HealthSlice(key=report.period.code, figures=report.total)]
    if report.HasField("previous_month"):
        total.append(reviews_pb2.HealthSlice(key=words("before"), figures=report.previous_month))
    sections = [
        Section(words("health_total"), _HEALTH, total),
        Section(words("health_by", dimension=by), _HEALTH, report.slices),
        Section(words("health_causes"), _CAUSE, report.total.causes),
    ]
    return Page(
        words("page_health", unit=report.unit_id, period=report.period.code), list(report.suggestions), sections
    )


def _progress(of: Any) -> list[Column]:
    """Columns of a record's progress."""

    def ratio(row: Any) -> float | None:
        return of(row).completion_ratio if of(row).HasField("completion_ratio") else None

    return [
        amounts("done", lambda row: of(row).done),
        amounts("target", lambda row: of(row).target),
        Column("light", lambda row: shapes.light(of(row).light)),
        Column(
            "progress", lambda row: "" if ratio(row) is None else bar(ratio(row) or 0, shapes.colour(of(row).light))
        ),
        Figure("ratio", lambda row: _percent(ratio(row)), right=True, number=ratio),
    ]


def _percent(value: float | None) -> str:
    return "" if value is None else shapes.ratio(value)


def _optional(row: Any, field: str) -> float | None:
    return getattr(row, field) if row.HasField(field) else None


def _holder(row: Any) -> str:
    return str(row.deviation.holder.unit_id or row.deviation.holder.person_id)


def _cause(value: int) -> str:
    return shapes.word(alarms_pb2.Cause, value).replace("_", " ")


PROGRESS = _progress(lambda row: row.progress)
PERSON = [
    Column("person", lambda row: row.name or row.person_id),
    Column("id", lambda row: row.person_id),
    Column("unit", lambda row: row.unit_id),
]
RANK = [
    Figure("rank", lambda row: str(row.rank), right=True, number=lambda row: row.rank, pattern="0"),
    Column("before", lambda row: str(row.previous_rank or ""), right=True),
    Column("unit", lambda row: row.name or row.unit_id),
    Column("id", lambda row: row.unit_id),
    Figure("heads", lambda row: str(row.head_count), right=True, number=lambda row: row.head_count, pattern="0"),
]
_CUSTOMER = [
    Column("account", lambda row: row.name or row.account_id),
    Column("grade", lambda row: row.grade),
    Column("owner", lambda row: row.ownership.owner_id),
    Column("stage", lambda row: row.stage),
    amounts("amount", lambda row: row.open_amount),
    Figure(
        "days_still", lambda row: str(row.days_without_movement), right=True,
        number=lambda row: row.days_without_movement, pattern="0",
    ),
    Column("stale", lambda row: "!" if row.stale else ""),
]  # fmt: skip
_ALIGNMENT = [
    Column("metric", lambda row: row.metric),
    Column("department", lambda row: row.department_id),
    amounts("value", lambda row: row.value),
    amounts("target", lambda row: row.target),
    Column("light", lambda row: shapes.light(row.light)),
    Figure(
        "attainment", lambda row: _percent(_optional(row, "attainment_ratio")), right=True,
        number=lambda row: _optional(row, "attainment_ratio"),
    ),
    Column("tie", lambda row: row.association.verdict),
]  # fmt: skip
_SPAN = [
    Column("period", lambda row: row.period.code),
    Figure("widest", lambda row: shapes.ratio(row.widest_ratio), right=True, number=lambda row: row.widest_ratio),
    Figure(
        "mean",
        lambda row: shapes.ratio(row.mean_absolute_ratio),
        right=True,
        number=lambda row: row.mean_absolute_ratio,
    ),
    Figure("sample", lambda row: str(row.sample_size), right=True, number=lambda row: row.sample_size, pattern="0"),
    Column("response", lambda row: shapes.hours(row.mean_response), right=True),
    Column("not_acted", lambda row: str(row.unanswered_count), right=True),
]
_DEVIATION = [
    Column("holder", _holder),
    Column("metric", lambda row: row.deviation.metric),
    amounts("done", lambda row: row.deviation.actual),
    amounts("expected", lambda row: row.deviation.forecast),
    Column("light", lambda row: shapes.light(row.deviation.light)),
    Figure(
        "difference", lambda row: f"{row.deviation.deviation_ratio:+.1%}", right=True,
        number=lambda row: row.deviation.deviation_ratio,
    ),
    Column("likeliest", lambda row: row.causes[0].explanation if row.causes else ""),
    Column("confirmed", lambda row: _cause(row.confirmed_cause)),
    Column("comment", lambda row: row.comment),
]  # fmt: skip
_PROPOSAL = [
    Column("kind", lambda row: shapes.word(reviews_pb2.ProposalKind, row.kind)),
    Column("proposal", lambda row: row.text),
    Column("effect", lambda row: row.expected_effect),
    Column("by", lambda row: row.author_id),
]
_DECISION = [
    Column("decided", lambda row: row.text),
    Column("by", lambda row: row.author_id),
    Column("time", lambda row: shapes.when(row.time)),
]
_FOLLOW_UP = [
    Column("title", lambda row: row.title),
    Column("person", lambda row: row.assignee_id),
    Column("due_time", lambda row: shapes.day(row.due_date)),
    Column("state", lambda row: row.task_state),
]
_HEALTH = [
    Column("slice", lambda row: row.key),
    Figure(
        "decomposed", lambda row: shapes.ratio(row.figures.decomposed_ratio) if row.figures.targets_held else "",
        right=True, number=lambda row: row.figures.decomposed_ratio if row.figures.targets_held else None,
    ),
    Column("leaking", lambda row: f"{row.figures.leaking_nodes} ({row.figures.excepted_nodes})", right=True),
    Column("actions", lambda row: f"{row.figures.actions_done} / {row.figures.actions_planned}", right=True),
    Figure(
        "executed", lambda row: shapes.ratio(row.figures.action_execution_ratio) if row.figures.actions_planned else "",
        right=True, number=lambda row: row.figures.action_execution_ratio if row.figures.actions_planned else None,
    ),
    Column("missed", lambda row: str(row.figures.targets_missed), right=True),
    Column("explained", lambda row: str(row.figures.targets_attributed), right=True),
    Figure(
        "accuracy", lambda row: _percent(_optional(row.figures, "attribution_accuracy_ratio")), right=True,
        number=lambda row: _optional(row.figures, "attribution_accuracy_ratio"),
    ),
    Figure(
        "attainment", lambda row: _percent(_optional(row.figures, "attainment_ratio")), right=True,
        number=lambda row: _optional(row.figures, "attainment_ratio"),
    ),
]  # fmt: skip
_CAUSE = [
    Column("reason", lambda row: _cause(row.cause)),
    Figure("share", lambda row: shapes.ratio(row.share_ratio), right=True, number=lambda row: row.share_ratio),
    Column("ranked_first", lambda row: str(row.ranked_count), right=True),
    Column("confirmed", lambda row: str(row.confirmed_count), right=True),
    Column("agreed", lambda row: str(row.agreed_count), right=True),
]
