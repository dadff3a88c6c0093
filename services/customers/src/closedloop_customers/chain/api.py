"""DecisionChainService."""

from __future__ import annotations

import math
from typing import Any

from psycopg.types.json import Jsonb

from closedloop.common.v1.common_pb2 import Provenance
from closedloop.customers.v1 import decision_chain_pb2 as pb
from closedloop_chassis import enums, errors, etags, masks
from closedloop_chassis.ids import new_id
from closedloop_chassis.service import Rpcs
from closedloop_chassis.work import Call
from closedloop_customers import accesses, business_actions, provenance, records
from closedloop_customers.chain import desk, paths, rules, store, wire
from closedloop_customers.chain.rules import ChainRules, ConcernRules
from closedloop_customers.chain.store import Graph

rpcs = Rpcs("closedloop.customers.v1.DecisionChainService")

MEMBER_FIELDS = ("role", "stance", "influence")


@rpcs.method
async def get_decision_chain(request: pb.GetDecisionChainRequest, call: Call) -> pb.DecisionChain:
    graph = await store.graph(call.db, request.account_id, request.opportunity_id, call.now, call.rules(ChainRules))
    shown = wire.chain(seen(call, graph, request.account_id), request.opportunity_id, call)
    await accesses.note(call, [member.contact_id for member in shown.members])
    return shown


@rpcs.method
async def update_chain_member(request: pb.UpdateChainMemberRequest, call: Call) -> pb.DecisionChain:
    graph = await _held(call, request.account_id)
    etags.check(request.etag, graph.version)
    action = business_actions.cited(call, request.business_action)
    paths = masks.paths(request.update_mask, MEMBER_FIELDS)
    if request.contact_id not in {row["id"] for row in graph.people or ()}:
        raise errors.NotFound("CONTACT_NOT_FOUND", f"{request.contact_id} is nobody of this account")
    about = {
        "account_id": graph.id,
        "opportunity_id": request.opportunity_id,
        "contact_id": request.contact_id,
    }
    before = await call.tx.one(store.MEMBER, about) or {"role": "", "stance": "", "influence": None}
    said = {
        "role": enums.word(pb.BuyingRole, request.role),
        "stance": enums.word(pb.Stance, request.stance),
        # Named and left empty: computed again.
        "influence": request.influence or None,
    }
    after = before | {name: said[name] for name in paths}
    call.tx.do(store.PUT_MEMBER, {**about, **after})
    call.audit(request.contact_id, "update_chain_member", before, after, action)
    return await _after(call, graph, request.opportunity_id)


@rpcs.method
async def relate_people(request: pb.RelatePeopleRequest, call: Call) -> pb.DecisionChain:
    graph = await _held(call, request.account_id)
    action = business_actions.cited(call, request.business_action)
    one, other = wire.end(getattr(request, "from")), wire.end(request.to)
    kind = enums.word(pb.RelationKind, request.kind)
    if one == other:
        raise errors.InvalidArgument("SELF_RELATION", "nobody is related to themselves", {"to": "the same person"})
    await _check_people(call, graph, one, other)
    if kind == "reports_to":
        rows = await call.tx.all(store.SUPERIORS, {"end": other})
        if rules.in_reporting_cycle(one, other, {row["from_end"]: row["to_end"] for row in rows}):
            raise errors.InvalidArgument(
                "REPORTING_CYCLE", "who reports to somebody is not their superior", {"to": "reports to from"}
            )
        call.tx.do(store.NO_OTHER_SUPERIOR, {"from_end": one, "to_end": other})
    row = {
        "id": new_id(),
        "account_id": graph.id,
        "from_end": one,
        "to_end": other,
        "kind": kind,
        "strength": request.strength_ratio or call.rules(ChainRules).default_strength,
        "note": request.note,
        "provenance": Jsonb(provenance.by_hand(call, Provenance())),
        "now": call.now,
    }
    call.tx.do(store.PUT_RELATION, row)
    call.audit(graph.id, "relate", {}, {f"relation.{kind}.{one}": other}, action)
    return await _after(call, graph, "")


