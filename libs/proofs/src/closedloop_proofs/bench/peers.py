"""What else one could run, on the same PostgreSQL and the same core in the same run: FastAPI with SQLAlchemy, and Tryton."""

from __future__ import annotations

import base64
import gzip
import json
import subprocess
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import psycopg

from closedloop.funnel.v1 import opportunities_pb2, opportunities_pb2_grpc
from closedloop_chassis import ids
from closedloop_devstack.errors import PlatformError
from closedloop_devstack.servers import databases
from closedloop_proofs.bench import company, funnel, imports, tools
from closedloop_proofs.bench.figures import Figure, Wanted, throughput
from closedloop_proofs.bench.ground import Api, Ground, accepted, contract_of
from closedloop_proofs.bench.load import LoadFailed, Pressure, framed, h2load, k6, watched
from closedloop_proofs.bench.samples import Sample
from closedloop_proofs.bench.turns import in_turns
from closedloop_proofs.bench.writes import drive

OTHERS = Path(__file__).parent / "others"
SERVICE = "closedloop.funnel.v1.OpportunityService"
# Deals there are before the first turn, and lines of a page of them.
DEALS, LINES = 1000, 50
# Of the one worker's pool and of Tryton's threads: as many connections as a service of ours has.
WORKERS, THREADS = 4, 4
FASTAPI = "FastAPI, SQLAlchemy async ORM, psycopg, uvicorn (uvloop, httptools), 1 worker, pool 16; bare"
TRYTON = f"trytond 8.2 under gunicorn, {WORKERS} workers x {THREADS} threads, its JSON-RPC"
PASSWORD = "bench-password-1"
FIELDS = (
    "number",
    "party.rec_name",
    "employee.rec_name",
    "description",
    "amount",
    "conversion_probability",
    "start_date",
    "state",
)


def measure(ground: Ground, pressure: Pressure, rounds: int, only: Callable[[str], bool]) -> list[Figure]:
    figures: list[Figure] = []
    if only("LogActivity against FastAPI"):
        figures.append(_against_fastapi(ground, pressure, rounds))
    if only("Tryton"):
        figures += _against_tryton(ground, pressure, rounds)
    return figures


def _against_fastapi(ground: Ground, pressure: Pressure, rounds: int) -> Figure:
    with funnel.logging(ground, pressure, rounds) as (api, write), _fastapi(ground) as (peer, url):
        ground.say("LogActivity against FastAPI and SQLAlchemy")
        deals = _deals_of_theirs(url, pressure.callers)
        told = {"deals": deals, "start_time": (datetime.now(UTC) - timedelta(hours=1)).isoformat()}
        ours, theirs = in_turns(
            partial(drive, ground, api, write, write.method, pressure),
            partial(_drive, ground, peer, "log_activity_http", pressure, told),
            rounds,
        )
    wanted = Wanted(">=", 1.5)
    return throughput("LogActivity against FastAPI", ours, "FastAPI, bare", theirs, wanted, note=FASTAPI)


def _against_tryton(ground: Ground, pressure: Pressure, rounds: int) -> list[Figure]:
    with _pipeline(ground) as (api, mine), _tryton(ground) as (peer, theirs):
        ground.say("a deal created and advanced, against Tryton")
        whole = {"whole": True}
        stepping = in_turns(
            partial(_drive, ground, api, "deal", pressure, {**mine, **whole}),
            partial(_drive, ground, peer, "deal_tryton", pressure, {**theirs, **whole}),
            rounds,
        )
        ground.say("a pipeline listed, against Tryton")
        listing = in_turns(_our_list(ground, api, mine, pressure), _their_list(ground, peer, theirs, pressure), rounds)
    compared = {"create and advance a deal": stepping, "list a pipeline": listing}
    return [
        throughput(f"{name}, Tryton", ours, "Tryton", others, Wanted(">=", 30), note=TRYTON)
        for name, (ours, others) in compared.items()
    ]


