"""VisitBriefService: what to win on this visit (S37). Put together from one read, kept until something it is made of changes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from closedloop.common.v1.common_pb2 import Evidence, Light
from closedloop.customers.v1 import decision_chain_pb2 as chain_pb
from closedloop.customers.v1 import visit_brief_pb2 as pb
from closedloop_chassis import enums, errors, protos
from closedloop_chassis.answers import Topics
from closedloop_chassis.service import Rpcs
from closedloop_chassis.work import Call
from closedloop_customers import accesses, explanations
from closedloop_customers.chain import api, members, rules, store
from closedloop_customers.chain.members import Member
from closedloop_customers.chain.rules import BriefRules, ChainRules, Concern, ConcernRules, SolutionRules

rpcs = Rpcs("closedloop.customers.v1.VisitBriefService")

TECHNICAL = frozenset({"technical_objection"})
RETURN = frozenset({"roi_question"})
# How often an account may be merged while its brief is made.
MERGES_AT_ONCE = 3


class _Merged(Exception):
    """The account went into another one between the question and the answer."""


@rpcs.method
async def get_visit_brief(request: pb.GetVisitBriefRequest, call: Call) -> bytes:
    """Kept for the rest of the minute at most: concerns fade with time, and who looked at people is noted by the
    minute (`accesses`)."""
    if call.on_behalf_of:
        return (await _brief(request, call, "")).SerializeToString()
    standing = ""

    async def topics() -> Topics:
        nonlocal standing
        standing = await store.standing(call.db, request.account_id)
        names = {store.topic(request.account_id), store.topic(standing)}
        return Topics(("briefs", *sorted(names)), call.now.replace(second=0, microsecond=0) + timedelta(minutes=1))

    for _ in range(MERGES_AT_ONCE):
        try:
            return await call.process.answers.answer(call, topics, lambda: _brief(request, call, standing))
        except _Merged:
            continue
    raise errors.Aborted("ACCOUNT_MERGED", f"{request.account_id} is being merged; ask again")


async def _brief(request: pb.GetVisitBriefRequest, call: Call, standing: str) -> pb.VisitBrief:
    """Raises _Merged where another account than `standing`, if that is named, answers for it by now."""
    settings, chain = call.rules(BriefRules), call.rules(ChainRules)
    graph = api.seen(
        call,
        await store.graph(call.db, request.account_id, request.opportunity_id, call.now, chain),
        request.account_id,
    )
    if standing and graph.id != standing:
        raise _Merged
    most_urgent = next(iter(graph.opportunities or ()), None)
    opportunity_id = request.opportunity_id or (most_urgent["opportunity_id"] if most_urgent else "")
    group = members.members(graph, call.now, chain)
    there = [one for one in group if one.id in set(request.contact_ids)] or group
    by_id = {one.id: one for one in group}
    heard = members.concerns(graph)
    answered_by = _packs(heard, graph.industry, call)
    rows = {row["id"]: row for row in graph.concerns or ()}
    executives = {one.id for one in group if one.role in chain.executives}

    def points(kinds: frozenset[str], most: int) -> list[pb.BriefPoint]:
        present = {one.id for one in there}
        waiting = [
            c
            for c in heard
            if c.state == "open"
            and c.kind in kinds
            and (not c.contact_id or c.contact_id in present)
            # Whoever else asks for the return does not decide on it: an executive is still to be asked.
            and (c.kind not in RETURN or c.contact_id in executives)
        ]
        weighed = [(_weight(concern, by_id, settings, call), concern) for concern in waiting]
        weighed.sort(key=lambda pair: (-pair[0], pair[1].id))
        return [
            _point(concern, rows[concern.id], by_id.get(concern.contact_id), weight, answered_by, call)
            for weight, concern in weighed[:most]
        ]

    await accesses.note(call, [one.id for one in there[: settings.people]])
    technical = points(TECHNICAL, settings.technical_concerns)
    returns = points(RETURN, settings.roi_questions)
    stage = next((o["stage"] for o in graph.opportunities or () if o["opportunity_id"] == opportunity_id), "")
    missing = rules.missing_roles({one.role for one in group}, stage, chain)
    why = f"按分量×影响力×次数×新近取 {settings.technical_concerns} 个技术关注点与 {settings.roi_questions} 个回报问题"
    return pb.VisitBrief(
        account_id=graph.id,
        opportunity_id=opportunity_id,
        account_name=graph.name,
        grade=graph.grade,
        quality_light=enums.number(Light, graph.quality_light),
        health_score=graph.health or 0.0,
        technical_concerns=technical,
        roi_questions=returns,
        people=[_person(one) for one in there[: settings.people]],
        gaps=_gaps(len(technical), len(returns), missing, group, settings),
        open_suggestions=graph.suggestions,
        rule=explanations.reference(explanations.because(call, BriefRules, "technical_concerns", why)),
        generate_time=protos.timestamp(call.now),
    )


def _point(
    concern: Concern,
    row: dict[str, Any],
    person: Member | None,
    weight: float,
    packs: dict[str, str],
    call: Call,
) -> pb.BriefPoint:
    topic = call.rules(ConcernRules).topics.get(concern.topic)
    influence = person.influence if person else call.rules(BriefRules).nobody_influence
    days = (call.now - concern.last_raised_at).days
    who = person.row["name"] if person else "客户"
    why = (
        f"{who}（影响力 {influence:.0f}）提出 {concern.occurrences} 次，最近一次在 {days} 天前，"
        f"分量 {concern.severity:.1f}，得分 {weight:.2f}"
    )
    evidence = [
        Evidence(
            name="occurrences",
            value=concern.occurrences,
            unit="1",
            text=f"{row['provenance']['source']}：{row['text']}",
        ),
        Evidence(name="influence", value=influence, unit="1", text=f"{who} 的影响力"),
        Evidence(name="days_since_raised", value=days, unit="d"),
    ]
    if row["quote"]:
        evidence.insert(0, Evidence(name="quote", text=row["quote"]))
    return pb.BriefPoint(
        concern_id=concern.id,
        topic=concern.topic,
        concern=row["text"],
        contact_id=concern.contact_id,
        contact_name=person.row["name"] if person else "",
        rule=explanations.reference(explanations.because(call, BriefRules, "half_life_days", why)),
        evidence=evidence,
        advice=topic.advice if topic else "",
        solution_pack=packs.get(concern.id, ""),
    )


def _weight(concern: Concern, group: dict[str, Member], settings: BriefRules, call: Call) -> float:
    person = group.get(concern.contact_id)
    return rules.weight(concern, person.influence if person else settings.nobody_influence, call.now, settings)


def _packs(heard: list[Concern], industry: str, call: Call) -> dict[str, str]:
    """The best offer for each concern."""
    answered: dict[str, str] = {}
    for key, _, ids in rules.fitting(heard, industry, call.rules(SolutionRules)):
        for id_ in ids:
            answered.setdefault(id_, key)
    return answered


def _person(one: Member) -> pb.BriefPerson:
    return pb.BriefPerson(
        contact_id=one.id,
        name=one.row["name"],
        job_title=one.row["job_title"],
        role=enums.number(chain_pb.BuyingRole, one.role),
        influence=one.influence,
        stance=enums.number(chain_pb.Stance, one.row["stance"] or "unknown"),
    )


def _gaps(technical: int, returns: int, missing: list[str], group: list[Member], settings: BriefRules) -> list[str]:
    gaps = []
    if technical < settings.technical_concerns:
        gaps.append(f"只知道 {technical} 个技术关注点：请问清客户最担心的技术问题")
    if returns < settings.roi_questions:
        gaps.append("没有高层提过回报问题：请问决策者想看到什么样的回报")
    gaps += [f"没有人担任 {role}：请问清由谁负责" for role in missing]
    gaps += [f"{one.row['name']} 的态度未知" for one in group[:3] if not one.row["stance"]]
    return gaps