@rpcs.method
async def unrelate_people(request: pb.UnrelatePeopleRequest, call: Call) -> pb.DecisionChain:
    graph = await _held(call, request.account_id)
    action = business_actions.cited(call, request.business_action)
    gone = await call.tx.one(store.DROP_RELATION, {"id": request.relation_id, "account_id": graph.id})
    if gone is None:
        raise errors.NotFound("RELATION_NOT_FOUND", f"no relation {request.relation_id} at this account")
    call.audit(graph.id, "unrelate", {f"relation.{gone['kind']}.{gone['from_end']}": gone["to_end"]}, {}, action)
    return await _after(call, graph, "")


@rpcs.method
async def record_concern(request: pb.RecordConcernRequest, call: Call) -> pb.Concern:
    graph = await _held(call, request.account_id)
    topics = call.rules(ConcernRules).topics
    if request.topic not in topics:
        raise errors.InvalidArgument(
            "UNKNOWN_TOPIC", f"customers.concerns knows {', '.join(topics)}", {"topic": "unknown"}
        )
    if request.contact_id and request.contact_id not in {row["id"] for row in graph.people or ()}:
        raise errors.NotFound("CONTACT_NOT_FOUND", f"{request.contact_id} is nobody of this account")
    kept = provenance.by_hand(call, request.provenance)
    stage = next((o["stage"] for o in graph.opportunities or () if o["opportunity_id"] == request.opportunity_id), "")
    row = await desk.raised(
        call,
        account_id=graph.id,
        contact_id=request.contact_id,
        opportunity_id=request.opportunity_id,
        kind=enums.word(pb.ConcernKind, request.kind),
        topic=request.topic,
        text=request.text,
        quote=request.quote,
        stage=stage,
        severity=request.severity_ratio or call.rules(ConcernRules).heard_severity,
        kept=kept,
        at=call.now,
    )
    return wire.concern(row)


@rpcs.method
async def update_concern(request: pb.UpdateConcernRequest, call: Call) -> pb.Concern:
    old = await call.tx.one(store.LOCK_CONCERN, {"id": request.id})
    if old is None:
        raise errors.NotFound("CONCERN_NOT_FOUND", f"no concern {request.id}")
    await _held(call, old["account_id"])
    etags.check(request.etag, old["version"])
    state = enums.word(pb.ConcernState, request.state)
    if state == "answered" and not request.answer.strip():
        raise errors.InvalidArgument("ANSWER_MISSING", "say what answered it", {"answer": "required for ANSWERED"})
    after = {
        "id": request.id,
        "state": state,
        "answer": request.answer if state == "answered" else "",
        "answered_at": call.now if state == "answered" else None,
    }
    taken = errors.FailedPrecondition("CONCERN_RAISED_AGAIN", "it was raised again since; work on that one")
    row = await call.tx.one(store.SET_CONCERN, after, refuse={"concern_open_key": taken})
    assert row is not None
    call.audit(request.id, "update_concern", {"state": old["state"]}, {"state": state})
    return wire.concern(row)


@rpcs.method
async def find_introductions(request: pb.FindIntroductionsRequest, call: Call) -> pb.FindIntroductionsResponse:
    settings = call.rules(ChainRules)
    goal = await call.db.one(store.WHO, {"ids": [request.contact_id]}, into=store.Known)
    if goal is None:
        raise errors.NotFound("CONTACT_NOT_FOUND", f"no contact {request.contact_id}")
    call.authorize(goal.owner_id, goal.unit_id, goal.participant_ids)
    longest = request.max_length or settings.introduction_length
    ties = await _ties_around(call, f"contact:{goal.id}", longest, settings)
    ours = {end for tie in ties for end in (tie.one, tie.other) if end.startswith("person:")}
    starts = {f"person:{request.from_person_id}"} if request.from_person_id else {e for e in ours if _works(call, e)}
    found = paths.strongest(
        ties,
        f"contact:{goal.id}",
        starts=starts,
        longest=longest,
        most=request.limit or settings.introductions,
        patience=settings.patience,
    )
    passed = {end.removeprefix("contact:") for path in found for end in path.ends if end.startswith("contact:")}
    people = await call.db.all(store.WHO, {"ids": sorted(passed)}, into=store.Known)
    names = {f"contact:{row.id}": row for row in people}
    answer = pb.FindIntroductionsResponse(paths=[_path(path, names, call) for path in found])
    return await accesses.shown(call, answer)


