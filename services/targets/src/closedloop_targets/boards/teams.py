"""ListTeamRanking: units of one kind ranked by completion (S11)."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

from closedloop.targets.v1 import boards_pb2 as pb
from closedloop_chassis import errors, pages, protos
from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_chassis.work import Call, Work
from closedloop_targets import company
from closedloop_targets.boards import asking, rules, store
from closedloop_targets.boards.asking import Question
from closedloop_targets.boards.rpcs import rpcs
from closedloop_targets.boards.rules import BoardRules
from closedloop_targets.boards.store import Taken
from closedloop_targets.cascade.rules import CascadeDefaults

BEFORE = """
SELECT holder_id, position, data FROM board_snapshot
 WHERE board = %(board)s AND metric = %(metric)s AND period = %(period)s
   AND date = (SELECT max(date) FROM board_snapshot WHERE board = %(board)s AND metric = %(metric)s
       AND period = %(period)s
                  AND date <= %(until)s)
"""


def board(kind: str) -> str:
    return f"ranking:{kind}"


@rpcs.method
async def list_team_ranking(request: pb.ListTeamRankingRequest, call: Call) -> pb.ListTeamRankingResponse:
    answer = await _ranking(request, call)
    await asking.in_currency(call, answer.ranks, request.currency_code)
    return answer


async def _ranking(request: pb.ListTeamRankingRequest, call: Call) -> pb.ListTeamRankingResponse:
    asked = asking.question(call, request.metric, request.period)
    kind = request.kind or call.rules(BoardRules).ranked_kinds[0]
    units: list[str] | None = None
    if request.unit_id:
        await company.unit(call, request.unit_id)
        units = sorted(call.org.subtree(request.unit_id))
    (after,) = pages.after(request, -1)
    where = {"board": board(kind), "metric": asked.metric, "period": asked.period.code}
    if request.view != pb.BOARD_VIEW_LIVE:
        day = await _snapshot_day(request, call, asked, where)
        if day is not None:
            params = {
                **where,
                "date": day,
                "holder_ids": units,
                "light": 0,
                "after": after,
                "limit": pages.size(request) + 1,
            }
            rows = await call.db.all(store.SNAPSHOT, params, into=Taken)
            page, token = pages.split(rows, request, lambda row: (row.position,))
            return pb.ListTeamRankingResponse(
                ranks=_ranked_anew([pb.TeamRank.FromString(row.data) for row in page], units is None or after >= 0),
                next_page_token=token,
                as_of_time=protos.timestamp(page[0].taken_at) if page else None,
            )
    lines = list(enumerate(await live(call, call.db, asked, kind, units)))
    page_of, token = pages.split(
        [row for row in lines if row[0] > after][: pages.size(request) + 1], request, lambda row: (row[0],)
    )
    return pb.ListTeamRankingResponse(
        ranks=[line for _, line in page_of], next_page_token=token, as_of_time=protos.timestamp(call.now)
    )


async def live(
    work: Work, reader: Reader | Transaction, asked: Question, kind: str, units: list[str] | None = None
) -> list[pb.TeamRank]:
    """Active units of the kind that have a target or something done; two queries."""
    org = work.org
    ranked = [
        unit for unit in org.units.values() if unit.active and unit.kind == kind and (units is None or unit.id in units)
    ]
    standings = await store.standings(
        reader,
        [(unit.id, unit.id) for unit in ranked],
        kind="unit",
        metric=asked.metric,
        period=asked.period,
        today=asked.today,
        tops=asking.tops(org),
        currency=asking.currency(work, asked.metric),
        closure=company.closure(org, [unit.id for unit in ranked]),
    )
    where = {"board": board(kind), "metric": asked.metric, "period": asked.period.code}
    before = await reader.all(BEFORE, {**where, "until": asked.today - timedelta(days=7)})
    previous = {row["holder_id"]: pb.TeamRank.FromString(row["data"]).rank for row in before}
    carriers = work.rules(CascadeDefaults).carriers
    heads = {
        unit.id: sum(
            1
            for below in org.subtree(unit.id)
            for person in org.members(below)
            if person.active and carriers.intersection(person.roles)
        )
        for unit in ranked
    }
    seen = sorted((one for one in standings if one.target is not None or one.done), key=lambda one: one.holder_id)
    lines = []
    for rank, standing in rules.ranked(seen):
        unit, leader = org.units[standing.holder_id], org.manager_of(standing.holder_id)
        lines.append(
            pb.TeamRank(
                rank=rank,
                previous_rank=previous.get(unit.id, 0),
                unit_id=unit.id,
                name=unit.name,
                manager_id=leader.id if leader else "",
                head_count=heads[unit.id],
                progress=asking.progress(work, replace(standing, unit_id=unit.id), asked),
            )
        )
    return lines


async def _snapshot_day(
    request: pb.ListTeamRankingRequest, call: Call, asked: Question, where: dict[str, str]
) -> date | None:
    """The day of the week asked for, else the latest; None where none was taken and none was asked for."""
    since, until = asked.period.start, asked.today
    if request.view == pb.BOARD_VIEW_SNAPSHOT and request.HasField("date"):
        day = protos.day(request.date)
        since = day - timedelta(days=day.isoweekday() - 1)
        until = since + timedelta(days=6)
    found: date | None = await call.db.value(store.SNAPSHOT_DAY, {**where, "since": since, "until": until})
    if found is None and request.view == pb.BOARD_VIEW_SNAPSHOT:
        raise errors.NotFound(
            "SNAPSHOT_NOT_FOUND", f"no ranking was taken from {since} to {until}; ask for the live view"
        )
    return found


def _ranked_anew(lines: list[pb.TeamRank], whole: bool) -> list[pb.TeamRank]:
    """Below one unit the best of those is first."""
    if whole:
        return lines
    places = {rank: place for place, rank in reversed(list(enumerate((line.rank for line in lines), 1)))}
    for line in lines:
        line.rank = places[line.rank]
    return lines
