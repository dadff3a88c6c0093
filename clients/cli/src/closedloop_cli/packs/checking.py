"""Judges a pack where no service is: the shapes of rulebooks and rows, and whether what refers to something finds it.

What only a service can tell (whether a condition compiles, whether a form is a JSON Schema) it tells when asked by `diff`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any

import jsonschema_rs
import protovalidate
from google.protobuf.message import Message
from pydantic import ValidationError

from closedloop.options.v1 import options_pb2
from closedloop.targets.v1 import org_pb2
from closedloop_chassis.permissions import PermissionRules
from closedloop_cli import shapes
from closedloop_cli.packs import shelf
from closedloop_cli.packs.folder import MOST_ROWS, Book, Pack, Problem, Row
from closedloop_cli.packs.reading import Where

_SENTENCES = {
    "additionalProperties": "pack_word_unknown",
    "required": "pack_word_missing",
    "enum": "pack_word_none_of",
    "pattern": "pack_pattern",
    "minimum": "pack_least",
    "exclusiveMinimum": "pack_more_than",
    "maximum": "pack_most",
    "exclusiveMaximum": "pack_less_than",
    "minLength": "pack_shortest",
    "maxLength": "pack_longest",
    "minItems": "pack_fewest",
    "maxItems": "pack_most_items",
}
_WANTS = {
    "string": "pack_wants_text",
    "number": "pack_wants_number",
    "integer": "pack_wants_whole",
    "boolean": "pack_wants_boolean",
    "array": "pack_wants_list",
    "object": "pack_wants_mapping",
}
# Who is asked of the matter itself; no pack can tell whether anybody is.
_OF_THE_MATTER = ("owner", "submitter")


def problems(pack: Pack) -> list[Problem]:
    """Everything wrong with the pack, by file and line."""
    for book in pack.books:
        _shape(pack, book)
    _rows(pack)
    if not pack.problems:
        # What cannot be read cannot be referred to either.
        _organisation(pack)
        _pipelines(pack)
        _signers(pack)
        _permissions(pack)
    return sorted(pack.problems, key=lambda problem: (problem.file, problem.line, problem.where))


def where_of(path: str) -> Where:
    """`policies.0.name`, as services name a place, in steps."""
    return tuple(int(step) if step.isdigit() else step for step in path.split(".") if step)


def _shape(pack: Pack, book: Book) -> None:
    for error in _validator(book.name).iter_errors(book.document.data):
        for one in _causes(error):
            where: Where = tuple(one.instance_path)
            kind, value = str(one.kind.name), one.kind.value
            if kind == "additionalProperties":
                for word in value:
                    known = ", ".join(_known_words(book.name, one)) or "-"
                    pack.complain(book.document, (*where, word), "pack_word_unknown", word=word, known=known)
            elif kind == "type":
                wants = next((_WANTS[one_of] for one_of in value if one_of in _WANTS), "pack_wrong")
                pack.complain(book.document, where, wants, given=_short(one.instance), problem=one.message)
            elif kind in _SENTENCES:
                pack.complain(
                    book.document,
                    where,
                    _SENTENCES[kind],
                    word=value if kind == "required" else _short(one.instance),
                    known=", ".join(map(str, value)) if kind == "enum" else "",
                    limit=value,
                )
            else:
                pack.complain(book.document, where, "pack_wrong", problem=one.message)


def _causes(error: Any) -> Iterator[Any]:
    """Of a choice of shapes, what is wrong with the one that was meant: the one that fits in kind."""
    if error.kind.name not in ("anyOf", "oneOf"):
        yield error
        return
    place = list(error.instance_path)
    branches = error.kind.value if isinstance(error.kind.value, list) else []
    meant = [
        branch
        for branch in branches
        if not any(one.kind.name == "type" and list(one.instance_path) == place for one in branch)
    ]
    for one in (meant or branches[:1] or [[]])[0]:
        yield from _causes(one)
    if not branches:
        yield error


def _known_words(name: str, error: Any) -> list[str]:
    found = shelf.find(name)
    schema: Any = found.schema if found else {}
    for step in list(error.schema_path)[:-1]:
        schema = schema[step] if isinstance(schema, list | dict) else {}
    return sorted(schema.get("properties", {})) if isinstance(schema, dict) else []


@cache
def _validator(name: str) -> Any:
    found = shelf.find(name)
    return jsonschema_rs.Draft202012Validator(found.schema if found else {})


def _rows(pack: Pack) -> None:
    wrapped: list[tuple[Row[Any], Message, str]] = [
        *((row, org_pb2.OrgRow(unit=row.message), "unit") for row in pack.units),
        *((row, org_pb2.OrgRow(person=row.message), "person") for row in pack.people),
        *((row, row.message, "") for row in pack.products),
    ]
    for row, message, prefix in wrapped:
        for violation in protovalidate.collect_violations(message):
            proto: Any = violation.proto
            where: Where = tuple(_steps(proto.field.elements if proto.field else ()))
            where = where[1:] if where[:1] == (prefix,) else where
            pack.complain(row.document, (*row.where, *where), "pack_wrong", problem=proto.message or proto.rule_id)
    everybody: list[Row[Any]] = [*pack.units, *pack.people]
    for rows in (pack.units, pack.people, pack.products):
        _once(pack, rows)
    for row in (*everybody[MOST_ROWS:][:1], *pack.products[MOST_ROWS:][:1]):
        pack.complain(row.document, row.where, "pack_too_many_rows", most=MOST_ROWS)
    for row in pack.products:
        if not row.message.name:
            pack.complain(row.document, row.where, "pack_word_missing", word="name")


def _once(pack: Pack, rows: Iterable[Row[Any]]) -> None:
    seen: dict[str, int] = {}
    for row in rows:
        if row.id and row.id in seen:
            pack.complain(row.document, row.where, "pack_id_twice", id=row.id, line=seen[row.id])
        seen.setdefault(row.id, row.document.line(row.where))


def _organisation(pack: Pack) -> None:
    """A pack without a root hangs below what the company has; then only the company can tell who is there."""
    units = {row.id: row for row in pack.units}
    people = {row.id for row in pack.people}
    kinds = body(pack, "targets.org").get("kinds", [])
    roots = [row for row in pack.units if not row.message.parent_id]
    for row in roots[1:]:
        pack.complain(row.document, row.where, "pack_two_roots", id=row.id, other=roots[0].id)
    for row in pack.units:
        if row.message.kind not in kinds:
            at = (*row.where, "kind")
            pack.complain(row.document, at, "pack_kind_unknown", word=row.message.kind, known=", ".join(kinds))
        if roots and row.message.parent_id and row.message.parent_id not in units:
            at = (*row.where, "parent_id")
            pack.complain(row.document, at, "pack_nobody", what="unit", id=row.message.parent_id)
        if roots and row.message.manager_id and row.message.manager_id not in people:
            at = (*row.where, "manager_id")
            pack.complain(row.document, at, "pack_nobody", what="person", id=row.message.manager_id)
        if _circles(row.id, {id_: one.message.parent_id for id_, one in units.items()}):
            pack.complain(row.document, (*row.where, "parent_id"), "pack_circle", id=row.id)
    for person in pack.people:
        if roots and person.message.unit_id not in units:
            at = (*person.where, "unit_id")
            pack.complain(person.document, at, "pack_nobody", what="unit", id=person.message.unit_id)


def _circles(unit: str, parents: Mapping[str, str]) -> bool:
    seen, above = {unit}, parents.get(unit, "")
    while above and above not in seen:
        seen.add(above)
        above = parents.get(above, "")
    return above == unit


def _pipelines(pack: Pack) -> None:
    book = pack.book("funnel.pipelines")
    if book is None:
        return
    document, whole = book.document, body(pack, "funnel.pipelines")
    pipelines, units = whole["pipelines"], {row.id for row in pack.units}
    actions = body(pack, "funnel.action_units").get("units", {})
    for word in ("default", "imports"):
        if whole[word] not in pipelines:
            known = ", ".join(pipelines)
            pack.complain(document, (word,), "pack_word_none_of", word=f"{word}: {whole[word]}", known=known)
    for name, pipeline in book.body.get("pipelines", {}).items():
        keys = [stage["key"] for stage in pipeline["stages"]]
        for at, stage in enumerate(pipeline["stages"]):
            here: Where = ("pipelines", name, "stages", at)
            if stage["key"] in keys[:at]:
                pack.complain(document, (*here, "key"), "pack_key_twice", word=stage["key"])
            for lists, among in (("next_stage_keys", keys), ("action_unit_keys", list(actions))):
                for place, word in enumerate(stage.get(lists, ())):
                    if word not in among:
                        at_word = (*here, lists, place)
                        pack.complain(document, at_word, "pack_word_none_of", word=word, known=", ".join(among))
        for place, unit in enumerate(pipeline.get("unit_ids", ())):
            if units and unit not in units:
                pack.complain(document, ("pipelines", name, "unit_ids", place), "pack_nobody", what="unit", id=unit)


def _signers(pack: Pack) -> None:
    book = pack.book("approvals.policies")
    if book is None or not pack.people:
        return
    titles = body(pack, "approvals.policies").get("titles", {})
    kinds = {row.message.kind for row in pack.units}
    named = {f"person:{row.id}" for row in pack.people}
    for row in pack.people:
        named.add(f"role:{row.message.function}")
        named |= {f"role:{shapes.word(options_pb2.Role, role)}" for role in row.message.roles}
    for at, policy in enumerate(book.body.get("policies", ())):
        for number, step in enumerate(policy.get("steps", ())):
            for place, signer in enumerate(step["signers"]):
                if not any(_somebody(one, named, titles, kinds) for one in signer.split("|")):
                    where = ("policies", at, "steps", number, "signers", place)
                    pack.complain(book.document, where, "pack_signer", word=signer)


def _permissions(pack: Pack) -> None:
    """Names of RPCs and reaches against the contract, which is here as it is there."""
    for book in pack.books:
        if book.name == PermissionRules.rulebook:
            for name, reaches in book.body.get("narrowed", {}).items():
                try:
                    PermissionRules.model_validate({"narrowed": {name: reaches}})
                except ValidationError as error:
                    problem = error.errors()[0]["msg"].removeprefix("Value error, ")
                    pack.complain(book.document, ("narrowed", name), "pack_wrong", problem=problem)


def _somebody(word: str, named: set[str], titles: Mapping[str, str], kinds: set[str]) -> bool:
    if ":" in word:
        return word in named
    title = word.partition("_of_")[0]
    return title in (*_OF_THE_MATTER, "manager") or title in titles or title in kinds


def body(pack: Pack, name: str) -> dict[str, Any]:
    """The rulebook as it would hold: what the pack says over what is built in."""
    shape, book = shelf.find(name), pack.book(name)
    return {**(shape.body if shape else {}), **(book.body if book else {})}


def _steps(elements: Iterable[Any]) -> Iterator[str | int]:
    for element in elements:
        yield element.field_name
        if element.subscript is not None:
            yield element.subscript.value


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:59]}…"
