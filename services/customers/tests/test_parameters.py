"""One sheet of parameters for sales and engineering, with one owner per field."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import grpc
import pytest
from google.protobuf.struct_pb2 import NULL_VALUE, Value

from closedloop.customers.v1 import accounts_pb2
from closedloop.customers.v1 import parameters_pb2 as pb
from closedloop_chassis.errors import InvalidArgument
from closedloop_customers.parameters.rules import ParameterRule, ParameterRules, applying, checked

from .conftest import House

VISIT = accounts_pb2.BusinessAction(kind="visit")


@pytest.mark.mission("S38")
def test_values_are_of_their_type_and_in_their_range() -> None:
    rules = ParameterRules()
    assert "line.speed" in applying({"industry": "manufacturing.automotive"}, rules)
    assert "line.speed" not in applying({"industry": "education"}, rules)
    parameters = rules.parameters
    assert checked("site.voltage", 380.0, parameters["site.voltage"]) == 380
    assert checked("acceptance.date", "2026-03-01", parameters["acceptance.date"]) == "2026-03-01"
    assert checked("site.voltage", None, parameters["site.voltage"]) is None
    for key, value, reason in (
        ("site.voltage", "380", "WRONG_TYPE"),
        ("site.voltage", True, "WRONG_TYPE"),
        ("site.voltage", 0.0, "OUT_OF_RANGE"),
        ("site.voltage", math.nan, "OUT_OF_RANGE"),
        ("site.area", math.inf, "OUT_OF_RANGE"),
        ("site.network", "pigeon", "OUT_OF_RANGE"),
        ("interfaces", "x" * 1001, "OUT_OF_RANGE"),
        ("acceptance.date", "1 March", "WRONG_TYPE"),
    ):
        with pytest.raises(InvalidArgument) as refused:
            checked(key, value, parameters[key])
        assert refused.value.reason == reason, key
    with pytest.raises(ValueError, match="no range"):
        ParameterRule(title="x", least=2, most=1)


@pytest.mark.mission("S38", "S30", "S82")
async def test_sales_and_engineering_read_the_same_sheet_and_each_field_has_one_owner(house: House, rid: Any) -> None:
    account = await house.rep1.accounts.CreateAccount(
        accounts_pb2.CreateAccountRequest(
            request_id=rid(), profile=accounts_pb2.AccountProfile(name="华东精密", industry="manufacturing")
        )
    )
    engineer = house.caller("rep9", "engineer")
    sheet = await house.rep1.parameters.GetParameterSheet(pb.GetParameterSheetRequest(account_id=account.id))
    assert [p.key for p in sheet.parameters][:2] == ["site.voltage", "site.area"]
    assert {p.owner_id for p in sheet.parameters} == {"rep1"}
    assert sheet.parameters[0].required
    assert not sheet.parameters[0].HasField("value")

    def update(sheet: pb.ParameterSheet, **values: Value) -> pb.UpdateParameterSheetRequest:
        given = [pb.ParameterValue(key=key.replace("__", "."), value=value) for key, value in values.items()]
        return pb.UpdateParameterSheetRequest(
            request_id=rid(), account_id=account.id, etag=sheet.etag, values=given, business_action=VISIT
        )

    number = Value(number_value=380)
    with house.live.refused("PERMISSION_DENIED", "OUT_OF_SCOPE"):
        await engineer.parameters.UpdateParameterSheet(update(sheet, site__voltage=number))
    with house.live.refused("PERMISSION_DENIED", "OUT_OF_SCOPE"):
        await house.m9.parameters.SetParameterOwner(
            pb.SetParameterOwnerRequest(
                request_id=rid(),
                account_id=account.id,
                etag=sheet.etag,
                key="site.voltage",
                owner_id="rep9",
                reason="x",
            )
        )
    sheet = await house.m1.parameters.SetParameterOwner(
        pb.SetParameterOwnerRequest(
            request_id=rid(), account_id=account.id, etag=sheet.etag, key="site.voltage", owner_id="rep9", reason="工程"
        )
    )
    with house.live.refused("PERMISSION_DENIED", "NOT_FIELD_OWNER"):
        # All or nothing: the second field is theirs, the first is not.
        await house.rep1.parameters.UpdateParameterSheet(update(sheet, site__voltage=number, site__area=number))
    after = await engineer.parameters.UpdateParameterSheet(update(sheet, site__voltage=number))
    voltage = after.parameters[0]
    assert (voltage.value.number_value, voltage.unit, voltage.updated_by) == (380, "V", "rep9")
    assert voltage.business_action.kind == "visit"
    seen = await house.rep1.parameters.GetParameterSheet(pb.GetParameterSheetRequest(account_id=account.id))
    assert (
        seen == after == await engineer.parameters.GetParameterSheet(pb.GetParameterSheetRequest(account_id=account.id))
    )
    with house.live.refused("ABORTED", "ETAG_MISMATCH"):
        await engineer.parameters.UpdateParameterSheet(update(sheet, site__voltage=number))
    for reason, values in (
        ("UNKNOWN_PARAMETER", {"classroom__count": number}),
        ("WRONG_TYPE", {"site__area": Value(string_value="big")}),
        ("OUT_OF_RANGE", {"site__area": Value(number_value=-1)}),
    ):
        with house.live.refused("INVALID_ARGUMENT", reason):
            await house.rep1.parameters.UpdateParameterSheet(update(after, **values))
    with house.live.refused("INVALID_ARGUMENT", "BUSINESS_ACTION_UNKNOWN"):
        rumour = update(after, site__area=number)
        rumour.business_action.kind = "rumour"
        await house.rep1.parameters.UpdateParameterSheet(rumour)
    # Of two who write from the same state at once, one is told.
    both = await asyncio.gather(
        *(house.rep1.parameters.UpdateParameterSheet(update(after, site__area=Value(number_value=n))) for n in (1, 2)),
        return_exceptions=True,
    )
    assert sum(isinstance(one, grpc.aio.AioRpcError) for one in both) == 1
    last = await house.rep1.parameters.GetParameterSheet(pb.GetParameterSheetRequest(account_id=account.id))
    erased = await engineer.parameters.UpdateParameterSheet(update(last, site__voltage=Value(null_value=NULL_VALUE)))
    assert not erased.parameters[0].HasField("value")
