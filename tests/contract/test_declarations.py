"""What every contract must declare. A new RPC or event that forgets something fails here, by name."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest
from buf.validate import validate_pb2
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor

from closedloop.options.v1 import options_pb2
from closedloop_chassis import contract, packages

PROTOS = Path(__file__).parents[2] / "protos"
SERVICES = ("targets", "customers", "funnel", "approvals", "integrations")
PACKAGES = [f"closedloop.{name}.v1" for name in (*SERVICES, "platform")]
# A watch lasts as long as its watcher; everything else ends.
LONGEST_UNARY = 300.0


def methods() -> list[MethodDescriptor]:
    names = [name for package in PACKAGES for name in packages.services(package)]
    return [method for name in names for method in contract.service(name).methods]


def events() -> list[Descriptor]:
    found = []
    for name in SERVICES:
        module = import_module(f"closedloop.{name}.v1.events_pb2")
        found += [m for m in module.DESCRIPTOR.message_types_by_name.values() if is_event(m)]
    return found


def is_event(message: Descriptor) -> bool:
    return bool(message.GetOptions().HasExtension(options_pb2.event))


each_method = pytest.mark.parametrize("method", methods(), ids=lambda m: m.full_name.removeprefix("closedloop."))
each_event = pytest.mark.parametrize("event", events(), ids=lambda m: m.full_name.removeprefix("closedloop."))


@each_method
def test_every_rpc_says_who_may_call_it_how_long_it_takes_and_what_it_promises(method: MethodDescriptor) -> None:
    rule = contract.method(method)
    assert rule.grants, "nobody may call it"
    assert all("unspecified" not in (role, reach) for role, reach in rule.grants)
    assert len({role for role, _ in rule.grants}) == len(rule.grants), "one grant a role"
    assert rule.deadline > 0
    assert rule.streams or rule.deadline <= LONGEST_UNARY
    assert 0 < rule.latency_p99 <= rule.deadline
    assert 0.9 <= rule.availability < 1
    assert not method.client_streaming


@each_method
def test_every_mutation_takes_a_request_id_and_only_mutations_do(method: MethodDescriptor) -> None:
    fields = method.input_type.fields_by_name
    assert ("request_id" in fields) == contract.method(method).mutates
    if "request_id" in fields:
        assert fields["request_id"].number == 1
        length = fields["request_id"].GetOptions().Extensions[validate_pb2.field].string
        assert (length.min_len, length.max_len) == (8, 64)


@each_method
def test_every_list_is_paged(method: MethodDescriptor) -> None:
    request, response = method.input_type.fields_by_name, method.output_type.fields_by_name
    if method.name.startswith("List") or "page_size" in request:
        assert {"page_size", "page_token"} <= set(request.keys())
        assert "next_page_token" in response
    if "page_size" in request:
        size = request["page_size"].GetOptions().Extensions[validate_pb2.field].int32
        assert (size.gte, size.lte) == (0, 1000)


@each_method
def test_every_text_and_list_of_a_request_is_bounded(method: MethodDescriptor) -> None:
    assert sorted(unbounded(method.input_type, set())) == []


def unbounded(message: Descriptor, seen: set[str]) -> list[str]:
    """Paths of fields without an upper bound, through all messages of ours."""
    if message.full_name in seen or not message.full_name.startswith("closedloop."):
        return []
    seen.add(message.full_name)
    found = []
    for field in message.fields:
        if not has_bound(field):
            found.append(field.full_name)
        if field.message_type is not None and not field.message_type.GetOptions().map_entry:
            found += unbounded(field.message_type, seen)
    return found


def has_bound(field: FieldDescriptor) -> bool:
    rules = field.GetOptions().Extensions[validate_pb2.field]
    if field.is_repeated:
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            kinds = field.message_type.fields_by_name
            return bool(rules.map.max_pairs) and is_bounded(kinds["key"], rules.map.keys)
        return bool(rules.repeated.max_items)
    return is_bounded(field, rules)


def is_bounded(field: FieldDescriptor, rules: validate_pb2.FieldRules) -> bool:
    if field.type == FieldDescriptor.TYPE_STRING:
        text = rules.string
        shaped = text.WhichOneof("well_known") or text.pattern or getattr(text, "in") or text.const
        return bool(text.max_len or text.len or text.max_bytes or shaped)
    if field.type == FieldDescriptor.TYPE_BYTES:
        return bool(rules.bytes.max_len or rules.bytes.len)
    return True


# Corrections, returns and both sides of a book may be below zero.
SIGNED = {"closedloop.targets.v1.Amount.money", "closedloop.targets.v1.ConvertMoneyRequest.amount"}


@each_method
def test_money_that_is_asked_for_is_not_negative(method: MethodDescriptor) -> None:
    assert sorted(money_without_a_sign(method.input_type, set())) == []


def money_without_a_sign(message: Descriptor, seen: set[str]) -> list[str]:
    if message.full_name in seen or not message.full_name.startswith("closedloop."):
        return []
    seen.add(message.full_name)
    found = []
    for field in message.fields:
        if field.message_type is None:
            continue
        if field.message_type.full_name == "google.type.Money":
            rules = field.GetOptions().Extensions[validate_pb2.field].cel
            books = field.full_name.startswith("closedloop.integrations.")
            if not (books or field.full_name in SIGNED or any("units >= 0" in rule.expression for rule in rules)):
                found.append(field.full_name)
        else:
            found += money_without_a_sign(field.message_type, seen)
    return found


@each_event
def test_every_event_names_its_type_and_its_consumers(event: Descriptor) -> None:
    option = event.GetOptions().Extensions[options_pb2.event]
    service = event.full_name.split(".")[1]
    assert option.type.startswith(f"closedloop.{service}.")
    assert option.type.endswith(".v1")
    assert option.consumers
    assert set(option.consumers) <= set(SERVICES)


def test_event_types_are_unique() -> None:
    types = [event.GetOptions().Extensions[options_pb2.event].type for event in events()]
    assert len(types) == len(set(types))


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_reacts_only_to_events_that_are_sent_to_it(name: str) -> None:
    assert find_spec(f"closedloop_{name}"), f"the package of {name} is not installed"
    service = import_module(f"closedloop_{name}.service").SERVICE
    for part in service.slices:
        for event_type, (message, _) in part.reactions.events.items():
            assert name in contract.route(message).consumers, (
                f"{part.name} reacts to {event_type}, which is not sent here"
            )


@pytest.mark.parametrize("name", SERVICES)
def test_rulebooks_belong_to_their_service_and_have_defaults_that_are_valid(name: str) -> None:
    service = import_module(f"closedloop_{name}.service").SERVICE
    for part in service.slices:
        for model in part.rules:
            assert model.rulebook.startswith(f"{name}.")
            assert model.model_validate(model().model_dump(mode="json")) == model()


def test_every_proto_file_is_generated() -> None:
    for path in PROTOS.rglob("*.proto"):
        name = str(path.relative_to(PROTOS))
        import_module(name.removesuffix(".proto").replace("/", ".") + "_pb2")
        assert descriptor_pool.Default().FindFileByName(name).package.endswith(".v1")
