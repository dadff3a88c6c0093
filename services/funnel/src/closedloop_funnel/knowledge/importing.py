"""BulkImportArticles: a knowledge base in one call, each row standing for itself (S85, U14)."""

from __future__ import annotations

import asyncio
import hashlib

from closedloop.common.v1.common_pb2 import RowError
from closedloop.funnel.v1 import knowledge_pb2 as pb
from closedloop_chassis import bulk, errors, provenance
from closedloop_chassis.data import rows
from closedloop_chassis.ids import new_id
from closedloop_chassis.service import Rpcs
from closedloop_chassis.work import Call
from closedloop_funnel.knowledge import proto, store
from closedloop_funnel.knowledge.record import Article
from closedloop_funnel.words import word

rpcs = Rpcs("closedloop.funnel.v1.KnowledgeService")

# After so many rows others get their turn, and PostgreSQL begins to write.
BREATH = 200


@rpcs.method
async def bulk_import_articles(request: pb.BulkImportArticlesRequest, call: Call) -> pb.BulkImportArticlesResponse:
    good, refused = bulk.sift(request.rows)
    good = bulk.distinct(good, refused)
    call.tx.do(store.ONE_AT_A_TIME)
    params = {
        "sources": [row.provenance.source for _, row in good],
        "source_ids": [row.provenance.source_id.strip() for _, row in good],
    }
    known = {
        (one.provenance["source"], one.provenance["source_id"]): one
        for one in await call.tx.all(store.KNOWN, params, into=Article)
    }
    ids, created, changed = [""] * len(request.rows), 0, []
    for position, row in good:
        if position % BREATH == 0:
            await asyncio.sleep(0)
        before = known.get((row.provenance.source, row.provenance.source_id.strip()))
        article = _article(row, before, position, refused, call)
        if article is None:
            continue
        if before is not None or not request.validate_only:
            ids[position] = article.id
        if before is None or before.import_digest != article.import_digest:
            created += before is None
            changed.append((before, article))
    if not request.validate_only:
        await _write(changed, call)
    summary = bulk.summary(read=len(request.rows), created=created, updated=len(changed) - created, refused=refused)
    return pb.BulkImportArticlesResponse(summary=summary, article_ids=ids)


def _article(
    row: pb.ArticleRow, before: Article | None, position: int, refused: list[RowError], call: Call
) -> Article | None:
    said = pb.ArticleRow()
    said.CopyFrom(row)
    said.provenance.ClearField("observed_time")
    said.provenance.ClearField("brought_by")
    person = call.org.person(call.caller.subject)
    try:
        return Article(
            id=before.id if before else new_id(),
            version=before.version + 1 if before else 1,
            kind=word(pb.ArticleKind, row.kind),
            state=word(pb.ArticleState, row.state) or "published",
            attachment_ids=before.attachment_ids if before else [],
            language_code=row.language_code,
            author_id=before.author_id if before else call.caller.subject,
            unit_id=before.unit_id if before else (person.unit_id if person else ""),
            provenance=provenance.keep(row.provenance, call.actor),
            import_digest=hashlib.sha256(said.SerializeToString(deterministic=True)).hexdigest(),
            created_at=before.created_at if before else call.now,
            updated_at=call.now,
            **proto.fields(row, call),
        )
    except errors.DomainError as error:
        named = next(iter(error.violations), "") if isinstance(error, errors.InvalidArgument) else ""
        refused.append(bulk.refused(position, error, named))
        return None


async def _write(changed: list[tuple[Article | None, Article]], call: Call) -> None:
    for begin in range(0, len(changed), BREATH):
        part = changed[begin : begin + BREATH]
        store.put(call.tx, [article for _, article in part])
        for before, article in part:
            earlier = rows.row(before, "version", "updated_at") if before else None
            call.audit(article.id, "import", earlier, rows.row(article, "version", "updated_at"))
        await call.tx.send()
