"""The live ranking out of Redis, made anew out of PostgreSQL whenever anything it rests on has changed or Redis forgot (S11).

What is found under a key was made of exactly what the key names, so nothing ever has to be taken out of Redis.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

from closedloop.targets.v1 import boards_pb2 as pb
from closedloop_chassis.org.snapshot import OrgSnapshot
from closedloop_chassis.work import Call
from closedloop_targets.boards import teams
from closedloop_targets.boards.asking import Question
from closedloop_targets.boards.rules import BoardRules
from closedloop_targets.cascade.rules import CascadeDefaults
from closedloop_targets.metrics.rules import MetricRules
from closedloop_targets.periods.rules import FiscalCalendar

# Counted up by whatever changes a ranking: actuals, plans, forecasts, and snapshots, which say who stood where before.
TOPIC = "ranking"


async def ranking(call: Call, asked: Question, kind: str) -> list[pb.TeamRank]:
    """Of every unit of the kind. One small query where Redis has it."""
    seconds, database = call.rules(BoardRules).live_seconds, call.process.incarnation
    if not seconds or not database:
        return await teams.live(call, call.db, asked, kind)
    # Read before the board is made: what changes meanwhile is named by another key.
    key = f"ranking:{kind}:{asked.metric}:{asked.period.code}:{asked.today}:{await _state(call, database)}"
    found = await call.process.cache.get(key)
    if found is not None:
        return list(pb.ListTeamRankingResponse.FromString(found).ranks)
    lines = await teams.live(call, call.db, asked, kind)
    await call.process.cache.put(key, pb.ListTeamRankingResponse(ranks=lines).SerializeToString(), seconds)
    return lines


async def _state(call: Call, database: str) -> str:
    revision = await call.process.revisions.of((TOPIC,))
    books = (BoardRules, MetricRules, CascadeDefaults, FiscalCalendar)
    versions = [call.process.rulebooks.version(model, call.now) for model in books]
    said = f"{database} {revision} {_tree(call.org)} {versions} {call.home.currency}"
    return hashlib.sha256(said.encode()).hexdigest()[:32]


@lru_cache(maxsize=4)
def _tree(org: OrgSnapshot) -> str:
    """Who belongs where, by the versions that say it."""
    units = sorted((unit.id, unit.version) for unit in org.units.values())
    people = sorted((person.id, person.version) for person in org.people.values())
    return hashlib.sha256(repr((units, people)).encode()).hexdigest()
