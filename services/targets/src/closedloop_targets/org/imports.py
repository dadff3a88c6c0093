"""ImportOrg: the organisation of another system in one call."""

from __future__ import annotations

from closedloop.common.v1.common_pb2 import BulkSummary, RowError
from closedloop.targets.v1 import org_pb2 as pb
from closedloop_chassis import bulk, errors, protos, provenance
from closedloop_chassis.work import Call
from closedloop_targets.custom_fields import TargetFieldRules
from closedloop_targets.org import announce, inputs, intake, rules, store
from closedloop_targets.org.intake import Row
from closedloop_targets.org.rpcs import rpcs
from closedloop_targets.org.rules import OrgRules
from closedloop_targets.org.store import Organisation


@rpcs.method
async def import_org(request: pb.ImportOrgRequest, call: Call) -> BulkSummary:
    good, refused = bulk.sift(request.rows)
    own = call.rules(TargetFieldRules)
    rows = []
    for position, given in good:
        try:
            rows.append(_row(position, given, call.actor, own))
        except errors.DomainError as error:
            refused.append(bulk.refused(position, error))
    before = await store.load_for_change(call.tx)
    today = announce.today(call, before)
    day = protos.day(request.effective_date, "effective_date") if request.HasField("effective_date") else today
    taken = intake.take(rows, before.units, before.people, day, call.now, call.rules(OrgRules))
    refused += [bulk.refused(position, error) for position, error in taken.refused.items()]
    if not request.validate_only and (taken.units or taken.people):
        _save(call, before, taken, request, refused)
    return bulk.summary(read=len(request.rows), created=taken.created, updated=taken.updated, refused=refused)


def _save(
    call: Call, before: Organisation, taken: intake.Intake, request: pb.ImportOrgRequest, refused: list[RowError]
) -> None:
    after = Organisation({**before.units, **taken.units}, {**before.people, **taken.people})
    rules.check_tree(before.units, after.units, taken.units, call.rules(OrgRules))
    # A first import brings the root and with it the company's zone: its day is looked up in the tree that comes.
    announce.save(call, before, after, announce.today(call, after))
    call.audit(
        "org",
        "import",
        after={
            "units": sorted(taken.units),
            "people": sorted(taken.people),
            "created": taken.created,
            "updated": taken.updated,
            "rejected": len(refused),
        },
    )


def _row(position: int, given: pb.OrgRow, actor: str, own: TargetFieldRules) -> Row:
    if given.HasField("unit"):
        source, fields = provenance.keep(given.unit.provenance, actor), inputs.unit_fields(given.unit)
        inputs.check_own("unit", fields, own)
        return Row(position, "unit", given.unit.id, fields, source)
    person = given.person
    hired = protos.day(person.hire_date, "person.hire_date") if person.HasField("hire_date") else None
    source, fields = provenance.keep(person.provenance, actor), inputs.person_fields(person)
    inputs.check_own("person", fields, own)
    return Row(position, "person", person.id, fields, source, hired)
