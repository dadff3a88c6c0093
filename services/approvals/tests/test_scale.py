"""At scale the hot reads are paid by what waits for one person, not by what was ever decided: proven by their plans."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from closedloop_approvals.requests import reading, store
from closedloop_approvals.routing import SURROUNDINGS
from closedloop_approvals.service import SERVICE
from closedloop_approvals.worklist import store as worklist
from closedloop_chassis.service import Service
from closedloop_proofs.bench.approvals import Size, fill, organise

GREAT = {"approval_request", "approval_step", "approval_signer", "approval_trail", "task", "task_history"}
SIZE = Size(past=20_000, open=1_000, people=500, signers=100)


@pytest.fixture(scope="module")
def filled(database: Callable[[Service], str]) -> str:
    """A database with so many requests that a wrong plan would show."""
    url = database(SERVICE)
    organise(url, SIZE)
    fill(url, SIZE)
    return url


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for below in plan.get("Plans", ()):
        yield from nodes(below)


def explain(url: str, sql: str, params: dict[str, Any], *, analyze: bool) -> dict[str, Any]:
    """The plan with these values, run; or the one for any values, as a prepared statement may have it."""
    with psycopg.connect(url) as connection:
        if analyze:
            row = connection.execute("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + sql, params).fetchone()
        else:
            names = list(params)
            numbered = re.sub(r"%\((\w+)\)s", lambda found: f"${names.index(found[1]) + 1}", sql).replace("%%", "%")
            row = connection.execute(b"EXPLAIN (GENERIC_PLAN, FORMAT JSON) " + numbered.encode()).fetchone()
        assert row is not None
        return row[0][0]["Plan"] if isinstance(row[0], list) else json.loads(row[0])[0]["Plan"]


def scanned(plan: dict[str, Any]) -> set[str]:
    """Great tables that are read from one end to the other."""
    return {n["Relation Name"] for n in nodes(plan) if n["Node Type"] == "Seq Scan"} & GREAT


def read(plan: dict[str, Any]) -> int:
    """Pages touched."""
    return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])


def work(filled: str, person: str) -> dict[str, Any]:
    with psycopg.connect(filled) as connection:
        now = connection.execute("SELECT now(), now() + interval '9 hours'").fetchone()
    assert now is not None
    return {
        "person": person,
        "now": now[0],
        "end_of_day": now[1],
        "types": None,
        "kind": "",
        "account_id": None,
        "due_before": None,
        "on_behalf_only": False,
        "after_in_time": False,
        "after_due": "-infinity",
        "after_priority": -100,
        "after_id": "00000000-0000-0000-0000-000000000000",
        "after_step": -1,
        "after_absent": "",
        "limit": 51,
    }


@pytest.mark.mission("U-A")
def test_a_work_list_reads_its_own_lines_only(filled: str) -> None:
    params = work(filled, "p7")
    plan = explain(filled, worklist.WORK, params, analyze=True)
    assert scanned(plan) == set()
    used = {n["Index Name"] for n in nodes(plan) if "Index Name" in n}
    assert {"approval_signer_open", "approval_request_pkey", "task_desk"} <= used
    assert plan["Actual Rows"] > 5, "there is something on the desk"
    # Ten signatures and a task: a few pages each, whatever else was ever decided.
    assert read(plan) < 400
    assert scanned(explain(filled, worklist.WORK, params, analyze=False)) == set(), "prepared for anybody"


@pytest.mark.parametrize("account_id", ["00000000-0000-0000-0000-000000000007", None])
def test_routing_a_matter_reads_its_neighbours_only(filled: str, account_id: str | None) -> None:
    params = {
        "account_id": account_id,
        "owner_id": "p7",
        "kind": "quote",
        "since": work(filled, "p7")["now"],
        "origin": "funnel",
        "subject_id": "Q-1",
        "currency": "CNY",
        "base_currency": "CNY",
        "day": work(filled, "p7")["now"].date(),
        "now": work(filled, "p7")["now"],
    }
    for analyze in (True, False):
        assert scanned(explain(filled, SURROUNDINGS, params, analyze=analyze)) == set()


def test_whoever_leaves_and_whatever_is_sealed_is_found_by_index(filled: str) -> None:
    assert scanned(explain(filled, store.OPEN_FOR, {"people": ["p7"], "gone": ["p7"]}, analyze=True)) == set()
    subject = {"origin": "bench", "kind": "quote", "subject_id": "S-77"}
    assert scanned(explain(filled, store.OF_SUBJECT, subject, analyze=True)) == set()


@pytest.mark.parametrize("scope", ["company", "own"])
def test_a_page_of_requests_is_not_a_scan_of_all(filled: str, scope: str) -> None:
    names = ("kind", "origin", "subject_id", "submitter_id", "signer_id", "policy", "query")
    params: dict[str, Any] = dict.fromkeys(names, "") | {
        "states": None, "account_id": None, "opportunity_id": None, "unit_ids": None, "opened_from": None,
        "opened_to": None, "overdue": False, "now": work(filled, "p7")["now"], "before": reading.NEWEST[0],
        "before_id": reading.NEWEST[1], "limit": 51, "scope_company": scope == "company", "scope_owner": "p130",
        "scope_units": [],
    }  # fmt: skip
    plan = explain(filled, store.LIST, params, analyze=True)
    assert scanned(plan) == set()
    assert read(plan) < 3_000


async def test_the_loader_makes_what_the_service_can_read(filled: str) -> None:
    """It stays in step with the tables: what was loaded has a signer, a trail and a due time."""

    def count() -> tuple[int, ...]:
        with psycopg.connect(filled) as connection:
            row = connection.execute(
                """SELECT count(*) FILTER (WHERE r.state = 'pending' AND g.state = 'asked' AND r.due_at IS NOT NULL),
                          count(*) FILTER (WHERE r.state <> 'pending' AND r.closed_at IS NOT NULL), count(t.time)
                     FROM approval_request r JOIN approval_signer g ON g.request_id = r.id
                     JOIN approval_trail t ON t.request_id = r.id"""
            ).fetchone()
        assert row is not None
        return tuple(row)

    assert await asyncio.to_thread(count) == (SIZE.open, SIZE.past, SIZE.open + SIZE.past)
