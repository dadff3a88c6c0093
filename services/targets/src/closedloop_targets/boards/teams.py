"""Units of one kind ranked by completion, as they are now (S11)."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from closedloop.targets.v1 import boards_pb2 as pb
from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_chassis.work import Work
from closedloop_targets import company
from closedloop_targets.boards import asking, completing, rules, store
from closedloop_targets.boards.asking import Question
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


async def live(work: Work, reader: Reader | Transaction, asked: Question, kind: str) -> list[pb.TeamRank]:
    """Active units of the kind that have a target or something done; two queries."""
    org = work.org
    ranked = [unit for unit in org.units.values() if unit.active and unit.kind == kind]
    standings = await store.standings(
        work,
        reader,
        [(unit.id, unit.id) for unit in ranked],
        kind="unit",
        metric=asked.metric,
        period=asked.period,
        today=asked.today,
        tops=company.tops(org),
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
    seen = sorted((one for one in standings if one.seen), key=lambda one: one.holder_id)
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
    await completing.teams(work, reader, lines, asked)
    return lines
