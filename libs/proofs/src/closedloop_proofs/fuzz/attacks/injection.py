"""Text that would like to be SQL, a template or an expression; a canary tells whether any of it ran.

Tables, functions and roles it would make, a file it would touch, a product it would compute, a sleep it would take.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import psycopg
from google.protobuf.message import Message

from closedloop_proofs.fuzz.attacks.calls import CALLER, all_of
from closedloop_proofs.fuzz.ground import ROLES, Finding, Ground, Target
from closedloop_proofs.fuzz.requests import Plausible

NAME = "injection"
# 1337 * 1337; nobody computes that here but a template or an expression that ran.
COMPUTED = "1787569"
WILD = ("%", "_", "%%%", "\\", "*", ".*", "[a-z]*")
CATALOGUE = """
SELECT 'table ' || c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
 WHERE nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') AND relkind IN ('r', 'v', 'm', 'S')
   AND NOT relispartition
UNION ALL SELECT 'function ' || p.oid::regprocedure::text FROM pg_proc p JOIN pg_namespace n ON n.oid = pronamespace
 WHERE nspname NOT IN ('pg_catalog', 'information_schema')
UNION ALL SELECT 'role ' || rolname FROM pg_roles
UNION ALL SELECT 'schema ' || nspname FROM pg_namespace WHERE nspname NOT LIKE 'pg\\_t%'
UNION ALL SELECT 'setting ' || coalesce(setrole::text, '') || array_to_string(setconfig, ',') FROM pg_db_role_setting
"""


def payloads(canary: str, file: Path) -> tuple[str, ...]:
    return (
        f"'; CREATE TABLE {canary} (x int); --",
        f"x'); CREATE TABLE {canary} (x int); --",
        f'"; CREATE TABLE {canary} (x int); --',
        f"$$; CREATE ROLE {canary}; --$$",
        "' OR '1'='1",
        "' || pg_sleep(20) || '",
        "1; SELECT pg_sleep(20)",
        f"'; COPY (SELECT 1) TO PROGRAM 'touch {file}'; --",
        "' UNION SELECT current_setting('is_superuser') --",
        "%(subject)s %s %%",
        f"\\'; CREATE TABLE {canary} (x int); --",
        "{{1337*1337}}", "${1337*1337}", "#{1337*1337}", "<%= 1337*1337 %>", "{% print(1337*1337) %}", "=1337*1337",
        "{0.__class__.__mro__}", "{x.__init__.__globals__}", "%n%n%n",
        f"__import__('os').system('touch {file}')",
        f"$(touch {file})", f"`touch {file}`", f"| touch {file}",
        f"!!python/object/apply:os.system ['touch {file}']",
        f"cos\nsystem\n(S'touch {file}'\ntR.",
    )  # fmt: skip


async def attack(ground: Ground, rounds: int = 1) -> list[Finding]:
    canary, file = f"canary_{ground.seed}", ground.platform.home.root / "canary"
    before = await asyncio.to_thread(_catalogue, ground)
    texts = payloads(canary, file)
    found = await wildcards(ground)

    async def one(target: Target, number: int) -> Finding | None:
        draw = ground.draw("injection", target, number)
        payload = _Injected(target, ground, draw, texts).made().SerializeToString()
        answer = await ground.ask(target, payload, CALLER, *ROLES)
        fault = answer.fault
        if COMPUTED in answer.words or (answer.message is not None and COMPUTED in str(answer.message)):
            fault = "computed what it was told"
        return Finding(NAME, str(target), fault, payload.hex()) if fault else None

    found += await all_of(one(target, number) for target in ground.served for number in range(rounds))
    new = await asyncio.to_thread(_catalogue, ground) - before
    found += [Finding(NAME, "database", f"{thing} has appeared") for thing in sorted(new)]
    found += [Finding(NAME, "database", where) for where in await asyncio.to_thread(_computed, ground)]
    if file.exists():
        found.append(Finding(NAME, "operating system", "the canary file was touched"))
    return found


class _Injected(Plausible):
    """An ordinary request whose free texts are all injections."""

    def __init__(self, target: Target, ground: Ground, draw: Random, texts: tuple[str, ...]) -> None:
        super().__init__(target.method, ground.records, draw)
        self._edgy, self._silence, self._texts = False, 0.0, texts

    def _text(self, field: Any, rules: Any, message: str) -> str:
        free = not (rules.uuid or rules.pattern or rules.email or list(getattr(rules, "in")))
        fitting = [text for text in self._texts if rules.min_len <= len(text) <= (rules.max_len or 1000)]
        if free and fitting and field.name not in ("request_id", "etag", "id") and self._draw.random() < 0.8:
            return self._draw.choice(fitting)
        return super()._text(field, rules, message)


async def wildcards(ground: Ground) -> list[Finding]:
    """A search for "%" finds what contains a per cent sign, not everything."""

    async def one(target: Target, wild: str) -> Finding | None:
        request: Any = target.method.request()
        request.query = wild
        answer = await ground.ask(target, request.SerializeToString(), CALLER, *ROLES)
        if answer.message is None:
            return Finding(NAME, str(target), answer.fault) if answer.fault else None
        others = [item for item in _items(answer.message) if wild not in str(item)]
        return Finding(NAME, str(target), f"a search for {wild!r} found {len(others)} others") if others else None

    searched = [target for target in ground.targets if "query" in target.method.request.DESCRIPTOR.fields_by_name]
    return await all_of(one(target, wild) for target in searched for wild in WILD)


def _items(message: Message) -> Iterator[Message]:
    for field, value in message.ListFields():
        if field.is_repeated and field.message_type is not None:
            yield from value


def _catalogue(ground: Ground) -> set[str]:
    found: set[str] = set()
    for service in ground.services:
        with psycopg.connect(ground.platform.database(service)) as connection:
            found |= {f"{service}: {row[0]}" for row in connection.execute(CATALOGUE)}
    return found


def _computed(ground: Ground) -> Iterator[str] | list[str]:
    """Rows in which the product stands: something evaluated a text on its way in, or later."""
    found = []
    for service in ground.services:
        with psycopg.connect(ground.platform.database(service)) as connection:
            tables = connection.execute(
                "SELECT oid::regclass::text FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
            )
            for (table,) in tables.fetchall():
                row = connection.execute(f"SELECT count(*) FROM {table} t WHERE t::text LIKE '%{COMPUTED}%'").fetchone()
                if row and row[0]:
                    found.append(f"{service}: {table} holds {COMPUTED}")
    return found
