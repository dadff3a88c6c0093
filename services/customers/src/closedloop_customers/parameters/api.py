"""ParameterService: the same sheet for sales and engineering (S38)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from google.protobuf.struct_pb2 import Value as AnyValue

from closedloop.customers.v1 import parameters_pb2 as pb
from closedloop_chassis import errors, etags, protos
from closedloop_chassis.service import Rpcs
from closedloop_chassis.work import Call
from closedloop_customers import business_actions, explanations, profiles, records
from closedloop_customers.parameters import store
from closedloop_customers.parameters.rules import ParameterRule, ParameterRules, applying, checked
from closedloop_customers.parameters.store import Sheet, Value

rpcs = Rpcs("closedloop.customers.v1.ParameterService")


@rpcs.method
async def get_parameter_sheet(request: pb.GetParameterSheetRequest, call: Call) -> pb.ParameterSheet:
    sheet = _known(await store.read(call.db, request.account_id), request.account_id)
    call.authorize(sheet.owner_id, sheet.unit_id, sheet.participant_ids)
    return _to_proto(call, sheet, _values(sheet))


@rpcs.method
async def update_parameter_sheet(request: pb.UpdateParameterSheetRequest, call: Call) -> pb.ParameterSheet:
    sheet = _known(await store.hold(call.tx, request.account_id), request.account_id)
    before = _values(sheet)
    # Whoever answers for a field, an engineer say, need not reach the account.
    call.authorize(sheet.owner_id, sheet.unit_id, {*sheet.participant_ids, *(one.owner_id for one in before.values())})
    etags.check(request.etag, sheet.version)
    action = business_actions.cited(call, request.business_action)
    known = applying(sheet.profile, call.rules(ParameterRules))
    for given in request.values:
        _check_known(given.key, known)
    foreign = sorted({g.key for g in request.values if not _may_set(call, _owner(call, sheet, before.get(g.key)))})
    if foreign:
        raise errors.PermissionDenied(
            "NOT_FIELD_OWNER", "others answer for these; propose a suggestion instead", keys=",".join(foreign)
        )
    after = dict(before)
    for given in request.values:
        old = before.get(given.key) or _empty(sheet, given.key)
        value = checked(given.key, _plain(given.value, given.key), known[given.key])
        after[given.key] = replace(
            old, value=value, updated_by=call.caller.subject, updated_at=call.now, business_action=action
        )
    changed = [after[key] for key in {given.key for given in request.values}]
    store.put(call.tx, sheet.account_id, changed)
    call.audit(
        sheet.account_id,
        "update_parameters",
        {f"parameters.{one.key}": before[one.key].value for one in changed if one.key in before},
        {f"parameters.{one.key}": one.value for one in changed},
        action,
    )
    return _to_proto(call, replace(sheet, version=sheet.version + 1), after)


@rpcs.method
async def set_parameter_owner(request: pb.SetParameterOwnerRequest, call: Call) -> pb.ParameterSheet:
    sheet = _known(await store.hold(call.tx, request.account_id), request.account_id)
    call.authorize(sheet.owner_id, sheet.unit_id)
    etags.check(request.etag, sheet.version)
    _check_known(request.key, applying(sheet.profile, call.rules(ParameterRules)))
    records.person_unit(call, request.owner_id)
    values = _values(sheet)
    old = values.get(request.key) or _empty(sheet, request.key)
    values[request.key] = replace(old, owner_id=request.owner_id)
    store.put(call.tx, sheet.account_id, [values[request.key]])
    field = f"parameters.{request.key}.owner_id"
    call.audit(
        sheet.account_id,
        "set_parameter_owner",
        {field: old.owner_id},
        {field: request.owner_id, f"parameters.{request.key}.owner_reason": request.reason},
    )
    return _to_proto(call, replace(sheet, version=sheet.version + 1), values)


def _known(sheet: Sheet | None, account_id: str) -> Sheet:
    if sheet is None:
        raise errors.NotFound("ACCOUNT_NOT_FOUND", f"no account {account_id}")
    return sheet


def _values(sheet: Sheet) -> dict[str, Value]:
    found = {}
    for row in sheet.values:
        at = datetime.fromisoformat(row["updated_at"]) if row["updated_at"] else None
        found[row["key"]] = Value(**{**row, "account_id": sheet.account_id, "updated_at": at})
    return found


def _empty(sheet: Sheet, key: str) -> Value:
    return Value(sheet.account_id, key, None, "", "", None, "")


def _owner(call: Call, sheet: Sheet, value: Value | None) -> str:
    """Whoever was named; the account's owner where nobody was, or the named one has left."""
    named = call.org.person(value.owner_id) if value is not None and value.owner_id else None
    return named.id if named is not None and named.active else sheet.owner_id


def _may_set(call: Call, owner_id: str) -> bool:
    person = call.org.person(owner_id)
    return call.scope.covers(owner_id, person.unit_id if person is not None else "")


def _check_known(key: str, known: Mapping[str, ParameterRule]) -> None:
    if key not in known:
        raise errors.InvalidArgument(
            "UNKNOWN_PARAMETER", f"this kind of customer has {', '.join(known) or 'none'}", {"values": f"no {key}"}
        )


def _plain(value: AnyValue, key: str) -> Any:
    kind = value.WhichOneof("kind")
    if kind in ("struct_value", "list_value"):
        raise errors.InvalidArgument("WRONG_TYPE", f"{key} is one value", {f"values.{key}": "no list, no object"})
    return None if kind in (None, "null_value") else getattr(value, kind)


def _to_proto(call: Call, sheet: Sheet, values: Mapping[str, Value]) -> pb.ParameterSheet:
    why = explanations.because(call, ParameterRules, "parameters", "all that apply to its industry and type")
    return pb.ParameterSheet(
        account_id=sheet.account_id,
        parameters=[
            _parameter(call, sheet, key, rule, values.get(key))
            for key, rule in applying(sheet.profile, call.rules(ParameterRules)).items()
        ],
        rule=explanations.reference(why),
        etag=etags.of(sheet.version),
    )


def _parameter(call: Call, sheet: Sheet, key: str, rule: ParameterRule, kept: Value | None) -> pb.Parameter:
    known = kept is not None and kept.value is not None
    return pb.Parameter(
        key=key,
        title=rule.title,
        unit=rule.unit,
        value=profiles.to_value(kept.value) if kept is not None and known else None,
        owner_id=_owner(call, sheet, kept),
        updated_by=kept.updated_by if kept is not None else "",
        update_time=protos.timestamp(kept.updated_at) if kept is not None else None,
        business_action=business_actions.to_proto(kept.business_action) if kept is not None else None,
        required=rule.required,
    )