def _our_list(ground: Ground, api: Api, told: Mapping[str, Any], pressure: Pressure) -> Callable[[], Sample]:
    """The newest fifty open deals as lines, asked for again and again."""
    method, token = f"{SERVICE}.ListOpportunities", told["tokens"][0]
    request = opportunities_pb2.ListOpportunitiesRequest(
        states=[opportunities_pb2.OPPORTUNITY_STATE_OPEN],
        page_size=LINES,
        view=opportunities_pb2.OPPORTUNITY_VIEW_BASIC,
    )
    path = f"/{SERVICE}/ListOpportunities"
    answer = opportunities_pb2.ListOpportunitiesResponse.FromString(api.call(path, request.SerializeToString(), token))
    if len(answer.opportunities) != LINES:
        raise LoadFailed(f"{len(answer.opportunities)} lines where {LINES} are")
    body = ground.folder / "list.bin"
    body.write_bytes(framed(request.SerializeToString()))
    headers = {"authorization": f"Bearer {token}"}

    def listed() -> Sample:
        before = api.answered(method)
        drive = partial(h2load, api.address, path, body, pressure, ground.folder, headers)
        sample = watched([api.pid], drive)
        accepted(api, method, before, sample.calls)
        return sample

    return listed


def _their_list(ground: Ground, peer: Api, told: Mapping[str, Any], pressure: Pressure) -> Callable[[], Sample]:
    """The same as Tryton's client asks for it."""
    order = [["start_date", "DESC"], ["id", "DESC"]]
    params = [["state", "=", "lead"], 0, LINES, order, told["fields"], told["context"]]
    question = json.dumps({"id": 1, "method": "model.sale.opportunity.search_read", "params": params}).encode()
    # Without the last one trytond calls a plain answer gzip where it streams one.
    headers = {"content-type": "application/json", **told["headers"], "accept-encoding": "gzip"}
    asked = urllib.request.Request(f"http://{peer.address}{told['path']}", question, headers)
    with urllib.request.urlopen(asked, timeout=60) as answer:
        found = json.loads(_plain(answer.read()))
    if len(found.get("result") or ()) != LINES:
        raise LoadFailed(f"Tryton does not list {LINES} deals: {str(found)[:300]}")
    body = ground.folder / "list.json"
    body.write_bytes(question)
    drive = partial(h2load, peer.address, told["path"], body, pressure, ground.folder, headers, grpc=False)
    return lambda: watched([peer.pid], drive)


def _plain(body: bytes) -> bytes:
    return gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body


def _drive(ground: Ground, api: Api, script: str, pressure: Pressure, told: Mapping[str, object]) -> Sample:
    question = {"tokens": [], **told, "addresses": [api.address], "run": ids.new_id()[-12:]}
    return watched([api.pid], lambda: k6(script, pressure, ground.folder, question))


@contextmanager
def _fastapi(ground: Ground) -> Iterator[tuple[Api, str]]:
    url = databases.create(ground.postgres.url, "fastapi")
    port = ground.layout.base + 97
    command = [
        str(tools.environment() / "bin" / "uvicorn"),
        "activities:app",
        f"--app-dir={OTHERS}",
        f"--port={port}",
        "--loop=uvloop",
        "--http=httptools",
        "--no-access-log",
        "--log-level=warning",
    ]
    environment = {"DATABASE_URL": url.replace("postgresql://", "postgresql+psycopg://", 1)}
    with ground.other("fastapi", command, environment, port) as peer:
        yield peer, url


def _deals_of_theirs(url: str, callers: int) -> list[list[str]]:
    """As many deals of as many sellers as ours has."""
    deals = [[ids.new_id() for _ in range(funnel.DEALS)] for _ in range(callers)]
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO opportunity (id, name, account_id, owner_id) VALUES (%s, %s, %s, %s)",
            [(id_, "deal", ids.new_id(), seller) for seller, of in enumerate(deals) for id_ in of],
        )
    return deals


