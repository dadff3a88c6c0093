"""Boards are taken every morning from the day on which the first plan comes into force."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import time, timedelta

from psycopg.types.json import Jsonb

from closedloop.targets.v1 import boards_pb2 as pb
from closedloop.targets.v1 import events_pb2
from closedloop_chassis.clocks.due import Due, Rung
from closedloop_chassis.service import Reactions
from closedloop_chassis.work import Heard, Work
from closedloop_targets.boards import asking, completing, people, reminding, store, teams
from closedloop_targets.boards.asking import Question
from closedloop_targets.boards.rules import BoardRules
from closedloop_targets.metrics.rules import MetricRules

BOARD_DAY = "targets.board_day"
COMPANY = "company"

reactions = Reactions()


@reactions.on(events_pb2.PlanPublished)
async def plan_published(event: Heard[events_pb2.PlanPublished], work: Work) -> None:
    _next_morning(work)


@reactions.timer(BOARD_DAY)
# Set as clocks by releases before there were timers.
@reactions.clock(BOARD_DAY)
async def board_day(_: Sequence[Due | Rung], work: Work) -> None:
    rules = work.rules(BoardRules)
    await reminding.remind(work)
    for metric in rules.metrics or (work.rules(MetricRules).main,):
        asked = asking.question(work, metric, "")
        holders = [(person.id, person.unit_id) for person in work.org.people.values() if person.active]
        lines = [people.line(work, one, asked) for one in await people.live(work, work.tx, asked, holders)]
        await completing.people(work, work.tx, lines, asked)
        _keep(work, people.BOARD, asked, [(one.person_id, one.unit_id, one) for one in lines])
        if asked.today.isoweekday() != rules.ranking_weekday:
            continue
        for kind in rules.ranked_kinds:
            ranks = await teams.live(work, work.tx, asked, kind)
            _keep(work, teams.board(kind), asked, [(one.unit_id, one.unit_id, one) for one in ranks])
    _next_morning(work)


def _keep(
    work: Work, board: str, asked: Question, rows: Sequence[tuple[str, str, pb.PersonProgress | pb.TeamRank]]
) -> None:
    work.tx.do(
        store.ADD_SNAPSHOT,
        {
            "board": board,
            "date": asked.today,
            "metric": asked.metric,
            "period": asked.period.code,
            "now": work.now,
            "positions": list(range(len(rows))),
            "holder_ids": [holder for holder, _, _ in rows],
            "unit_ids": [unit for _, unit, _ in rows],
            "lights": [int(line.progress.light) for _, _, line in rows],
            "data": [line.SerializeToString() for _, _, line in rows],
            "figures": [Jsonb(asking.figures(line.progress)) for _, _, line in rows],
        },
    )


def _next_morning(work: Work) -> None:
    """One timer for the company; one that is set stays."""
    hour, day = time(work.rules(BoardRules).snapshot_hour), work.home.today()
    moment = work.home.moment(day, hour)
    if moment <= work.now:
        moment = work.home.moment(day + timedelta(days=1), hour)
    work.timers.set(BOARD_DAY, COMPANY, moment)
