"""Somebody has left: what they still own is their manager's to hand over (S82)."""

from __future__ import annotations

from collections.abc import Collection

from closedloop.common.v1.common_pb2 import Evidence, Light
from closedloop_chassis.work import Work
from closedloop_customers import asking

LEFT = "customers.owner_left"

OWNED = """
SELECT person_id, (SELECT count(*) FROM lead WHERE owner_id = person_id AND stage <> 'closed') AS leads,
       (SELECT count(*) FROM account WHERE owner_id = person_id AND status NOT IN ('merged', 'retired')) AS accounts
  FROM unnest(%(people)s::text[]) AS person_id
"""


async def raise_task(work: Work, person_id: str, unit_id: str) -> None:
    """One task for all that a person who has left still owns; none where that is nothing. One round trip."""
    for row in await work.tx.all(OWNED, {"people": [person_id]}):
        if row["leads"] or row["accounts"]:
            name = asking.name_of(work, person_id)
            asking.task(
                work,
                kind="intervention",
                warning=LEFT,
                origin_checks=True,
                subject_type="person",
                subject_id=person_id,
                title=f"{name} 已离职，名下客户待交接",
                description=f"{name} 名下还有 {row['accounts']} 个客户、{row['leads']} 条未结线索：请移交他人或按规则重新分配。",
                assignee="manager_of_owner",
                owner_id=person_id,
                unit_id=unit_id,
                light=Light.LIGHT_RED,
                evidence=[
                    Evidence(name="accounts", value=row["accounts"], unit="1"),
                    Evidence(name="leads", value=row["leads"], unit="1"),
                ],
            )


async def settle(work: Work, people: Collection[str]) -> None:
    """Calls the task off where nothing is left to hand over. One round trip."""
    known = {id_: work.org.person(id_) for id_ in people}
    gone = sorted(id_ for id_, person in known.items() if person is not None and not person.active)
    for row in await work.tx.all(OWNED, {"people": gone}) if gone else ():
        if not row["leads"] and not row["accounts"]:
            asking.task_cleared(work, LEFT, row["person_id"])
