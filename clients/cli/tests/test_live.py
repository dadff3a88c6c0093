"""The command line against the whole platform: the import of a real CRM export, then what people do with it."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import grpc
import psycopg
import pytest
import xlsxwriter
from google.protobuf.struct_pb2 import Value
from google.type.date_pb2 import Date
from google.type.money_pb2 import Money
from python_calamine import CalamineWorkbook

from closedloop.approvals.v1 import policies_pb2, requests_pb2, requests_pb2_grpc, tasks_pb2, tasks_pb2_grpc
from closedloop.common.v1.common_pb2 import LIGHT_RED, Ownership, Provenance
from closedloop.customers.v1 import accounts_pb2, suggestions_pb2, suggestions_pb2_grpc
from closedloop.integrations.v1 import erp_pb2, erp_pb2_grpc
from closedloop.targets.v1 import (
    actuals_pb2,
    actuals_pb2_grpc,
    metrics_pb2,
    periods_pb2,
    periods_pb2_grpc,
    plans_pb2,
    plans_pb2_grpc,
)
from closedloop_chassis import protos
from closedloop_chassis.ids import new_id
from closedloop_devstack.platform import Platform

pytestmark = pytest.mark.timeout(300)

KINDS = {"organisation": 51, "products": 7, "accounts": 85, "opportunities": 8800}


@pytest.fixture(scope="module")
def standing(platform: Callable[..., Platform]) -> Platform:
    return platform()


@pytest.fixture(scope="module")
def closedloop(standing: Platform, shell: Any) -> Any:
    """The commands, on the machine where the platform runs."""
    return shell(CLOSEDLOOP_HOME=str(standing.home.root))


@pytest.fixture(scope="module")
def crm(data_folder: Path) -> Path:
    return data_folder / "crm"


@pytest.fixture(scope="module")
def loaded(closedloop: Any, crm: Path) -> Any:
    """What the first import says."""
    return closedloop.json("import", "crm", crm)


@pytest.fixture
def stub(standing: Platform) -> Iterator[Callable[..., Any]]:
    """`stub("funnel", Stub, "person", "role")`: a plain client, to set up what a command needs."""
    channels: list[grpc.Channel] = []

    def make(service: str, of: Callable[[grpc.Channel], Any], person: str, *roles: str) -> Any:
        token = standing.token(person, *roles)
        channels.append(grpc.insecure_channel(standing.address(service)))
        return _Bearing(of(channels[-1]), token)

    yield make
    for channel in channels:
        channel.close()


def test_doctor_finds_all_five(closedloop: Any) -> None:
    found = closedloop.json("doctor")
    assert [one["service"] for one in found["services"]] == [
        "targets",
        "customers",
        "funnel",
        "approvals",
        "integrations",
    ]
    assert {one["condition"] for one in found["services"]} == {"serving"}
    assert all(f"closedloop.{one['service']}.v1" in one["contracts"] for one in found["services"])
    assert (found["me"], found["roles"]) == ("operator", ["admin", "operations"])
    assert "serving" in closedloop("doctor")


@pytest.mark.mission("U14")
def test_a_dry_run_changes_nothing(closedloop: Any, crm: Path) -> None:
    said = closedloop.json("import", "crm", crm, "--dry-run")
    assert said["dryRun"] is True
    assert {kind: figures["read"] for kind, figures in said["kinds"].items()} == KINDS
    assert {kind: figures["created"] for kind, figures in said["kinds"].items()} == KINDS
    assert said["addsUp"] is True
    assert closedloop.json("targets", "tree")["nodes"] == []
    assert closedloop.lines("accounts", "list") == []
    assert closedloop.lines("opportunities", "list") == []


@pytest.mark.mission("U14")
def test_the_whole_export_is_loaded_and_its_totals_are_the_files(loaded: Any) -> None:
    assert {kind: figures["created"] for kind, figures in loaded["kinds"].items()} == KINDS
    assert all(figures["rejected"] == 0 for figures in loaded["kinds"].values())
    assert all(
        figures["read"] == figures["loaded"] + figures["unchanged"] + figures["rejected"]
        for figures in loaded["kinds"].values()
    )
    mended = {(one["written"], one["became"]): one["count"] for one in loaded["mended"]}
    assert mended["GTXPro", "GTX Pro"] == 1480
    assert mended["technolgy", "technology"] == 12
    platform = loaded["totals"]["platform"]
    assert platform == loaded["totals"]["file"]
    assert platform["won"] == {"count": 4238, "value": "10005534", "withoutAccount": 0}
    assert {stage: total["count"] for stage, total in platform.items()} == {
        "won": 4238,
        "lost": 2473,
        "engaging": 1589,
        "prospecting": 500,
    }
    assert sum(total["withoutAccount"] for total in platform.values()) == 1425
    assert loaded["totalsEqual"] is True


@pytest.mark.mission("U14", "U15")
def test_a_second_run_changes_nothing(closedloop: Any, crm: Path, loaded: Any) -> None:
    said = closedloop.json("import", "crm", crm, "--batch", 3000)
    assert all(figures["loaded"] == figures["rejected"] == 0 for figures in said["kinds"].values())
    assert all(figures["read"] == figures["unchanged"] for figures in said["kinds"].values())
    assert said["kinds"]["opportunities"]["unchanged"] == 8800
    assert said["totals"] == loaded["totals"]


@pytest.mark.mission("U14", "S67")
def test_bad_rows_are_told_one_by_one_and_stop_nobody(closedloop: Any, crm: Path, loaded: Any, tmp_path: Path) -> None:
    folder = tmp_path / "crm"
    folder.mkdir()
    for name in ("sales_teams.csv", "products.csv", "accounts.csv"):
        (folder / name).write_text((crm / name).read_text())
    heading, first, *_ = (crm / "sales_pipeline.csv").read_text().splitlines()
    bad = [
        "BAD1,Nobody Here,GTX Basic,Cancity,Won,25-10-16,01-03-17,5,,",
        "BAD2,Moses Frase,Abacus,Cancity,Won,25-10-16,01-03-17,5,,",
        "BAD3,Moses Frase,GTX Basic,Atlantis,Won,25-10-16,01-03-17,5,,",
        "BAD4,Moses Frase,GTX Basic,Cancity,Won,25-13-16,01-03-17,5,,",
        "BAD5,Moses Frase,GTX Basic,Cancity,Won,25-10-17,01-03-17,5,,",
    ]
    (folder / "sales_pipeline.csv").write_text("\n".join([heading, first, *bad]) + "\n")
    errors = tmp_path / "errors.csv"
    closedloop("import", "crm", folder, "--errors", errors, status=1)
    with errors.open(newline="") as file:
        told = {row["row"]: (row["file"], row["column"], row["reason"]) for row in csv.DictReader(file)}
    assert told == {
        "3": ("sales_pipeline.csv", "sales_agent", "OWNER_UNKNOWN"),
        "4": ("sales_pipeline.csv", "product", "PRODUCT_UNKNOWN"),
        "5": ("sales_pipeline.csv", "account", "ACCOUNT_UNKNOWN"),
        "6": ("sales_pipeline.csv", "engage_date", "DATE_UNREADABLE"),
        "7": ("sales_pipeline.csv", "close_date", "DATES_REVERSED"),
    }


def today() -> date:
    """Of the company of the files: its day begins five hours after ours."""
    return datetime.now(ZoneInfo("America/New_York")).date()


def test_the_tree_shows_everybody(closedloop: Any, loaded: Any) -> None:
    nodes = closedloop.json("targets", "tree")["nodes"]
    assert len(nodes) == KINDS["organisation"]
    assert nodes[0]["totalHeads"] == 41
    drawn = closedloop("targets", "tree", "--unit", "central")
    assert "Anna Snelling" in drawn
    assert "Zane Levy" not in drawn


@pytest.mark.mission("S4")
def test_a_plan_that_leaks_says_where(closedloop: Any, loaded: Any, stub: Callable[..., Any]) -> None:
    quarter = f"{today().year}-Q{(today().month + 2) // 3}"
    before = date(today().year - 1, today().month, 1)
    ledger = stub("targets", actuals_pb2_grpc.ActualServiceStub, "ops", "operations")
    for person in ("anna-snelling", "carl-lin"):
        for day in (before, today()):
            row = actuals_pb2.ActualInput(
                metric="won_value",
                holder=plans_pb2.Holder(person_id=person),
                date=protos.date_proto(day),
                amount=usd(500_000),
                provenance=Provenance(source="test", source_id=f"{person} {day}"),
            )
            request = actuals_pb2.ImportActualsRequest(request_id=new_id(), actuals=[row])
            assert not ledger.ImportActuals(request).errors
    plans = stub("targets", plans_pb2_grpc.PlanServiceStub, "ops", "operations")
    plan = plans.CreatePlan(
        plans_pb2.CreatePlanRequest(
            request_id=new_id(),
            name="quarter",
            unit_id="company",
            period=quarter,
            strategy="grow",
            owner_id="dustin-brinkmann",
        )
    )
    for unit, amount, owner in (
        ("company", 1_000_000, "dustin-brinkmann"),
        ("central", 450_000, "melvin-marxen"),
        ("west", 450_000, "celia-rouche"),
    ):
        target = plans_pb2.TargetInput(
            holder=plans_pb2.Holder(unit_id=unit),
            metric="won_value",
            period=quarter,
            amount=usd(amount),
            owner_id=owner,
        )
        plans.SetTarget(plans_pb2.SetTargetRequest(request_id=new_id(), plan_id=plan.id, version=1, target=target))
    said = closedloop("targets", "leak", "quarter")
    assert "-100,000 USD" in said
    assert "-10.0%" in said
    board = closedloop.lines("targets", "board", "--live")
    assert {"anna-snelling", "carl-lin"} <= {line["personId"] for line in board}
    assert "There is no plan nowhere" in closedloop("targets", "leak", "nowhere", status=1)


def test_pages_of_targets_are_printed(closedloop: Any, loaded: Any, stub: Callable[..., Any], tmp_path: Path) -> None:
    day = today()
    unit = next(
        one["unitId"] for one in closedloop.json("targets", "tree")["nodes"] if one.get("managerId") == "melvin-marxen"
    )
    week = day - timedelta(days=day.isoweekday() - 1)
    periods = stub("targets", periods_pb2_grpc.PeriodServiceStub, "ops", "operations")
    found = periods.ListPeriods(
        periods_pb2.ListPeriodsRequest(
            within=f"{week}/{week + timedelta(days=6)}", grain=periods_pb2.PERIOD_GRAIN_FORTNIGHT
        )
    ).periods
    fortnight = found[0].code
    assert "--period 2026-F07" in closedloop("targets", "pack", unit, "--prepare", status=2)
    assert "has no pack yet" in closedloop("targets", "pack", unit, status=1)
    made = closedloop.json("targets", "pack", unit, "--prepare", "--period", fortnight)
    assert (made["ownership"]["ownerId"], made["state"]) == ("melvin-marxen", "REVIEW_PACK_STATE_PREPARED")
    row = actuals_pb2.ActualInput(
        metric="won_value", holder=plans_pb2.Holder(person_id="anna-snelling"), date=protos.date_proto(day),
        amount=usd(1_234), provenance=Provenance(source="test", source_id="pages"),
    )  # fmt: skip
    ledger = stub("targets", actuals_pb2_grpc.ActualServiceStub, "ops", "operations")
    assert not ledger.ImportActuals(actuals_pb2.ImportActualsRequest(request_id=new_id(), actuals=[row])).errors
    for which in (unit, made["id"]):
        said = closedloop("targets", "pack", which, "--as", "melvin-marxen")
        assert f"{unit}: review of {fortnight}" in said
        assert "Follow-up" in said
    for name in ("board", "ranking", "health", "customers", "alignment"):
        live = ["--live"] if name in ("board", "ranking", "alignment") else []
        for suffix in (".md", ".xlsx"):
            closedloop("targets", name, *live, "--out", tmp_path / f"{name}{suffix}")
        assert (tmp_path / f"{name}.md").read_text().startswith("# ")
        assert CalamineWorkbook.from_path(tmp_path / f"{name}.xlsx").sheet_names
    assert "Anna Snelling" in (tmp_path / "board.md").read_text()
    ties = closedloop.lines("targets", "alignment", "--live")
    assert {one["metric"] for one in ties} == {"lead_conversion", "on_time_delivery", "resolution_time"}
    assert all(one["association"]["verdict"].startswith("cannot say") for one in ties)
    assert closedloop.json("targets", "health", "--by", "person")["unitId"] == "company"
    assert "cannot say" in closedloop("targets", "deviation", "2025-Q1", "2025-Q2", "--unit", unit)
    assert "--by" in closedloop("targets", "health", "--by", "moon", status=2)


@pytest.mark.mission("S23")
def test_a_lead_from_intake_to_answer(closedloop: Any, loaded: Any) -> None:
    made = closedloop.json(
        "leads",
        "intake",
        "--company",
        "华东机械",
        "--phone",
        "13800138000",
        "--need",
        "12 workstations",
        "--source-id",
        "T-1",
    )
    owner = made["ownership"]["ownerId"]
    assert owner
    again = closedloop.json("leads", "intake", "--company", "华东机械", "--phone", "13800138000", "--source-id", "T-1")
    assert again["id"] == made["id"]
    assert "华东机械" in closedloop("leads", "list", "--unanswered", "--as", owner)
    clocks = closedloop.lines("clocks", "list", "-s", "customers", "--subject", made["id"])
    assert "customers.first_response" in {clock["kind"] for clock in clocks}
    answered = closedloop.json("leads", "respond", made["id"], "--content", "called, wants a quote", "--as", owner)
    assert answered["stage"] == "LEAD_STAGE_CONTACT"
    assert "called" not in closedloop("leads", "list", "--unanswered")
    shown = closedloop("leads", "show", made["id"], "--lang", "zh")
    assert "公司" in shown
    assert "contact" in shown
    trail = closedloop.lines("audit", "list", "-s", "customers", "--subject", made["id"])
    assert owner in {entry["actorId"] for entry in trail}


def test_an_opportunity_is_closed_with_its_reason(closedloop: Any, loaded: Any) -> None:
    deal, *_ = closedloop.lines(
        "opportunities", "list", "--stage", "engaging", "--owner", "anna-snelling", "--limit", 1
    )
    shown = closedloop("opportunities", "show", deal["id"], "--as", "anna-snelling")
    assert deal["name"] in shown
    refused = closedloop("opportunities", "show", deal["id"], "--as", "zane-levy", "--roles", "rep", status=1)
    assert "PERMISSION_DENIED" in refused
    assert "role" in refused
    closed = closedloop.json(
        "opportunities",
        "close",
        deal["id"],
        "won",
        "--reason",
        "best_fit",
        "--amount",
        "500 USD",
        "--as",
        "anna-snelling",
    )
    assert (closed["state"], closed["amount"]["units"]) == ("OPPORTUNITY_STATE_WON", "500")
    again = closedloop(
        "opportunities", "close", deal["id"], "lost", "--reason", "price", "--as", "anna-snelling", status=1
    )
    assert "OPPORTUNITY_CLOSED" in again


def test_an_opportunity_moves_on(closedloop: Any, loaded: Any) -> None:
    deal, *_ = closedloop.lines(
        "opportunities", "list", "--stage", "prospecting", "--owner", "anna-snelling", "--limit", 1
    )
    moved = closedloop.json("opportunities", "advance", deal["id"], "--as", "anna-snelling")
    assert moved["stageKey"] == "engaging"
    assert "BACK_NEEDS_REASON" in closedloop(
        "opportunities", "advance", deal["id"], "--to", "prospecting", "--as", "anna-snelling", status=1
    )


@pytest.mark.mission("S63")
def test_an_approval_waits_in_the_managers_inbox(closedloop: Any, loaded: Any, stub: Callable[..., Any]) -> None:
    requests = stub("approvals", requests_pb2_grpc.RequestServiceStub, "anna-snelling", "rep")
    facts = policies_pb2.Facts(
        amount=Money(currency_code="CNY", units=100_000),
        discount_ratio=0.15,
        ownership=Ownership(owner_id="anna-snelling", unit_id="central-dustin-brinkmann"),
    )
    subject = requests_pb2.Subject(
        origin="manual", kind="discount", id="D-1", version=1, digest="0" * 64, title="15 % for Cancity"
    )
    asked = requests.OpenRequest(
        requests_pb2.OpenRequestRequest(request_id=new_id(), subject=subject, facts=facts, reason="old customer")
    )
    mine = closedloop.lines("approvals", "inbox", "--as", "dustin-brinkmann")
    assert [item["id"] for item in mine] == [asked.id]
    assert "15 % for Cancity" in closedloop("approvals", "inbox", "--as", "dustin-brinkmann")
    assert "OWN_REQUEST" in closedloop("approvals", "decide", asked.id, "approve", "--as", "anna-snelling", status=1)
    decided = closedloop("approvals", "decide", asked.id, "approve", "--comment", "fine", "--as", "dustin-brinkmann")
    assert "approved" in decided
    trail = closedloop.json("approvals", "show", asked.id, "--as", "anna-snelling")["trail"]
    assert trail[-1]["action"] in ("TRAIL_ACTION_APPROVED",)
    assert "Nothing waits" in closedloop("approvals", "inbox", "--as", "dustin-brinkmann")


@pytest.mark.mission("S63", "S65", "S66", "U9", "U19")
def test_policies_trails_and_stand_ins(closedloop: Any, loaded: Any, tmp_path: Path) -> None:
    """After the approval above: its rule read, tried and changed on paper, its trail proven and filed."""
    assert "large_discount" in closedloop("approvals", "policies", "list", "--kind", "quote")
    route = closedloop("approvals", "policies", "route", "discount", "--discount", 0.15, "--as", "anna-snelling")
    assert "dustin-brinkmann" in route
    assert "No signature is needed" in closedloop(
        "approvals", "policies", "route", "discount", "--discount", 0.05, "--as", "anna-snelling"
    )
    body = closedloop.json("rules", "show", "approvals.policies")["body"]
    # A rulebook whose small discounts reach 20 % needs nobody here, and asks for no legal department.
    policies = [policy for policy in body["policies"] if policy["name"] in ("small_discount", "discount", "contract")]
    policies[0]["condition"], policies[1]["condition"] = "discount_ratio <= 0.20", "discount_ratio > 0.20"
    for policy in policies:
        for step in policy["steps"]:
            step["signers"] = ["manager_of_owner"]
    draft = tmp_path / "policies.json"
    draft.write_text(json.dumps({**body, "policies": policies}))
    period = ("--from", "2020-01-01", "--to", "2100-01-01")
    tried = closedloop.json("approvals", "policies", "backtest", draft, *period)
    assert (tried["examined"], tried["changed"], tried["signaturesDropped"]) == ("1", "1", "1")
    assert "cleared at once" in closedloop("approvals", "policies", "backtest", draft, *period)
    policies[0]["steps"] = [{"name": "s", "signers": ["role:astronaut"]}]
    draft.write_text(json.dumps({**body, "policies": policies}))
    assert "nobody is role:astronaut" in closedloop("approvals", "policies", "backtest", draft, *period, status=1)

    verified = closedloop.json("approvals", "trail", "verify", *period)
    assert (verified["requestsChecked"], verified["breaks"]) == ("1", [])
    assert closedloop("approvals", "trail", "verify", status=2)
    approval_id = tried["differences"][0]["requestId"]
    assert "审批记录" in closedloop(
        "approvals", "trail", "export", approval_id, "--format", "markdown", "--language", "zh"
    )
    closedloop("approvals", "trail", "export", approval_id, "--out", tmp_path)
    assert (tmp_path / f"approval-discount-{approval_id}.html").read_text().startswith("<!doctype html>")
    [row] = closedloop.lines("approvals", "turnaround", *period, "--by", "person")
    assert (row["key"], row["decided"]) == ("dustin-brinkmann", "1")

    until = ("--to", "2099-01-01T00:00")
    made = closedloop.json(
        "approvals", "delegations", "add", "melvin-marxen", *until, "--reason", "leave", "--as", "dustin-brinkmann"
    )
    assert made["state"] == "DELEGATION_STATE_IN_FORCE"
    route = closedloop("approvals", "policies", "route", "discount", "--discount", 0.15, "--as", "anna-snelling")
    assert "melvin-marxen" in route, "who stands in is shown"
    closedloop("approvals", "delegations", "end", made["id"], "--as", "dustin-brinkmann")
    assert not closedloop.lines("approvals", "delegations", "list", "--as", "dustin-brinkmann")


@pytest.mark.mission("U-A")
def test_a_task_is_listed_and_done(closedloop: Any, loaded: Any, stub: Callable[..., Any]) -> None:
    tasks = stub("approvals", tasks_pb2_grpc.TaskServiceStub, "dustin-brinkmann", "manager")
    content = tasks_pb2.TaskContent(
        kind="follow_up", title="Call Cancity", assignee_id="anna-snelling", origin="manual", cause_key="call:cancity"
    )
    raised = tasks.RaiseTask(tasks_pb2.RaiseTaskRequest(request_id=new_id(), content=content))
    assert raised.id in {item["id"] for item in closedloop.lines("tasks", "list", "--as", "anna-snelling")}
    assert raised.id in {task["id"] for task in closedloop.lines("tasks", "list", "--everyone")}
    begun = closedloop.json("tasks", "start", raised.id, "--as", "anna-snelling")
    assert begun["state"] == "TASK_STATE_STARTED"
    later = f"{datetime.now() + timedelta(days=1):%Y-%m-%dT%H:%M}"
    assert "snoozed" in closedloop("tasks", "snooze", raised.id, later, "--as", "anna-snelling")
    given = closedloop.json("tasks", "give", raised.id, "dustin-brinkmann", "--as", "anna-snelling")
    assert given["assigneeId"] == "dustin-brinkmann"
    closedloop("tasks", "give", raised.id, "anna-snelling", "--as", "dustin-brinkmann")
    done = closedloop.json("tasks", "done", raised.id, "--comment", "called", "--as", "anna-snelling")
    assert (done["state"], done["settledBy"]) == ("TASK_STATE_DONE", "anna-snelling")
    content.cause_key = "call:again"
    other = tasks.RaiseTask(tasks_pb2.RaiseTaskRequest(request_id=new_id(), content=content))
    gone = closedloop("tasks", "cancel", other.id, "--reason", "called already", "--as", "dustin-brinkmann")
    assert "cancelled" in gone
    report = closedloop.lines("tasks", "report", "--from", "2020-01-01", "--to", "2100-01-01")
    manual = next(row for row in report if row["origin"] == "manual")
    assert (manual["raised"], manual["actedInTime"], manual["withoutOwner"]) == ("2", "1", "0")


@pytest.mark.mission("S32")
def test_a_suggestion_is_confirmed_or_rejected(closedloop: Any, loaded: Any, stub: Callable[..., Any]) -> None:
    account, *_ = closedloop.lines("accounts", "list", "--query", "Cancity")
    owner = account["ownership"]["ownerId"]
    propose = stub("customers", suggestions_pb2_grpc.SuggestionServiceStub, "ops", "operations").ProposeSuggestion
    ids = []
    for number, address in enumerate(("1 New Road", "2 New Road")):
        request = suggestions_pb2.ProposeSuggestionRequest(
            request_id=new_id(),
            record=accounts_pb2.RecordReference(type=accounts_pb2.RECORD_TYPE_ACCOUNT, id=account["id"]),
            kind=suggestions_pb2.SUGGESTION_KIND_ACCOUNT_DETAIL,
            changes=[suggestions_pb2.SuggestedChange(field="address", proposed=Value(string_value=address))],
            summary=f"Cancity moved to {address}",
            provenance=Provenance(source="mail", source_id=f"m-{number}"),
            confidence_ratio=0.9,
        )
        ids.append(propose(request).id)
        verb = ("confirm", "reject")[number]
        listed = closedloop("suggestions", "list", "--account", account["id"], "--as", owner)
        assert f"Cancity moved to {address}" in listed
        closedloop("suggestions", verb, ids[-1], "--reason", "they said so", "--as", owner)
    shown = closedloop("accounts", "show", account["id"], "--as", owner)
    assert "1 New Road" in shown
    assert "2 New Road" not in shown


def test_rules_are_shown_checked_and_published(closedloop: Any, loaded: Any, tmp_path: Path) -> None:
    books = closedloop.lines("rules", "list")
    assert {"customers.response", "funnel.pipelines"} <= {book["name"] for book in books}
    body = closedloop.json("rules", "show", "customers.response")["body"]
    assert "first_response" in closedloop("rules", "show", "customers.response")
    body["first_response"]["hours"] = 3
    file = tmp_path / "response.json"
    file.write_text(json.dumps(body))
    said = closedloop("rules", "publish", "customers.response", file, "--reason", "trial", "--dry-run")
    assert "first_response.hours" in said
    assert closedloop.json("rules", "show", "customers.response")["version"] == "0"
    closedloop("rules", "publish", "customers.response", file, "--reason", "trial")
    held = closedloop.json("rules", "show", "customers.response")
    assert (held["version"], held["body"]["first_response"]["hours"]) == ("1", 3)
    stale = closedloop(
        "rules", "publish", "customers.response", file, "--reason", "again", "--base-version", 0, status=1
    )
    assert "ABORTED" in stale
    file.write_text("first_response: {hours: -1}")
    wrong = closedloop("rules", "publish", "customers.response", file, "--reason", "wrong", status=1)
    assert "INVALID_ARGUMENT" in wrong


def test_events_and_notices(closedloop: Any, loaded: Any) -> None:
    backlog = closedloop.json("events", "backlog")
    assert set(backlog) == {"targets", "customers", "funnel", "approvals", "integrations"}
    assert closedloop("events", "parked", "-s", "funnel").strip() == "No event is parked."
    assert closedloop.json("events", "redrive", "--all")["funnel"] == 0
    assert closedloop.lines("notices", "list") == []
    assert "Nothing found." in closedloop("notices", "list", "--matched")
    assert "Nothing found." in closedloop("warnings", "list", "--kind", "churn", "--light", "red")
    assert "none of open, cannot_say" in closedloop("warnings", "list", "--result", "moon", status=2)
    assert "Nothing found." in closedloop("knowledge", "search", "换线太慢")


@pytest.mark.mission("S102")
def test_the_page_of_warnings_says_who_did_what_and_whether_it_worked(
    closedloop: Any, loaded: Any, stub: Callable[..., Any], tmp_path: Path
) -> None:
    lead, plant = "melvin-marxen", stub("approvals", tasks_pb2_grpc.TaskServiceStub, "mes", "integration")
    for order, watched in (("A1", True), ("A2", False)):
        content = tasks_pb2.TaskContent(
            kind="intervention", title=f"order {order} is late", assignee_id=lead, origin="mes", light=LIGHT_RED,
            cause_key=f"mes.late:{order}", warning="mes.late", origin_checks=watched,
        )  # fmt: skip
        plant.RaiseTask(tasks_pb2.RaiseTaskRequest(request_id=new_id(), content=content))
    page = ("warnings", "list", "--kind", "mes.late", "--light", "red")
    assert "nobody acted yet: 2" in closedloop(*page)
    for task in closedloop.lines("tasks", "list", "--everyone", "--warning", "mes.late"):
        closedloop("tasks", "done", task["id"], "--comment", "split the lot", "--as", lead)
    found = closedloop.lines(*page, "--owner", lead)
    assert {(one["action"], one["result"]) for one in found} == {("split the lot", "cannot_say")}, "no data says so yet"
    assert "Nothing found." in closedloop(*page, "--result", "worked", "--as", lead)
    out = tmp_path / "month.md"
    closedloop(*page, "--out", out)
    assert "- cannot say yet: 2" in out.read_text()
    assert "| split the lot | cannot say yet |" in out.read_text()
    of_targets = closedloop.lines("warnings", "list", "--service", "targets")
    assert "mes.late" not in {one["kind"] for one in of_targets}
    here = {one["unit_id"] for one in found}
    assert len(closedloop.lines(*page, "--unit", here.pop())) == 2
    elsewhere = closedloop.lines("accounts", "list", "--limit", "1")[0]["ownership"]["unitId"]
    assert closedloop.lines(*page, "--unit", elsewhere) == []
    assert "there is no unit moon" in closedloop(*page, "--unit", "moon", status=1)


@pytest.mark.mission("S95", "S101")
def test_management_is_put_to_the_test(closedloop: Any, loaded: Any) -> None:
    me = ("--as", "melvin-marxen")
    begins = (today() - timedelta(days=30)).isoformat()
    made = closedloop.json(
        "experiments", "register", "每日晨会", "--metric", "won_amount", "--since", begins, "--core", *me
    )
    assert [one["id"] for one in closedloop.lines("experiments", "actions", "--core", *me)] == [made["id"]]
    assert "每日晨会" in closedloop("experiments", "action", made["id"], *me)
    design = ("experiments", "design", made["id"], "晨会带来赢单", "--metric", "won_amount", "--days", 30)
    assert "NOTHING_VARIES" in closedloop(*design, "--effect", 1000, "--of", "account", *me, status=1), (
        "nobody won lately"
    )
    assert "METRIC_UNKNOWN" in closedloop(*design[:5], "moon", *design[6:], "--effect", 1, *me, status=1)
    assert "Nothing found." in closedloop("experiments", "list", "--state", "running", *me)
    assert "Nothing found." in closedloop("pilots", "bottlenecks", *me), "history says nothing of the last 90 days"
    start = ("pilots", "start", "提速", "--bottleneck", "stage:b2b/need", "--measures", "每周清点")
    assert "TOO_LITTLE_DATA" in closedloop(
        *start, "--unit", made["ownership"]["unitId"], "--from", today(), *me, status=1
    )
    assert "Nothing found." in closedloop("pilots", "list", *me)


@pytest.mark.mission("S83", "S79")
def test_a_foreign_export_is_diagnosed_and_nothing_of_it_is_kept(closedloop: Any, crm: Path) -> None:
    found = closedloop.json("diagnose", crm)
    counts = {(each["kind"], each["field"]): int(each["count"]) for each in found["findings"]}
    assert counts["missing_reference", "account"] == 1425
    assert counts["alias", "product"] == 1480
    assert counts["misspelling", "sector"] == 12
    assert counts["idle_owner", "sales_agent"] == 5
    assert counts["missing_field", "close_date"] == 2089
    assert float(found["elapsed"].removesuffix("s")) < 180
    shown = closedloop("diagnose", crm)
    assert "GTX Pro" in shown
    assert "/ 100" in shown


@pytest.mark.mission("S70")
def test_notice_files_come_in_by_the_command_line(closedloop: Any, data_folder: Path) -> None:
    files = sorted((data_folder / "ccgp").glob("*.xlsx"))
    dry = closedloop.lines("notices", "import", *files, "--source", "ccgp", "--dry-run")
    assert [one["rowsRead"] for one in dry] == [45, 41, 80, 68]
    closedloop("notices", "import", *files, "--source", "ccgp")
    assert len(closedloop.lines("notices", "list", "--limit", 0)) == 34
    runs = closedloop.lines("sources", "runs", "--source", "ccgp")
    assert [run["fileName"] for run in runs] == [file.name for file in reversed(files)]
    assert closedloop.lines("sources", "quarantine", "--source", "ccgp") == []
    assert "ccgp" in closedloop("sources", "runs")
    assert closedloop.json("notices", "accuracy", "--from", "2026-01-01")["reviewed"] == "0"
    assert "procurement" in closedloop("sources", "list")


@pytest.mark.mission("S79")
def test_a_figure_is_traced_to_its_documents(closedloop: Any, stub: Any, loaded: Any) -> None:
    invoices = [
        erp_pb2.Transaction(
            number=f"SI{place}",
            date=Date(year=2025, month=3, day=10 + place),
            currency="USD",
            channel="tmall",
            provenance=Provenance(source="u8", source_id=f"SI{place}"),
            invoice=erp_pb2.Invoice(
                lines=[
                    erp_pb2.InvoiceLine(
                        line=1,
                        net_amount=Money(currency_code="USD", units=1_000),
                        cost_amount=Money(currency_code="USD", units=600),
                    )
                ]
            ),
        )
        for place in range(3)
    ]
    request = erp_pb2.ImportTransactionsRequest(request_id=new_id(), rows=invoices)
    books = stub("integrations", erp_pb2_grpc.ErpServiceStub, "ops", "operations")
    assert not books.ImportTransactions(request).errors
    asked = ("trace", "integrations.operational_margin", "--period", "2025-Q1", "--channel", "tmall")
    found = closedloop.json(*asked, "--limit", 4)
    assert (found["value"], found["totalRows"], len(found["rows"])) == (1200.0, "6", 4)
    whole = closedloop.json(*asked, "--limit", 0)
    assert sum(row["contribution"] for row in whole["rows"]) == whole["value"]
    assert {row["fields"]["number"] for row in whole["rows"]} == {"SI0", "SI1", "SI2"}
    shown = closedloop(*asked)
    assert "SI2" in shown
    assert "6 of 6 records shown; together they add up to 1,200.00." in shown
    assert "is asked by account_id" in closedloop("trace", "integrations.lifetime_value", "--period", "2025", status=1)
    assert "luck" in closedloop("trace", "luck", "--period", "2025", status=2)


@pytest.mark.mission("S79", "S80", "S83")
def test_what_figures_mean_and_how_far_they_can_be_believed(closedloop: Any, standing: Platform, loaded: Any) -> None:
    listed = closedloop.lines("metrics", "list")
    assert {one["name"].partition(".")[0] for one in listed} == {
        *("targets", "customers", "funnel", "approvals", "integrations")
    }
    assert all(one["ownerId"] or one["ownerRole"] for one in listed)
    assert "funnel.win_rate" in closedloop("metrics", "list", "win_rate", "-s", "funnel")
    shown = closedloop("metrics", "show", "targets.won_value")
    assert "funnel.won_value" in shown
    assert "ActualService.SummarizeActuals" in shown
    # A year of the data set as the funnel knows it, and as targets heard of it.
    won = closedloop.json("trace", "funnel.won_value", "--period", "2017-03", "--limit", 0)
    assert sum(row["contribution"] for row in won["rows"]) == pytest.approx(won["value"])
    assert closedloop.json("trace", "targets.won_value", "--period", "2017-03")["value"] == pytest.approx(won["value"])
    # The deals without a customer, which the diagnosis of the export found, are found here as well.
    [report] = closedloop.lines("metrics", "credibility", "-s", "funnel")
    found = {(one["kind"], one["field"]): one for one in report["findings"]}
    nobody = found["missing_reference", "account_id"]
    assert (nobody["count"], nobody["light"], len(nobody["examples"])) == ("1425", "LIGHT_RED", 20)
    said = closedloop("metrics", "credibility")
    assert "name the customer of each deal" in said
    assert "no metric funnel.luck" in closedloop("metrics", "health", "funnel.luck", status=1)
    assert "luck" in closedloop("metrics", "show", "luck", status=2)
    assert "2199-01 has not begun" in closedloop("metrics", "credibility", "2199-01", "-s", "funnel", status=1)
    # Every service has set itself to look at the day when it has ended.
    for service in ("targets", "customers", "funnel", "approvals", "integrations"):
        with psycopg.connect(standing.database(service)) as database:
            set_ = database.execute("SELECT count(*) FROM timer WHERE kind = 'platform.figures_day'").fetchone()
        assert set_ == (1,), service


def test_events_on_offer_and_an_address_that_may_not_be_called(closedloop: Any) -> None:
    offered = {one["type"] for one in closedloop.lines("webhooks", "types")}
    assert "closedloop.funnel.opportunity.won.v1" in offered
    refused = closedloop("webhooks", "subscribe", "https://10.0.0.1/x", "--type", "closedloop.funnel.*", status=1)
    assert "may be called" in refused
    assert closedloop.lines("webhooks", "list") == []


def test_tokens_and_who_may_not(closedloop: Any, standing: Platform, shell: Any, loaded: Any) -> None:
    token = closedloop("token", "zane-levy").strip()
    peers = json.dumps({name: standing.address(name) for name in ("customers", "funnel")})
    elsewhere = shell(CLOSEDLOOP_PEERS=peers, CLOSEDLOOP_TOKEN=token)
    mine = elsewhere.lines("opportunities", "list", "--limit", 0)
    assert mine
    assert {deal["ownership"]["ownerId"] for deal in mine} == {"zane-levy"}
    denied = elsewhere("events", "parked", "-s", "funnel", status=1)
    assert denied.startswith("funnel: none of the caller's roles may call ListParkedEvents. Ask somebody")
    refused = shell(CLOSEDLOOP_PEERS=peers, CLOSEDLOOP_TOKEN="nonsense")("leads", "list", status=1)
    assert "UNAUTHENTICATED" in refused
    assert "PERSON_NOT_FOUND" in closedloop("leads", "list", "--as", "nobody", status=1)


def test_files_in_the_words_of_the_contract(closedloop: Any, loaded: Any, tmp_path: Path) -> None:
    people = tmp_path / "people.csv"
    people.write_text("id,name,unit_id,roles,title\nli-wei,李伟,east,rep; engineer,销售工程师\nx,Nobody,nowhere,rep,\n")
    errors = tmp_path / "errors.csv"
    said = closedloop.json("import", "org", people, "--errors", errors, status=1)
    assert said["kinds"]["organisation"] == {
        "read": 2,
        "loaded": 1,
        "created": 1,
        "updated": 0,
        "unchanged": 0,
        "rejected": 1,
    }
    assert "UNIT_NOT_FOUND" in errors.read_text()
    assert "李伟" in closedloop("targets", "tree", "--unit", "east")
    # Saved by an old system, and once more out of Excel with a row nobody can read.
    leads, again = tmp_path / "leads.csv", tmp_path / "leads.xlsx"
    heading, row = (
        ("company_name", "phone", "need", "expected_date", "provenance.source_id"),
        ("南方电气", "13900139000", "MES"),
    )
    leads.write_bytes(",".join(heading).encode() + ",".join(("\n" + row[0], *row[1:], "", "W-1")).encode("gbk"))
    assert closedloop.json("import", "leads", leads, "--dry-run")["kinds"]["leads"]["created"] == 1
    assert closedloop.json("import", "leads", leads)["kinds"]["leads"]["created"] == 1
    with xlsxwriter.Workbook(str(again)) as book:
        sheet = book.add_worksheet()
        for line, cells in enumerate((heading, (*row, "", "W-1"), (*row, "2026-13-01", "W-2"))):
            sheet.write_row(line, 0, cells)
    said = closedloop.json("import", "leads", again, "--errors", errors, status=1)["kinds"]["leads"]
    assert (said["unchanged"], said["rejected"]) == (1, 1)
    assert "leads.xlsx,3,expected_date,VALUE_UNREADABLE" in errors.read_text()


@pytest.mark.mission("U14", "S21", "S100")
def test_a_list_as_a_sales_person_keeps_it(closedloop: Any, loaded: Any, tmp_path: Path) -> None:
    """The dry run says which columns were understood; a service's complaint names the list's own column."""
    sheet, errors, back = tmp_path / "名单.csv", tmp_path / "errors.csv", tmp_path / "back.csv"
    sheet.write_text(
        "公司名称,联系人,手机/电话,行业,地区,来源,需求,星座\n"
        "北方机床厂,王芳,13900139111,制造业,辽宁省沈阳市,展会,要两台,狮子座\n"
        "北方机床二厂,李伟,13900139112,教育,辽宁,微信,要一台,\n"
        "北方机床三厂,李伟,电话号码写在备注里了请先加微信再联系他本人谢谢不要直接打电话他在开会不方便,教育,辽宁,微信,要一台,\n"
        "北方机床四厂,李伟,13900139113,炼金,辽宁,微信,要一台,\n",
        encoding="gbk",
    )
    said = closedloop.json("import", "leads", sheet, "--dry-run", "--errors", errors, status=1)
    assert said["columns"]["understood"]["手机/电话"] == "phone"
    assert said["columns"]["ignored"] == {"星座": 1}
    assert said["kinds"]["leads"]["created"] == 2
    told = errors.read_text()
    assert "名单.csv,4,手机/电话," in told
    assert "名单.csv,5,行业,WORD_UNKNOWN" in told
    assert "星座" in closedloop("import", "leads", sheet, "--lang", "zh", status=1)
    lead, *_ = closedloop.lines("leads", "list", "--query", "北方机床厂")
    assert (lead["provenance"]["source"], lead["profile"]["industry"]) == ("event", "manufacturing")
    closedloop("export", "leads", back, "--source", "event")
    assert closedloop.json("import", "leads", back)["kinds"]["leads"]["unchanged"] == 1


def usd(amount: int) -> metrics_pb2.Amount:
    return metrics_pb2.Amount(money=Money(currency_code="USD", units=amount))


class _Bearing:
    """A plain stub whose calls carry a token."""

    def __init__(self, stub: Any, token: str) -> None:
        self._stub = stub
        self._metadata = (("authorization", f"Bearer {token}"),)

    def __getattr__(self, name: str) -> Callable[[Any], Any]:
        method = getattr(self._stub, name)
        return lambda request: method(request, metadata=self._metadata, timeout=30)


@pytest.mark.mission("U11", "S29", "S33", "S37", "U12")
def test_a_customer_is_recognised_judged_briefed_on_and_given_up(closedloop: Any, loaded: Any) -> None:
    account, *_ = closedloop.lines("accounts", "list", "--query", "Cancity")
    id_, owner = account["id"], account["ownership"]["ownerId"]
    (match, *_) = closedloop.lines("duplicates", "find", "CANCITY Inc.")
    assert match["record"]["id"] == id_
    scanned = closedloop.json("duplicates", "scan", "account")
    assert int(scanned["records"]) >= 85
    closedloop("duplicates", "list")
    brief = closedloop("brief", id_, "--as", owner)
    assert "Cancity" in brief
    closedloop("health", "list", "--as", owner)
    closedloop("health", "findings", "--as", owner)
    other = closedloop.lines("accounts", "list", "--owner", owner)[-1]
    assert other["id"] != id_
    dry = closedloop.json(
        "duplicates", "merge", id_, other["id"], "--reason", "one", "--override", "one", "--owner", owner, "--dry-run"
    )
    assert dry["absorbedIds"] == [other["id"]]
    merged = closedloop.json(
        "duplicates", "merge", id_, other["id"], "--reason", "one", "--override", "one", "--owner", owner
    )
    undone = closedloop.json("duplicates", "unmerge", merged["id"], "--reason", "two")
    assert undone["unmergedBy"]
    closedloop("pool", "list", "--claimable")
