"""A company's own fields (S100) as people write them in tables and on the command line: typed as its rulebook declares."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cached_property
from typing import Annotated, Any

import typer
from google.protobuf import json_format
from google.protobuf.struct_pb2 import Struct

from closedloop.common.v1.common_pb2 import CustomFieldRange
from closedloop.platform.v1 import platform_pb2, platform_pb2_grpc
from closedloop_cli import shapes
from closedloop_cli.failures import Usage
from closedloop_cli.session import Session

# Kind of record → the rulebook that declares its fields, and its word there.
DECLARED = {
    "accounts": ("customers.fields", "account"),
    "contacts": ("customers.fields", "contact"),
    "leads": ("customers.fields", "lead"),
    "opportunities": ("funnel.custom_fields", "opportunity"),
    "activities": ("funnel.custom_fields", "activity"),
    "quotes": ("funnel.custom_fields", "quote"),
    "contracts": ("funnel.custom_fields", "contract"),
    "products": ("targets.custom_fields", "product"),
}
PREFIX = "custom_fields"
_BOOLEANS = {"true": True, "yes": True, "1": True, "是": True, "false": False, "no": False, "0": False, "否": False}
_CONDITION = re.compile(r"(?P<name>[^<>=]+)(?P<sign>>=|<=|=)(?P<text>.*)", re.DOTALL)

Conditions = Annotated[
    list[str] | None,
    typer.Option(help='own field by name or title: "level=自动", "plants>=10", "audit<=2026-03-31"; may be repeated'),
]


class OwnFields:
    """Those of one kind of record. The rulebook is asked when the first field is met, once."""

    def __init__(self, run: Session, kind: str) -> None:
        self._run = run
        self._kind = kind

    @cached_property
    def declared(self) -> dict[str, dict[str, Any]]:
        """{"plants": {"title": "工厂数量", "type": "number", ...}}"""
        if self._kind not in DECLARED:
            return {}
        rulebook, record = DECLARED[self._kind]
        stub = self._run.stub(rulebook.partition(".")[0], platform_pb2_grpc.RulebookServiceStub)
        answer = self._run.call(stub.GetRulebook, platform_pb2.GetRulebookRequest(name=rulebook))
        found: dict[str, dict[str, Any]] = json_format.MessageToDict(answer.body).get(record, {})
        return found

    def called(self, word: str) -> str:
        """The field of that name or title; empty when there is none."""
        if word in self.declared:
            return word
        return next((name for name, one in self.declared.items() if word and word == one.get("title")), "")

    def kind(self, name: str) -> str:
        return str(self.declared.get(name, {}).get("type", ""))

    def value(self, name: str, text: str) -> str | float | bool:
        """As the field is declared; a text where it is not. Raises ValueError for what it cannot be."""
        kind = self.kind(name)
        if kind == "number":
            number = shapes.parse_decimal(text)
            if number is None:
                raise ValueError(text)
            return float(number)
        if kind == "boolean":
            if text.lower() not in _BOOLEANS:
                raise ValueError(text)
            return _BOOLEANS[text.lower()]
        return text

    def seek(self, request: Any, conditions: Iterable[str]) -> None:
        """`plants>=10`, `level=自动`, `审厂日<=2026-03-31` into a list's request. Raises Usage."""
        for condition in conditions:
            found = _CONDITION.fullmatch(condition)
            if found is None:
                raise Usage("field_condition", text=condition)
            word, text = found["name"].strip(), found["text"].strip()
            name = self.called(word) or word
            try:
                if found["sign"] == "=":
                    request.custom_fields[name] = self.value(name, text)
                else:
                    request.custom_field_ranges.append(self._range(name, found["sign"] == ">=", text))
            except ValueError:
                raise Usage("field_value", name=name, kind=self.kind(name), text=text) from None

    def _range(self, name: str, lower: bool, text: str) -> CustomFieldRange:
        if self.kind(name) == "date":
            day = shapes.parse_day(text, name)
            return CustomFieldRange(name=name, **{"first_day" if lower else "last_day": day})
        number = shapes.parse_decimal(text)
        if number is None:
            raise ValueError(text)
        return CustomFieldRange(name=name, **{"least" if lower else "most": float(number)})


def shown(fields: Struct) -> str:
    """For people: name: value, …"""
    told = shapes.whole(json_format.MessageToDict(fields))
    return ", ".join(f"{name}: {told[name]}" for name in sorted(told))
