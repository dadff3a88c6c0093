"""What the platform is known to hold, learned from its own answers: ids, codes and etags that exist."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from closedloop.targets.v1.org_pb2 import OrgState, Person, Unit
from closedloop_chassis import contract

KEPT = 200
HELD = 10_000
# Names of fields whose values are worth using again.
ENDINGS = ("id", "ids", "key", "keys", "code", "codes", "source", "number", "token")
NAMES = frozenset({"name", "metric", "kind", "subject", "company_name", "rulebook", "type", "etag"})


@dataclass(frozen=True, slots=True)
class Held:
    """A record, and whose it is. `named`: whatever it names in any field, its participants among them."""

    id: str
    kind: str
    owner_id: str
    unit_id: str
    named: frozenset[str]


@dataclass
class Records:
    """Values by the name of the field that would take them: `account_id`, or `Account.id` for the id of an Account."""

    values: dict[str, dict[str, None]] = field(default_factory=lambda: defaultdict(dict))
    etags: dict[str, str] = field(default_factory=dict)
    held: dict[str, Held] = field(default_factory=dict)
    # The unit above each unit, the unit of each active person.
    units: dict[str, str] = field(default_factory=dict)
    people: dict[str, str] = field(default_factory=dict)

    def learn(self, message: Message) -> None:
        """Takes in an answer with everything inside it."""
        for record in walk(message):
            self._learn(record)

    def _learn(self, record: Message) -> None:
        kind = record.DESCRIPTOR.name
        id_ = ""
        for field_, value in record.ListFields():
            if field_.type != FieldDescriptor.TYPE_STRING:
                continue
            name = str(field_.name)
            if not (name in NAMES or name.endswith(ENDINGS)):
                continue
            for one in value if field_.is_repeated else (value,):
                self._keep(singular(name), one)
                if name == "id":
                    self._keep(f"{kind}.id", one)
                    id_ = one
        if id_:
            self._learn_of_record(record, id_)

    def _learn_of_record(self, record: Message, id_: str) -> None:
        fields = record.DESCRIPTOR.fields_by_name
        if "etag" in fields:
            self.etags[id_] = record.etag  # type: ignore[attr-defined]
        kind = record.DESCRIPTOR.full_name
        if kind == Unit.DESCRIPTOR.full_name:
            self.units[id_] = record.parent_id  # type: ignore[attr-defined]
        elif kind == Person.DESCRIPTOR.full_name and record.state == OrgState.ORG_STATE_ACTIVE:  # type: ignore[attr-defined]
            self.people[id_] = record.unit_id  # type: ignore[attr-defined]
        else:
            self.held[id_] = held(record)
            if len(self.held) > HELD:
                del self.held[next(iter(self.held))]

    def within(self, unit_id: str, top: str) -> bool:
        """Whether a unit is `top` or stands below it."""
        while unit_id and unit_id != top:
            unit_id = self.units.get(unit_id, "")
        return unit_id == top

    def _keep(self, name: str, value: str) -> None:
        kept = self.values[name]
        kept.pop(value, None)
        kept[value] = None
        if len(kept) > KEPT:
            del kept[next(iter(kept))]

    def of_kind(self, kind: str, draw: Random) -> str:
        """The id of a record of that kind, empty where none is known."""
        known = self.values.get(f"{kind}.id")
        return draw.choice(list(known)) if known else ""

    def fitting(self, message: str, field_name: str, draw: Random) -> str:
        """A value that this field could take, empty where none is known. `message`: the type the field stands in."""
        for name in names(message, field_name):
            if known := self.values.get(name):
                return draw.choice(list(known))
        return ""


def held(record: Any) -> Held:
    """`record` has an `id`; without an `ownership` it is unknown whose it is."""
    named = frozenset(
        one
        for part in walk(record)
        for of_part, value in part.ListFields()
        if of_part.type == FieldDescriptor.TYPE_STRING
        for one in (value if of_part.is_repeated else (value,))
    )
    kind = record.DESCRIPTOR
    if "ownership" not in kind.fields_by_name:
        return Held(record.id, kind.full_name, "", "", named)
    return Held(record.id, kind.full_name, record.ownership.owner_id, record.ownership.unit_id, named)


def names(message: str, field_name: str) -> Iterator[str]:
    name = singular(field_name)
    if name == "id":
        # GetLeadRequest.id is the id of a Lead; so is that of RecordResponseRequest, which LeadService alone takes.
        stem = message.removesuffix("Request")
        words = _words(stem)
        for start in range(1, len(words)):
            yield f"{''.join(words[start:])}.id"
    if name.endswith("_id"):
        yield f"{''.join(word.capitalize() for word in name.removesuffix('_id').split('_'))}.id"
        yield name
        # parent_account_id, from_person_id: the last word says what it is.
        last = name.removesuffix("_id").split("_")[-1]
        yield f"{last}_id"
        yield f"{last.capitalize()}.id"
    else:
        yield name


def _words(name: str) -> list[str]:
    found: list[str] = []
    for letter in name:
        if letter.isupper() or not found:
            found.append(letter)
        else:
            found[-1] += letter
    return found


def singular(name: str) -> str:
    return name.removesuffix("s") if name.endswith(("ids", "keys", "codes")) else name


def personal(message: Message) -> Iterator[tuple[str, str]]:
    """Phone numbers and mail addresses in fields the contract calls personal."""
    for record in walk(message):
        for named, value in record.ListFields():
            if named.type == named.TYPE_STRING and contract.is_personal(named):
                for one in value if named.is_repeated else (value,):
                    if "@" in one or sum(letter.isdigit() for letter in one) >= 8:
                        yield f"{named.full_name} of a record", one


def walk(message: Message) -> Iterator[Message]:
    """The message and all messages of ours inside it."""
    yield message
    for field_, value in message.ListFields():
        kind = field_.message_type
        if kind is None or kind.full_name.startswith("google."):
            continue
        if kind.GetOptions().map_entry:
            if kind.fields_by_name["value"].message_type is not None:
                for one in value.values():
                    yield from walk(one)
        elif field_.is_repeated:
            for one in value:
                yield from walk(one)
        else:
            yield from walk(value)