async def _ties_around(call: Call, goal: str, longest: int, settings: ChainRules) -> list[paths.Tie]:
    """Everybody within `longest` ties of somebody. One round trip per tie."""
    seen: set[str] = set()
    frontier = {goal}
    found: dict[tuple[str, str, str], paths.Tie] = {}
    for _ in range(longest):
        # Our own people are where a path begins; nobody is introduced through them further away.
        frontier = {end for end in frontier - seen if end.startswith("contact:")}
        if not frontier:
            break
        seen |= frontier
        rows = await store.ties(call.db, sorted(frontier), settings.most_ties, call.now)
        for row in rows:
            tie = paths.Tie(row["one"], row["other"], row["kind"], _strength(row, call, settings))
            found[tie.one, tie.other, tie.kind] = tie
        frontier = {end for row in rows for end in (row["one"], row["other"])}
    return list(found.values())


def _strength(row: dict[str, Any], call: Call, settings: ChainRules) -> float:
    if row["touches"]:
        base = 1 - math.exp(-row["touches"] / settings.touches_for_tie)
    else:
        base = settings.same_account_strength if row["strength"] < 0 else row["strength"]
    return paths.faded(base, row["renewed_at"], call.now, settings)


def _path(path: paths.Path, names: dict[str, store.Known], call: Call) -> pb.IntroductionPath:
    steps = []
    for place, end in enumerate(path.ends):
        known = names.get(end)
        visible = known is not None and call.scope.covers(known.owner_id, known.unit_id, known.participant_ids)
        person = call.org.person(end.removeprefix("person:")) if known is None else None
        steps.append(
            pb.IntroductionStep(
                person=wire.person(end),
                name=person.name if person else known.name if known and visible else "",
                account_name=known.account_name if known else "",
                relation=enums.number(pb.RelationKind, path.ties[place].kind) if place < len(path.ties) else 0,  # type: ignore[arg-type]
                strength_ratio=path.ties[place].strength if place < len(path.ties) else 0.0,
            )
        )
    return pb.IntroductionPath(steps=steps, strength_ratio=path.strength)


def _works(call: Call, end: str) -> bool:
    person = call.org.person(end.removeprefix("person:"))
    return person is not None and person.active


def seen(call: Call, graph: Graph | None, asked: str) -> Graph:
    if graph is None:
        raise errors.NotFound("ACCOUNT_NOT_FOUND", f"no account {asked}")
    call.authorize(graph.owner_id, graph.unit_id, graph.participant_ids)
    return graph


async def _held(call: Call, account_id: str) -> Graph:
    """The chain, nobody else changing it until the transaction ends; participants help to keep it."""
    standing = await records.account(call.tx, call, account_id)
    call.tx.do(store.HOLD, {"account_id": standing.id})
    graph = await store.graph(call.tx, standing.id, "", call.now, call.rules(ChainRules))
    return seen(call, graph, account_id)


async def _check_people(call: Call, graph: Graph, *ends: str) -> None:
    contacts = {end.removeprefix("contact:") for end in ends if end.startswith("contact:")}
    known = {row.id: row for row in await call.tx.all(store.WHO, {"ids": sorted(contacts)}, into=store.Known)}
    for end in ends:
        kind, _, id_ = end.partition(":")
        found = id_ in known if kind == "contact" else call.org.person(id_) is not None
        if not found:
            raise errors.NotFound("PERSON_NOT_FOUND", f"no {kind} {id_}")
    if not any(row.account_id == graph.id for row in known.values()):
        raise errors.NotFound("PERSON_NOT_FOUND", "one of the two is a contact of this account")


async def _after(call: Call, graph: Graph, opportunity_id: str) -> pb.DecisionChain:
    call.tx.do(store.BUMP, {"account_id": graph.id})
    after = await store.graph(call.tx, graph.id, opportunity_id, call.now, call.rules(ChainRules))
    assert after is not None
    return wire.chain(after, opportunity_id, call)
