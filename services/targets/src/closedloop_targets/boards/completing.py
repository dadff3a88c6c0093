"""What stands beside done and target: where a line will end, and the day's key actions (S2, S6)."""

from __future__ import annotations

from collections.abc import Sequence

from closedloop.targets.v1 import boards_pb2 as pb
from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_chassis.work import Work
from closedloop_targets import amounts
from closedloop_targets.boards import asking, store
from closedloop_targets.boards.asking import Question
from closedloop_targets.forecasts import reading
from closedloop_targets.ledger import HolderKind


async def people(work: Work, reader: Reader | Transaction, lines: Sequence[pb.PersonProgress], asked: Question) -> None:
    """In place. Three round trips, whatever their number."""
    if not lines:
        return
    ids = [line.person_id for line in lines]
    found = await reading.ends(work, reader, "person", ids, asked.metric, asked.period)
    rows = await reader.all(store.ACTIONS, {"people": ids, "day": asked.today})
    actions = {row["owner_id"]: row for row in rows}
    for line in lines:
        _forecast(work, line.progress, found.get(line.person_id), asked)
        if (day := actions.get(line.person_id)) is not None:
            line.actions_done, line.actions_planned = day["done"], day["planned"]


async def teams(work: Work, reader: Reader | Transaction, lines: Sequence[pb.TeamRank], asked: Question) -> None:
    """In place. Two round trips."""
    found = await reading.ends(work, reader, "unit", [line.unit_id for line in lines], asked.metric, asked.period)
    for line in lines:
        _forecast(work, line.progress, found.get(line.unit_id), asked)


async def one(
    work: Work, reader: Reader | Transaction, kind: HolderKind, holder_id: str, progress: pb.Progress, asked: Question
) -> None:
    """In place. Two round trips."""
    found = await reading.ends(work, reader, kind, [holder_id], asked.metric, asked.period)
    _forecast(work, progress, found.get(holder_id), asked)


def _forecast(work: Work, progress: pb.Progress, minor: int | None, asked: Question) -> None:
    if minor is not None:
        progress.forecast.CopyFrom(amounts.amount(minor, asking.currency(work, asked.metric)))
