"""ListTeamRanking: the week's snapshot or the live view (S11)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from closedloop.targets.v1 import boards_pb2 as pb
from closedloop_chassis import errors, pages, protos
from closedloop_chassis.work import Call
from closedloop_targets import company
from closedloop_targets.boards import asking, remembered, store, teams
from closedloop_targets.boards.asking import Question
from closedloop_targets.boards.rpcs import rpcs
from closedloop_targets.boards.rules import BoardRules
from closedloop_targets.boards.store import Taken
from closedloop_targets.periods import rules as periods
from closedloop_targets.periods.rules import FiscalCalendar


@rpcs.method
async def list_team_ranking(request: pb.ListTeamRankingRequest, call: Call) -> pb.ListTeamRankingResponse:
    asked = asking.question(call, request.metric, request.period)
    kind = request.kind or call.rules(BoardRules).ranked_kinds[0]
    units: frozenset[str] | None = None
    if request.unit_id:
        await company.unit(call, request.unit_id)
        units = call.org.subtree(request.unit_id)
    taken_at, lines = call.now, None
    if request.view != pb.BOARD_VIEW_LIVE:
        where = {"board": teams.board(kind), "metric": asked.metric, "period": asked.period.code}
        day = await _snapshot_day(request, call, asked, where)
        if day is not None:
            params = {**where, "date": day, "holder_ids": None, "light": 0, "after": -1, "limit": None}
            rows = await call.db.all(store.SNAPSHOT, params, into=Taken)
            lines = [pb.TeamRank.FromString(row.data) for row in rows]
            taken_at = rows[0].taken_at if rows else taken_at
    if lines is None:
        lines = await remembered.ranking(call, asked, kind)
    if units is not None:
        lines = _ranked_anew([line for line in lines if line.unit_id in units])
    (after,) = pages.after(request, -1)
    page, token = pages.split(
        [row for row in enumerate(lines) if row[0] > after][: pages.size(request) + 1], request, lambda row: (row[0],)
    )
    answer = pb.ListTeamRankingResponse(
        ranks=[line for _, line in page], next_page_token=token, as_of_time=protos.timestamp(taken_at)
    )
    await asking.in_currency(call, answer.ranks, request.currency_code)
    return answer


async def _snapshot_day(
    request: pb.ListTeamRankingRequest, call: Call, asked: Question, where: dict[str, str]
) -> date | None:
    """The day of the week asked for, else the latest; None where none was taken and none was asked for."""
    since, until = asked.period.start, asked.today
    if request.view == pb.BOARD_VIEW_SNAPSHOT and request.HasField("date"):
        week = periods.containing(protos.day(request.date), "week", call.rules(FiscalCalendar))
        since, until = week.start, week.end
    found: date | None = await call.db.value(store.SNAPSHOT_DAY, {**where, "since": since, "until": until})
    if found is None and request.view == pb.BOARD_VIEW_SNAPSHOT:
        raise errors.NotFound(
            "SNAPSHOT_NOT_FOUND", f"no ranking was taken from {since} to {until}; ask for the live view"
        )
    return found


def _ranked_anew(lines: list[pb.TeamRank]) -> list[pb.TeamRank]:
    """Below one unit the best of those is first, now and a week before."""
    now, before = _places([line.rank for line in lines]), _places([line.previous_rank for line in lines])
    for line in lines:
        line.rank, line.previous_rank = now[line.rank], before.get(line.previous_rank, 0)
    return lines


def _places(ranks: Sequence[int]) -> dict[int, int]:
    """By rank in the company; equal ones stay equal."""
    known = sorted(rank for rank in ranks if rank)
    return {rank: place for place, rank in reversed(list(enumerate(known, 1)))}
