"""Articles between the contract and Python, and what an article may name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from closedloop.funnel.v1 import knowledge_pb2 as pb
from closedloop_chassis import errors, etags, protos, provenance
from closedloop_chassis.work import Work
from closedloop_funnel.abilities.rules import AbilityRules
from closedloop_funnel.knowledge import rules
from closedloop_funnel.knowledge.record import Article, Listed
from closedloop_funnel.pipelines.rules import PipelineRules
from closedloop_funnel.talk.rules import TalkRules
from closedloop_funnel.words import number


def to_proto(article: Listed, body: str = "") -> pb.Article:
    answer = pb.Article(
        id=article.id,
        etag=etags.of(article.version),
        kind=number(pb.ArticleKind, article.kind),
        state=number(pb.ArticleState, article.state),
        title=article.title,
        body=body,
        summary=article.summary,
        index=pb.KnowledgeIndex(
            customer_types=article.customer_types,
            industries=article.industries,
            stage_keys=article.stage_keys,
            product_ids=article.product_ids,
        ),
        ability_keys=article.ability_keys,
        applied_hearing_keys=article.applied_hearing_keys,
        attachment_ids=article.attachment_ids,
        language_code=article.language_code,
        author_id=article.author_id,
        provenance=provenance.to_proto(article.provenance),
        valid_until_date=protos.date_proto(article.valid_until),
        create_time=protos.timestamp(article.created_at),
        update_time=protos.timestamp(article.updated_at),
    )
    if article.length_ms is not None:
        answer.length.FromMilliseconds(article.length_ms)
    return answer


def body_for(article: Article, roles: Iterable[str]) -> str:
    """Answers to a lesson's questions are for those who teach it."""
    if {"manager", "operations", "auditor"} & {role.lower() for role in roles}:
        return article.body
    return rules.without_answers(article.body)


def fields(given: Any, work: Work, only: Iterable[str] | None = None) -> dict[str, Any]:
    """The columns of a request or a row; of `only` those paths. Raises InvalidArgument STAGE_UNKNOWN, ABILITY_UNKNOWN,
    HEARING_UNKNOWN, LENGTH_OUT_OF_RANGE."""
    index = given.index
    named: dict[str, dict[str, Any]] = {
        "title": {"title": given.title},
        "body": {"body": given.body},
        "summary": {"summary": given.summary},
        "index": {
            "customer_types": sorted(set(index.customer_types)),
            "industries": sorted(set(index.industries)),
            "stage_keys": sorted(set(index.stage_keys)),
            "product_ids": sorted(set(index.product_ids)),
        },
        "length": {"length_ms": given.length.ToMilliseconds() if given.HasField("length") else None},
        "ability_keys": {"ability_keys": sorted(set(given.ability_keys))},
        "applied_hearing_keys": {"applied_hearing_keys": sorted(set(given.applied_hearing_keys))},
        "valid_until_date": {
            "valid_until": protos.day(given.valid_until_date, "valid_until_date")
            if given.HasField("valid_until_date")
            else None
        },
    }
    columns = {
        key: value for path, part in named.items() if only is None or path in only for key, value in part.items()
    }
    _check(columns, work)
    return columns


def _check(columns: dict[str, Any], work: Work) -> None:
    if (columns.get("length_ms") or 0) < 0:
        raise errors.InvalidArgument("LENGTH_OUT_OF_RANGE", "it takes some time", {"length": "negative"})
    stages = [
        f"{pipeline_id}/{stage.key}"
        for pipeline_id, pipeline in work.rules(PipelineRules).pipelines.items()
        for stage in pipeline.stages
    ]
    _known(columns.get("stage_keys", ()), stages, "STAGE_UNKNOWN", "index.stage_keys")
    _known(columns.get("ability_keys", ()), work.rules(AbilityRules).abilities, "ABILITY_UNKNOWN", "ability_keys")
    _known(columns.get("applied_hearing_keys", ()), hearings(work), "HEARING_UNKNOWN", "applied_hearing_keys")


def hearings(work: Work) -> set[str]:
    """Keys of the talk catalogue."""
    talk = work.rules(TalkRules)
    return {*talk.keywords, *talk.objections, *talk.churn, *talk.risks}


def _known(named: Sequence[str], there: Iterable[str], reason: str, field: str) -> None:
    strange = sorted(set(named) - set(there))
    if strange:
        raise errors.InvalidArgument(reason, f"nothing here is {strange[0]}", {field: f"{strange[0]} is unknown"})
