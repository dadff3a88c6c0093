"""A sample is drawn and its questionnaires leave."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from closedloop.integrations.v1 import deliveries_pb2
from closedloop.integrations.v1 import events_pb2 as integrations
from closedloop_chassis import errors, protos
from closedloop_chassis.data import rows
from closedloop_chassis.ids import new_id
from closedloop_chassis.work import Work
from closedloop_funnel.surveys import rules, store
from closedloop_funnel.surveys.rules import SurveyRules
from closedloop_funnel.surveys.store import Survey

ORIGIN = "funnel"


async def draw(
    work: Work, begins: datetime, ends: datetime, unit_id: str, units: Sequence[str] | None, seed: int, *, chosen: bool
) -> str:
    """The sample's id; one drawn before is answered when the seed is the same or nobody `chosen` one.

    Raises FailedPrecondition SAMPLE_EXISTS.
    """
    asked = work.rules(SurveyRules)
    span: dict[str, Any] = {"from": begins, "to": ends, "unit_id": unit_id}
    before = await store.earlier(work.tx, span)
    if before is not None:
        if chosen and before["seed"] != seed:
            raise errors.FailedPrecondition(
                "SAMPLE_EXISTS", f"it was drawn from seed {before['seed']}", sample_id=before["id"]
            )
        return str(before["id"])
    found = await work.tx.all(store.POPULATION, {**span, "kinds": list(asked.contact_kinds), "units": units})
    population: defaultdict[str, list[str]] = defaultdict(list)
    for row in found:
        population[row["owner_id"]].append(row["id"])
    drawn = set(rules.sample(population, asked.ratio, seed))
    sample_id = new_id()
    expires = work.calendars.due(asked.expires, work.now)
    surveys = [_survey(row, sample_id, expires, work) for row in found if row["id"] in drawn]
    counted = {"id": sample_id, "seed": seed, "ratio": asked.ratio, "now": work.now}
    work.tx.do(store.ADD_SAMPLE, {**span, **counted, "population": len(found), "drawn": len(surveys)})
    if surveys:
        work.tx.do(store.ADD, {"rows": rows.pack(surveys)})
    for survey in surveys:
        if survey.contact_id:
            work.tell(_letter(survey, asked), survey.id)
    work.audit(sample_id, "draw_sample", after={"seed": seed, "population": len(found), "drawn": len(surveys)})
    return sample_id


def _survey(row: dict[str, Any], sample_id: str, expires: datetime, work: Work) -> Survey:
    contact = next(iter(row["contact_ids"]), None)
    return Survey(
        id=new_id(),
        sample_id=sample_id,
        activity_id=row["id"],
        account_id=row["account_id"],
        contact_id=contact,
        owner_id=row["owner_id"],
        unit_id=row["unit_id"],
        # Nobody to ask is an answer of its own: the log names no contact.
        state="sent" if contact else "undeliverable",
        sent_at=work.now,
        expires_at=expires,
    )


def _letter(survey: Survey, asked: SurveyRules) -> integrations.DeliveryRequested:
    questions = "\n".join(f"{number}. {one.text}" for number, one in enumerate(asked.questions.values(), 1))
    content = deliveries_pb2.DeliveryContent(
        dedupe_key=f"funnel.survey:{survey.id}",
        origin=ORIGIN,
        purpose=deliveries_pb2.DELIVERY_PURPOSE_SURVEY,
        recipient=deliveries_pb2.Recipient(contact_id=survey.contact_id or "", account_id=survey.account_id or ""),
        written=deliveries_pb2.WrittenBody(subject=asked.subject, text=f"{asked.letter}\n{questions}\n[{survey.id}]"),
        topic="survey",
        expire_time=protos.timestamp(survey.expires_at),
        subject_type="survey",
        subject_id=survey.id,
    )
    return integrations.DeliveryRequested(content=content)
