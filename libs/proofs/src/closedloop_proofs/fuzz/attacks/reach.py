"""Whose records a caller reaches: every RPC that names a record, by roles whose grant does not span the company.

Who stands outside a record's reach is refused before anything is told of it, and no answer shows what lies outside;
who stands inside is not kept out. Grants come from the contract, whose a record is from the record's own words.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Any, cast

from buf.validate import validate_pb2
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from closedloop_chassis import contract, packages
from closedloop_chassis.contract import Method
from closedloop_proofs.fuzz.answers import Answer
from closedloop_proofs.fuzz.attacks.calls import CALLER, all_of
from closedloop_proofs.fuzz.ground import ROLES, Finding, Ground, Target
from closedloop_proofs.fuzz.records import Held, Records, held, walk
from closedloop_proofs.fuzz.requests import Plausible, rules_of

NAME = "reach"
# Nobody of the organisation: whatever the grant, it reaches nothing.
STRANGER = "stranger"
# Requests may meet a rule of their own before anybody asks whose the record is: then other ones are drawn.
DRAWS = 4
# Records whose parts are read before.
SURVEYED = 5
# Of each kind, and how many requests that may take.
CREATED, CREATION_DRAWS = 3, 12
REFUSED = frozenset({"PERMISSION_DENIED", "NOT_FOUND"})
UNDECIDED = frozenset({"INVALID_ARGUMENT", "UNIMPLEMENTED"})


@dataclass(frozen=True, slots=True)
class Attempt:
    """One caller with one role before one record; `record` is absent where a list is asked for whatever it shows."""

    target: Target
    role: str
    reach: str
    person: str
    record: Held | None
    inside: bool


async def attack(ground: Ground, records_each: int = 3) -> list[Finding]:
    await populate(ground)
    await survey(ground)

    async def one(attempt: Attempt) -> Finding | None:
        return await _try(ground, attempt)

    # Outsiders first: what insiders do changes the records.
    found = await all_of(one(attempt) for attempt in attempts(ground, records_each) if not attempt.inside)
    return found + await all_of(one(attempt) for attempt in attempts(ground, records_each) if attempt.inside)


async def populate(ground: Ground) -> None:
    """Records of all kinds that ordinary requests can create, for people all over the company."""

    async def one(target: Target) -> Finding | None:
        made = 0
        for number in range(CREATION_DRAWS):
            draw = ground.draw("create", target, number)
            request: Any = About(target.method, ground.records, draw, None, silence=draw.choice((0.9, 0.5, 0.2))).made()
            if "owner_id" in request.DESCRIPTOR.fields_by_name and ground.records.people:
                request.owner_id = draw.choice(sorted(ground.records.people))
            answer = await ground.ask(target, request.SerializeToString(), CALLER, *ROLES)
            made += answer.code == "OK"
            if made == CREATED or answer.code == "UNIMPLEMENTED":
                break
        return None

    await all_of(one(target) for target in ground.served if target.method.name.startswith("Create"))


async def survey(ground: Ground) -> None:
    """Lists that want to be told of what: so that the parts of records are known, and who takes part in them."""

    async def one(target: Target, record: Held) -> Finding | None:
        request: Any = target.method.request()
        about(request, target.method, record)
        page = request.DESCRIPTOR.fields_by_name.get("page_size")
        if page is not None:
            request.page_size = rules_of(page).int32.lte
        await ground.ask(target, request.SerializeToString(), CALLER, *ROLES)
        return None

    lists = [target for target in ground.served if target.method.name.startswith("List")]
    await all_of(one(target, record) for target in lists for record in _candidates(ground.records, target)[:SURVEYED])


def attempts(ground: Ground, records_each: int) -> Iterator[Attempt]:
    records = ground.records
    for target in ground.served:
        widest = dict(sorted(target.method.grants, key=lambda grant: _REACHES.index(grant[1])))
        for role, reach in widest.items():
            if reach == "company":
                continue
            draw = ground.draw("reach", target, role)
            known = _candidates(records, target)
            if subject(target.method) is None and target.method.name.startswith("List"):
                yield Attempt(target, role, reach, STRANGER, None, inside=False)
            for record in draw.sample(known, min(records_each, len(known))):
                yield Attempt(target, role, reach, STRANGER, record, inside=False)
                if not record.unit_id:
                    continue
                if other := _outsider(records, record, reach, draw):
                    yield Attempt(target, role, reach, other, record, inside=False)
                if record.owner_id in records.people:
                    yield Attempt(target, role, reach, record.owner_id, record, inside=True)


async def _try(ground: Ground, attempt: Attempt) -> Finding | None:
    answer, grant = None, (attempt.target.method.full_name, attempt.role)
    for number in range(DRAWS):
        draw = ground.draw("about", attempt, number)
        request = About(attempt.target.method, ground.records, draw, attempt.record).made()
        answer = await ground.ask(attempt.target, request.SerializeToString(), attempt.person, attempt.role)
        if answer.code not in UNDECIDED:
            break
    assert answer is not None
    if not attempt.inside and answer.code != "UNIMPLEMENTED":
        told = answer.code not in UNDECIDED
        ground.reached[grant] = ground.reached.get(grant, False) or told
    if attempt.inside:
        # Another record that the request names may be out of reach.
        alone = attempt.record is not None and not _others(ground.records, request, attempt.record)
        fault = answer.fault or (_shut_out(answer) if alone else "")
        if fault and not answer.fault and not await _still_theirs(ground, attempt):
            fault = ""
    else:
        fault = answer.fault or _let_in(ground.records, attempt, answer)
    if fault:
        of = f" of {attempt.record.owner_id} in {attempt.record.unit_id}" if attempt.record else ""
        where = f"{attempt.target} by {attempt.person} as {attempt.role} (reach {attempt.reach}){of}"
        return Finding(NAME, where, fault, request.SerializeToString().hex())
    return None


async def _still_theirs(ground: Ground, attempt: Attempt) -> bool:
    """What others who reach the record have done meanwhile may have given it to somebody else."""
    record = attempt.record
    assert record is not None
    reading = f"Get{record.kind.rpartition('.')[2]}"
    for target in ground.served:
        if target.method.name == reading:
            request: Any = target.method.request()
            about(request, target.method, record)
            await ground.ask(target, request.SerializeToString(), CALLER, *ROLES)
    now = ground.records.held.get(record.id, record)
    return (now.owner_id, now.unit_id) == (record.owner_id, record.unit_id)


def _others(records: Records, request: Message, record: Held) -> bool:
    return any(
        (one in records.held and one != record.id) or (one in records.units and one != record.unit_id)
        for part in walk(request)
        for field, value in part.ListFields()
        if field.type == FieldDescriptor.TYPE_STRING
        for one in (value if field.is_repeated else (value,))
    )


def _shut_out(answer: Answer) -> str:
    refused = answer.reason in ("OUT_OF_SCOPE", "ROLE_NOT_GRANTED")
    return f"is kept from what is theirs: {answer.words}" if refused else ""


def _let_in(records: Records, attempt: Attempt, answer: Answer) -> str:
    if answer.message is not None:
        for part in walk(answer.message):
            if "id" in part.DESCRIPTOR.fields_by_name and "ownership" in part.DESCRIPTOR.fields_by_name:
                shown = held(part)
                if not _covers(records, attempt.person, attempt.reach, shown):
                    return f"is shown {shown.kind} {shown.id} of {shown.owner_id} in {shown.unit_id}"
        if attempt.record is None:
            return f"is shown {str(answer.message)[:200]}" if _rows(answer.message) else ""
        return "" if answer.message.ByteSize() == 0 or answer.all_rows_refused else "was served"
    if attempt.record is None or answer.code in REFUSED | UNDECIDED or _open(attempt):
        return ""
    return f"is told {answer.code} {answer.reason}: {answer.words[:200]}"


def _rows(answer: Message) -> bool:
    return any(field.is_repeated and field.message_type is not None for field, _ in answer.ListFields())


def _open(attempt: Attempt) -> bool:
    """Whether the role may read every record of this kind: then its state is no secret, though acting on it may be."""
    assert attempt.record is not None
    return (attempt.record.kind, attempt.role) in _read_by_all(attempt.record.kind.rpartition(".")[0])


@cache
def _read_by_all(package: str) -> frozenset[tuple[str, str]]:
    return frozenset(
        (method.response.DESCRIPTOR.full_name, role)
        for name in packages.services(package)
        for method in contract.methods(name)
        if not method.mutates
        for role, reach in method.grants
        if reach == "company"
    )


@cache
def _answered(package: str) -> frozenset[str]:
    """What RPCs answer one of is a record; other messages with an id only name one."""
    methods = (method for name in packages.services(package) for method in contract.methods(name))
    return frozenset(method.response.DESCRIPTOR.full_name for method in methods)


def _covers(records: Records, person: str, reach: str, record: Held) -> bool:
    if person in record.named:
        return True
    unit = records.people.get(person, "")
    if not unit or not record.unit_id or reach == "own":
        return False
    return unit == record.unit_id if reach == "unit" else records.within(record.unit_id, unit)


def _outsider(records: Records, record: Held, reach: str, draw: Random) -> str:
    """Somebody whom neither the record nor any part of it concerns."""
    concerning = [record, *(part for part in records.held.values() if record.id in part.named)]
    outside = [
        person for person in records.people if not any(_covers(records, person, reach, part) for part in concerning)
    ]
    return draw.choice(sorted(outside)) if outside else ""


_REACHES = ("own", "unit", "subtree", "company")


def _candidates(records: Records, target: Target) -> list[Held]:
    """Records of this service that the request could be about."""
    field = subject(target.method)
    if field is None:
        return []
    package = target.method.service.rpartition(".")[0]
    ours = [record for record in records.held.values() if record.kind in _answered(package)]
    if field.message_type is not None:
        kinds = {f"{package}.{_camel(value.name.partition('_TYPE_')[2])}" for value in _types(field)}
        return [record for record in ours if record.kind in kinds]
    wanted = _stem(target.method) if field.name == "id" else _camel(field.name.removesuffix("_id"))
    exact = [record for record in ours if record.kind == f"{package}.{wanted}"]
    return exact or [record for record in ours if record.kind.endswith(wanted)]


def subject(method: Method) -> FieldDescriptor | None:
    """The field that says which record the call is about: the first that must name one."""
    declared: Any = method.request.DESCRIPTOR
    for field in declared.fields:
        rules = rules_of(field)
        if field.is_repeated or rules.ignore == validate_pb2.IGNORE_IF_ZERO_VALUE:
            continue
        if field.type == FieldDescriptor.TYPE_STRING:
            asked = rules.required or rules.string.uuid or rules.string.min_len > 0
            if asked and (field.name == "id" or field.name.endswith("_id")) and field.name != "request_id":
                return cast(FieldDescriptor, field)
        elif field.message_type is not None and field.message_type.name == "RecordReference" and rules.required:
            return cast(FieldDescriptor, field)
    return None


def _types(reference: FieldDescriptor) -> list[Any]:
    kind: Any = reference.message_type
    return list(kind.fields_by_name["type"].enum_type.values)


def _stem(method: Method) -> str:
    """The type of record that a field called `id` names: what is answered, or what the service is of."""
    answered = method.response.DESCRIPTOR
    service = method.service.rpartition(".")[2].removesuffix("Service")
    return answered.name if "id" in answered.fields_by_name and method.name.endswith(answered.name) else service


def _camel(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("_"))


class About(Plausible):
    """An ordinary request about one record."""

    def __init__(
        self, method: Method, records: Records, draw: Random, record: Held | None, silence: float = 1.0
    ) -> None:
        super().__init__(method, records, draw)
        self._record = record
        self._edgy = False
        self._silence = silence if record is None else draw.choice((0.9, 0.5))
        if record is not None:
            self._named = record.id

    def made(self) -> Message:
        request = super().made()
        if self._record is not None:
            about(request, self._method, self._record)
        return request


def about(request: Any, method: Method, record: Held) -> None:
    """Names the record where the request wants one."""
    field = subject(method)
    if field is None:
        return
    if field.message_type is None:
        setattr(request, field.name, record.id)
        return
    reference, kind = getattr(request, field.name), record.kind.rpartition(".")[2]
    reference.id = record.id
    reference.type = next(one.number for one in _types(field) if _camel(one.name.partition("_TYPE_")[2]) == kind)
