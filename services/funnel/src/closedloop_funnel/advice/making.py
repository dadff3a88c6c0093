"""Advice is made for many at once: a few statements, whatever their number."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from closedloop_chassis.clocks.due import Rung
from closedloop_chassis.data import rows
from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_chassis.ids import new_id
from closedloop_chassis.service import Reactions
from closedloop_chassis.work import Work
from closedloop_funnel.abilities.rules import AbilityRules
from closedloop_funnel.advice import rules, store
from closedloop_funnel.advice.rules import AdviceRules, Heard, Raised, Votes
from closedloop_funnel.advice.soon import ADVICE, PROPOSAL, TALK
from closedloop_funnel.advice.store import Advice

reactions = Reactions()

# To read more, per item.
MOST_ARTICLES = 3


@reactions.timer(ADVICE)
async def advise(rung: Sequence[Rung], work: Work) -> None:
    talks = [one.subject.removeprefix(TALK) for one in rung if one.subject.startswith(TALK)]
    proposals = [one.subject.removeprefix(PROPOSAL) for one in rung if one.subject.startswith(PROPOSAL)]
    made = [*(await on_talks(work.tx, work, talks)), *(await on_proposals(work.tx, work, proposals))]
    given = [one for one in made if one.items]
    if given:
        work.tx.do(store.ADD, {"rows": rows.pack(given)})


async def on_talks(db: Reader | Transaction, work: Work, activity_ids: Sequence[str]) -> list[Advice]:
    if not activity_ids:
        return []
    votes, advised_by = await _votes(db), work.rules(AdviceRules)
    found = []
    for row in await db.all(store.TALKS, {"ids": list(activity_ids)}):
        chosen = rules.on_talk(advised_by, [Heard(**one) for one in row["heard"]], votes)
        items = [
            {
                "key": heard.key,
                "title": hint.title,
                "text": hint.text,
                "sentence": heard.sentence,
                "reasons": [_reason("confidence", heard.confidence), _reason("helped", _liked(work, heard.key, votes))],
            }
            for heard, hint in chosen
        ]
        found.append(_advice("talk", row, items, work))
    return await _with_articles(db, work, found)


async def on_proposals(db: Reader | Transaction, work: Work, proposal_ids: Sequence[str]) -> list[Advice]:
    if not proposal_ids:
        return []
    votes, advised_by = await _votes(db), work.rules(AdviceRules)
    since = work.now - timedelta(days=advised_by.since_days)
    found = []
    for row in await db.all(store.CLAUSES, {"ids": list(proposal_ids), "since": since}):
        raised = [Raised(one["key"], one["raised"], row["similar"]) for one in row["raised"]]
        alike = " · ".join(filter(None, (row["customer_type"], row["industry"])))
        items = []
        for one in rules.on_clauses(advised_by, raised, votes):
            hint = advised_by.clauses.get(one.key)
            items.append(
                {
                    "key": one.key,
                    "title": hint.title if hint else one.key,
                    "text": hint.text if hint else "",
                    "raised": one.raised,
                    "similar": one.similar,
                    "reasons": [
                        _reason("raised_share", one.raised / one.similar, f"{one.raised} of {one.similar}: {alike}"),
                        _reason("helped", _liked(work, one.key, votes)),
                    ],
                }
            )
        found.append(_advice("clauses", row, items, work))
    return await _with_articles(db, work, found)


def _advice(kind: str, row: Mapping[str, Any], items: list[dict[str, Any]], work: Work) -> Advice:
    return Advice(
        id=new_id(),
        kind=kind,
        person_id=row["owner_id"],
        unit_id=row["unit_id"],
        opportunity_id=row["opportunity_id"],
        activity_id=row.get("activity_id"),
        proposal_id=row.get("proposal_id"),
        items=items,
        created_at=work.now,
    )


async def _votes(db: Reader | Transaction) -> dict[str, Votes]:
    return {row["key"]: Votes(row["rated"], row["helpful"]) for row in await db.all(store.VOTES)}


def _liked(work: Work, key: str, votes: Mapping[str, Votes]) -> float:
    return rules.liked(work.rules(AdviceRules), votes.get(key, Votes()))


def _reason(name: str, value: float, text: str = "") -> dict[str, Any]:
    return {"name": name, "value": value, "unit": "1", "text": text}


async def _with_articles(db: Reader | Transaction, work: Work, found: list[Advice]) -> list[Advice]:
    titles = {item["key"]: item["title"] for one in found for item in one.items}
    if not titles:
        return found
    abilities = work.rules(AbilityRules).abilities
    params = {
        "keys": list(titles),
        "titles": list(titles.values()),
        "abilities": [
            ",".join(name for name, rule in abilities.items() if key in (*rule.risks, *rule.objections))
            for key in titles
        ],
    }
    known = {row["key"]: row["ids"] for row in await db.all(store.ARTICLES, params)}
    for item in _items(found):
        item["article_ids"] = known.get(item["key"], [])[:MOST_ARTICLES]
    return found


def _items(found: Iterable[Advice]) -> list[dict[str, Any]]:
    return [item for one in found for item in one.items]
