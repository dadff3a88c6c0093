"""Lessons are offered by rule: where a deal opens, where it comes to a step, when a breaker opens (S86, S55)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import timedelta

from closedloop_chassis.clocks.due import Rung
from closedloop_chassis.data import rows
from closedloop_chassis.ids import new_id
from closedloop_chassis.service import Reactions
from closedloop_chassis.work import Work
from closedloop_funnel.lessons import rules, store
from closedloop_funnel.lessons.rules import Lesson, LessonRules, Step
from closedloop_funnel.lessons.soon import BREAKER, LESSONS
from closedloop_funnel.lessons.store import Offer

reactions = Reactions()

PRESSING = {"breaker": 2, "opened": 1, "step": 1, "": 0}


@reactions.timer(LESSONS)
async def offer(rung: Sequence[Rung], work: Work) -> None:
    opened = {one.subject: bool(one.attributes.get("opened")) for one in rung if one.subject.count(":") == 0}
    sellers = [one.subject.removeprefix(BREAKER) for one in rung if one.subject.startswith(BREAKER)]
    judged_by, today = work.rules(LessonRules), work.home.today()
    lessons = await work.tx.all(store.LESSONS, {"today": today}, into=Lesson)
    if not lessons:
        return
    deals = await work.tx.all(store.DEALS, {"ids": sorted(opened)})
    people = sorted({deal["owner_id"] for deal in deals} | set(sellers))
    had = await lately(work, people)
    offers = []
    for deal in deals:
        step = Step(
            customer_type=deal["customer_type"],
            industry=deal["industry"],
            stage=deal["stage"],
            product_ids=deal["product_ids"],
            opened=opened[deal["id"]],
        )
        for article_id in rules.chosen(judged_by, step, lessons, had[deal["owner_id"]]):
            had[deal["owner_id"]].add(article_id)
            rule = "opened" if step.opened else "step"
            offers.append(
                make(
                    work,
                    deal["owner_id"],
                    article_id,
                    rule,
                    f"{deal['name']} is at {step.stage}",
                    deal["id"],
                    step.stage,
                )
            )
    for person_id in sellers:
        offers.extend(
            make(work, person_id, article_id, "breaker", "many visits and few opportunities")
            for article_id in rules.for_breaker(judged_by, lessons, had[person_id])
        )
    await put(work, offers)


async def lately(work: Work, people: Sequence[str]) -> defaultdict[str, set[str]]:
    """Lessons by person that are not offered again yet; what has expired is noted."""
    work.tx.do(store.EXPIRE, {"people": list(people), "now": work.now})
    since = work.now - timedelta(days=work.rules(LessonRules).again_days)
    found: defaultdict[str, set[str]] = defaultdict(set)
    for row in await work.tx.all(store.HAD, {"people": list(people), "since": since}):
        found[row["person_id"]].add(row["article_id"])
    return found


def make(
    work: Work,
    person_id: str,
    article_id: str,
    rule: str,
    explanation: str,
    opportunity_id: str = "",
    stage_key: str = "",
    training_id: str = "",
) -> Offer:
    person = work.org.person(person_id)
    unit_id = person.unit_id if person else ""
    return Offer(
        id=new_id(),
        person_id=person_id,
        unit_id=unit_id,
        article_id=article_id,
        opportunity_id=opportunity_id or None,
        stage_key=stage_key,
        training_id=training_id or None,
        rule=rule,
        rule_version=work.process.rulebooks.version(LessonRules, work.now) if rule else 0,
        explanation=explanation,
        offered_by=work.actor,
        pressing=PRESSING[rule],
        offered_at=work.now,
        expires_at=work.calendars.due(work.rules(LessonRules).open_for, work.now, unit_id),
    )


async def put(work: Work, offers: Iterable[Offer]) -> set[str]:
    """Ids of those that came to be; one that lies on the person's table already stays as it is."""
    given = list(offers)
    if not given:
        return set()
    return {row["id"] for row in await work.tx.all(store.ADD, {"rows": rows.pack(given)})}
