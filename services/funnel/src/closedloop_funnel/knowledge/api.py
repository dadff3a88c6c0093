"""KnowledgeService: what sellers find when they need it (S85)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from closedloop.common.v1 import common_pb2
from closedloop.funnel.v1 import knowledge_pb2 as pb
from closedloop_chassis import errors, etags, masks, pages
from closedloop_chassis.data import rows
from closedloop_chassis.ids import new_id
from closedloop_chassis.service import Rpcs
from closedloop_chassis.work import Call
from closedloop_funnel.attachments import references
from closedloop_funnel.knowledge import finding, proto, rules, store
from closedloop_funnel.knowledge.finding import Asked
from closedloop_funnel.knowledge.record import Article, Listed
from closedloop_funnel.knowledge.rules import KnowledgeRules
from closedloop_funnel.knowledge.store import Hit
from closedloop_funnel.words import word

rpcs = Rpcs("closedloop.funnel.v1.KnowledgeService")

PATHS = (
    *("state", "title", "body", "summary", "index", "length", "ability_keys", "applied_hearing_keys"),
    *("attachment_ids", "valid_until_date"),
)
# Who may look at any deal.
SEE_ALL = {"operations", "executive", "auditor"}


@rpcs.method
async def create_article(request: pb.CreateArticleRequest, call: Call) -> pb.Article:
    await references.check(call, request.attachment_ids, "attachment_ids")
    person = call.org.person(call.caller.subject)
    made = Article(
        id=new_id(),
        kind=word(pb.ArticleKind, request.kind),
        state=word(pb.ArticleState, request.state) or "draft",
        attachment_ids=list(dict.fromkeys(request.attachment_ids)),
        language_code=request.language_code,
        author_id=call.caller.subject,
        unit_id=person.unit_id if person else "",
        created_at=call.now,
        updated_at=call.now,
        **proto.fields(request, call),
    )
    store.put(call.tx, [made])
    references.attach(call, made.attachment_ids, "article", made.id)
    call.audit(made.id, "create", after=rows.row(made, "version", "updated_at"))
    return proto.to_proto(made, made.body)


@rpcs.method
async def update_article(request: pb.UpdateArticleRequest, call: Call) -> pb.Article:
    before = await store.lock(call.tx, request.article_id)
    call.authorize(before.author_id, before.unit_id)
    etags.check(request.etag, before.version)
    mask = masks.paths(request.update_mask, PATHS)
    empty = sorted(path for path in mask & {"state", "title", "body"} if not getattr(request, path))
    if empty:
        raise errors.InvalidArgument("FIELD_EMPTY", f"an article has a {empty[0]}", {empty[0]: "is empty"})
    changed = proto.fields(request, call, mask)
    if "state" in mask:
        changed["state"] = word(pb.ArticleState, request.state)
    if "attachment_ids" in mask:
        await references.check(call, set(request.attachment_ids) - set(before.attachment_ids), "attachment_ids")
        changed["attachment_ids"] = list(dict.fromkeys(request.attachment_ids))
    after = replace(before, version=before.version + 1, updated_at=call.now, **changed)
    store.put(call.tx, [after])
    references.attach(call, after.attachment_ids, "article", after.id)
    call.audit(after.id, "update", rows.row(before, "version", "updated_at"), rows.row(after, "version", "updated_at"))
    return proto.to_proto(after, after.body)


@rpcs.method
async def get_article(request: pb.GetArticleRequest, call: Call) -> pb.Article:
    found = await store.get(call.db, request.article_id)
    return proto.to_proto(found, proto.body_for(found, call.caller.roles))


@rpcs.method
async def list_articles(request: pb.ListArticlesRequest, call: Call) -> pb.ListArticlesResponse:
    after, after_id = pages.after(request, "infinity", "00000000-0000-0000-0000-000000000000")
    params: dict[str, Any] = {
        "kind": word(pb.ArticleKind, request.kind),
        "state": word(pb.ArticleState, request.state) or "published",
        "customer_type": request.customer_type,
        "industry": request.industry,
        "stage": request.stage_key,
        "ability": request.ability_key,
        "after": after,
        "after_id": after_id,
        "limit": pages.size(request) + 1,
    }
    found = await call.db.all(store.LIST, params, into=Listed)
    page, token = pages.split(found, request, lambda one: [one.updated_at.isoformat(), one.id])
    return pb.ListArticlesResponse(articles=[proto.to_proto(one) for one in page], next_page_token=token)


@rpcs.method
async def search_knowledge(request: pb.SearchKnowledgeRequest, call: Call) -> pb.SearchKnowledgeResponse:
    after, after_id = pages.after(request, 1e300, "00000000-0000-0000-0000-000000000000")
    asked = Asked(
        query=request.query,
        customer_type=request.customer_type,
        industry=request.industry,
        stage=request.stage_key,
        kinds=tuple(word(pb.ArticleKind, kind) for kind in request.kinds),
    )
    if request.opportunity_id:
        asked = await _of_deal(asked, request.opportunity_id, call)
    if not asked.says_something:
        raise errors.InvalidArgument(
            "NOTHING_ASKED",
            "give words, a customer type, an industry, a stage or an opportunity",
            {"query": "is empty"},
        )
    found = await finding.find(call.db, call, asked, after, after_id, pages.size(request) + 1)
    page, token = pages.split(found, request, lambda one: [one.score, one.id])
    wanted, most = rules.terms(request.query), call.rules(KnowledgeRules).snippet_characters
    return pb.SearchKnowledgeResponse(
        hits=[
            pb.KnowledgeHit(
                article=proto.to_proto(one),
                score=one.score,
                snippet=rules.snippet(wanted, rules.without_answers(one.body), most),
                reasons=_reasons(one, asked),
            )
            for one in page
        ],
        next_page_token=token,
    )


async def _of_deal(asked: Asked, opportunity_id: str, call: Call) -> Asked:
    """Where the deal stands fills in what was not asked for. Raises NotFound OPPORTUNITY_UNKNOWN, PermissionDenied."""
    deal = await call.db.one(store.DEAL, {"id": opportunity_id})
    if deal is None:
        raise errors.NotFound("OPPORTUNITY_UNKNOWN", f"no opportunity {opportunity_id}")
    me = call.caller.subject
    line = {one.id for one in call.org.line_of(deal["owner_id"])}
    leads = call.org.manager_of(deal["unit_id"])
    mine = me in {deal["owner_id"], *deal["participant_ids"], *line, leads.id if leads else ""}
    if not mine and not SEE_ALL & call.caller.roles:
        raise errors.PermissionDenied("OUT_OF_SCOPE", f"{me} has no part in opportunity {opportunity_id}")
    return replace(
        asked,
        customer_type=asked.customer_type or deal["customer_type"],
        industry=asked.industry or deal["industry"],
        stage=asked.stage or deal["stage"],
    )


def _reasons(one: Hit, asked: Asked) -> list[common_pb2.Evidence]:
    fits = (
        ("customer_type", asked.customer_type, one.customer_type_fit),
        ("industry", asked.industry, one.industry_fit),
        ("stage", asked.stage, one.stage_fit),
    )
    found = [
        common_pb2.Evidence(
            name=name, value=fit, unit="1", text=f"made for {value}" if fit > 1 else f"made for others than {value}"
        )
        for name, value, fit in fits
        if value and fit != 1
    ]
    if asked.query:
        found.insert(0, common_pb2.Evidence(name="words", value=one.words, unit="1", text="rare words count most"))
    return found