@contextmanager
def _pipeline(ground: Ground) -> Iterator[tuple[Api, dict[str, Any]]]:
    """Our funnel with a thousand open deals, and what a script must know of it."""
    url = ground.database("funnel")
    accounts = list(company.accounts(per_seller=1))
    with ground.api("funnel", url) as api:
        ground.hear(url, "targets", company.organisation())
        ground.settle(url)
        ground.hear(url, "customers", accounts)
        ground.settle(url)
        stub = api.stub(opportunities_pb2_grpc.OpportunityServiceStub, "OPS", "operations")
        rows = [row for row in imports.rows(0) if row.stage not in ("Won", "Lost")][:DEALS]
        summary = stub.BulkImportOpportunities(
            opportunities_pb2.BulkImportOpportunitiesRequest(request_id=ids.new_id(), rows=rows)
        ).summary
        if summary.created != DEALS:
            raise LoadFailed(f"{summary.created} of {DEALS} deals came in: {list(summary.errors)[:1]}")
        yield (
            api,
            {
                "contract": str(contract_of(f"{SERVICE}.CreateOpportunity", ground.folder)),
                "service": SERVICE,
                "accounts": [id_ for id_, _ in accounts],
                "tokens": [ground.token("OPS", "operations")],
            },
        )


@contextmanager
def _tryton(ground: Ground) -> Iterator[tuple[Api, dict[str, Any]]]:
    """Tryton with a company and a thousand leads, and what a script must know of it."""
    ground.say("Tryton makes its database; that takes a minute")
    url = databases.create(ground.postgres.url, "tryton")
    settings, password = ground.folder / "trytond.conf", ground.folder / "trytond.password"
    settings.write_text(f"[database]\nuri = {url.rpartition('/')[0]}/\n")
    password.write_text(PASSWORD + "\n")
    environment = {"TRYTONPASSFILE": str(password), "TRYTOND_CONFIG": str(settings), "HOME": str(ground.folder)}
    database = url.rpartition("/")[2]
    admin = ["trytond-admin", "-c", str(settings), "-d", database, "-u", "sale_opportunity"]
    _run([*admin, "--activate-dependencies", "--email", "bench@example.com"], environment)
    told = _run(["python", str(OTHERS / "tryton_company.py"), str(settings), database, str(DEALS)], environment)
    there: dict[str, Any] = json.loads(told.splitlines()[-1])
    port = ground.layout.base + 98
    command = [
        str(tools.environment() / "bin" / "gunicorn"),
        "trytond.application:app",
        f"--bind=127.0.0.1:{port}",
        f"--workers={WORKERS}",
        f"--threads={THREADS}",
        "--log-level=warning",
    ]
    with ground.other("tryton", command, {**environment, "TRYTOND_DATABASE_NAMES": database}, port) as peer:
        path = f"/{database}/rpc/"
        yield (
            peer,
            {
                "path": path,
                "headers": {"authorization": _session(peer, path)},
                "context": {"company": there["company"], "employee": there["employee"]},
                "currency": there["currency"],
                "customers": there["customers"],
                "fields": FIELDS,
            },
        )


def _session(peer: Api, path: str) -> str:
    """Raises PlatformError where Tryton does not let its administrator in."""
    body = {"id": 1, "method": "common.db.login", "params": ["admin", {"password": PASSWORD}, "en"]}
    request = urllib.request.Request(
        f"http://{peer.address}{path}", json.dumps(body).encode(), {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        found = json.loads(answer.read())
    if not found.get("result"):
        raise PlatformError(f"Tryton refused its administrator: {found}")
    user, key = found["result"][:2]
    return "Session " + base64.b64encode(f"admin:{user}:{key}".encode()).decode()


def _run(command: Sequence[str], environment: Mapping[str, str], seconds: float = 900) -> str:
    """A program of the bench's environment; answers what it said. Raises PlatformError."""
    program = str(tools.environment() / "bin" / command[0])
    env = {"PATH": "/usr/bin:/bin", **environment}
    done = subprocess.run([program, *command[1:]], env=env, capture_output=True, text=True, timeout=seconds)
    if done.returncode != 0:
        raise PlatformError(f"{command[0]} ended with {done.returncode}: {done.stderr[-500:]}")
    return done.stdout
