"""The decision chain as protobuf."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from closedloop.customers.v1 import contacts_pb2
from closedloop.customers.v1 import decision_chain_pb2 as pb
from closedloop_chassis import enums, etags, protos
from closedloop_chassis.work import Work
from closedloop_customers import explanations, provenance
from closedloop_customers.chain import members, paths, rules
from closedloop_customers.chain.members import Member
from closedloop_customers.chain.rules import ChainRules, SolutionRules
from closedloop_customers.chain.store import Graph


def chain(graph: Graph, opportunity_id: str, work: Work) -> pb.DecisionChain:
    settings = work.rules(ChainRules)
    group = members.members(graph, work.now, settings)
    heard = members.concerns(graph)
    stage = next((o["stage"] for o in graph.opportunities or () if o["opportunity_id"] == opportunity_id), "")
    of_person: dict[str, list[str]] = {}
    for one in heard:
        of_person.setdefault(one.contact_id, []).append(one.id)
    return pb.DecisionChain(
        account_id=graph.id,
        opportunity_id=opportunity_id,
        stage=stage,
        members=[_member(one, of_person.get(one.id, [])) for one in group],
        relations=[relation(row, work.now, settings) for row in graph.relations or ()],
        concerns=[concern(row) for row in graph.concerns or ()],
        solution_packs=packs(graph, heard, work),
        missing_roles=[
            enums.number(pb.BuyingRole, role)
            for role in rules.missing_roles({one.role for one in group}, stage, settings)
        ],
        evaluate_time=protos.timestamp(work.now),
        etag=etags.of(graph.version),
    )


def packs(graph: Graph, heard: list[rules.Concern], work: Work) -> list[pb.SolutionPack]:
    offers = work.rules(SolutionRules)
    return [
        pb.SolutionPack(
            key=key,
            title=offers.packs[key].title,
            fit_ratio=fit,
            concern_ids=ids,
            product_ids=offers.packs[key].product_ids,
            rule=explanations.reference(
                explanations.because(
                    work, SolutionRules, f"packs.{key}", f"回应 {len(ids)} 个未解决的关注点，占其分量的 {fit:.0%}"
                )
            ),
        )
        for key, fit, ids in rules.fitting(heard, graph.industry, offers)
    ]


def relation(row: Mapping[str, Any], now: datetime, settings: ChainRules) -> pb.Relation:
    renewed = datetime.fromisoformat(row["renewed_at"])
    return pb.Relation(
        **{"from": person(row["from_end"])},
        id=row["id"],
        to=person(row["to_end"]),
        kind=enums.number(pb.RelationKind, row["kind"]),
        strength_ratio=paths.faded(row["strength"], renewed, now, settings),
        provenance=provenance.to_proto(row["provenance"]),
        note=row["note"],
    )


def concern(row: Mapping[str, Any]) -> pb.Concern:
    return pb.Concern(
        id=row["id"],
        account_id=row["account_id"],
        contact_id=row["contact_id"] or "",
        opportunity_id=row["opportunity_id"] or "",
        kind=enums.number(pb.ConcernKind, row["kind"]),
        state=enums.number(pb.ConcernState, row["state"]),
        topic=row["topic"],
        text=row["text"],
        quote=row["quote"],
        stage=row["stage"],
        severity_ratio=row["severity"],
        occurrences=row["occurrences"],
        provenance=provenance.to_proto(row["provenance"]),
        raise_time=protos.timestamp(_moment(row["raised_at"])),
        last_raise_time=protos.timestamp(_moment(row["last_raised_at"])),
        answer=row["answer"],
        answer_time=protos.timestamp(_moment(row["answered_at"])) if row["answered_at"] else None,
        etag=etags.of(row["version"]),
    )


def person(end: str) -> pb.PersonReference:
    kind, _, id_ = end.partition(":")
    return pb.PersonReference(contact_id=id_) if kind == "contact" else pb.PersonReference(person_id=id_)


def end(reference: pb.PersonReference) -> str:
    which = reference.WhichOneof("person")
    return f"contact:{reference.contact_id}" if which == "contact_id" else f"person:{reference.person_id}"


def _member(one: Member, concern_ids: list[str]) -> pb.ChainMember:
    row = one.row
    return pb.ChainMember(
        contact_id=one.id,
        name=row["name"],
        job_title=row["job_title"],
        department=row["department"],
        contact_state=enums.number(contacts_pb2.ContactState, row["state"]),
        role=enums.number(pb.BuyingRole, one.role),
        role_confirmed=one.role_confirmed,
        influence=one.influence,
        influence_confirmed=one.influence_confirmed,
        influence_dimensions=one.dimensions,
        stance=enums.number(pb.Stance, row["stance"] or "unknown"),
        last_interaction_time=protos.timestamp(one.last_interaction),
        sources=sorted(row["sources"]),
        concern_ids=concern_ids,
    )


def _moment(at: Any) -> datetime:
    return at if isinstance(at, datetime) else datetime.fromisoformat(at)
