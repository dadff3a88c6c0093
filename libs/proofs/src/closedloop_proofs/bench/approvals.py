"""The work list at a million past and fifty thousand open requests, against an empty database on the same processes.

python -m closedloop_proofs.bench.approvals                         # about ten minutes
python -m closedloop_proofs.bench.approvals --past 100000 --open 5000
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import grpc
import psycopg
import typer

from closedloop.approvals.v1 import worklist_pb2, worklist_pb2_grpc
from closedloop_devstack import ports
from closedloop_devstack.platform import Options, Platform
from closedloop_devstack.platform.layout import SIZE

TEAMS = 100
CALLS = 500
WARM_UP = 50
ROUNDS = 9
WANTED_RATIO = 3.0
# Rows of one statement; more would hold one transaction open for minutes.
CHUNK = 50_000

# A hundred teams in ten regions; everyone's roles are what their place says.
ORGANISE = """
INSERT INTO org_unit (id, parent_id, name, kind, manager_id, version)
SELECT 'CO', '', 'CO', 'company', 'p0', 1
UNION ALL SELECT 'R' || r, 'CO', 'R' || r, 'region', 'p' || r, 1 FROM generate_series(1, 10) r
UNION ALL SELECT 'T' || t, 'R' || 1 + t %% 10, 'T' || t, 'team', 'p' || 10 + t, 1 FROM generate_series(1, %(teams)s) t
ON CONFLICT DO NOTHING;
"""
PEOPLE = """
INSERT INTO org_person (id, unit_id, name, roles, version)
SELECT 'p' || p, 'T' || 1 + p %% %(teams)s, '员工' || p,
       CASE WHEN p <= 10 + %(teams)s THEN ARRAY['manager'] ELSE ARRAY['rep'] END, 1
  FROM generate_series(0, %(people)s) p ON CONFLICT DO NOTHING;
"""
RELOAD = "UPDATE memory_revision SET value = value + 1 WHERE name = 'org'"

# Ids in order of time, as UUIDv7 are. Two of three past ones were approved; one in ten had two steps.
REQUESTS = """
INSERT INTO approval_request (
    id, origin, kind, subject_id, subject_version, digest, title, summary, opportunity_id, facts, account_id, amount_minor,
    currency, base_minor, discount_ratio, state, submitter_id, opened_by, owner_id, unit_id, participants, reason,
    attachments, rules, policies, accumulated_ids, decision, on_overdue, opened_at, due_at, closed_at, running_since, elapsed,
    decided_by, provenance, version, trail_length, trail_hash)
SELECT lpad(to_hex(n), 32, '0')::uuid, 'bench', CASE n %% 5 WHEN 0 THEN 'contract' ELSE 'quote' END, 'S-' || n, 1,
       md5(n::text) || md5(n::text), 'MES 升级报价 ' || n, repeat('报价说明 ', 20), lpad(to_hex(n %% 200000), 32, '0')::uuid,
       jsonb_build_object('discount_ratio', 0.15, 'ownership', jsonb_build_object('owner_id', rep, 'unit_id', team)),
       lpad(to_hex(n %% 50000), 32, '0')::uuid, n %% 9000000, 'CNY', n %% 9000000, 0.15,
       CASE WHEN open THEN 'pending' WHEN n %% 3 = 0 THEN 'rejected' ELSE 'approved' END, rep, 'bench', rep, team,
       ARRAY[signer], '竞争对手降价', '[]', '[{"rule": "policies.discount", "explanation": "above 10 %% needs the manager"}]',
       ARRAY['discount'], '{}', '{"hours": 8, "days": 0, "calendar": "business", "warn_at": 0.5}', 'escalate', opened_at,
       CASE WHEN open THEN opened_at + interval '9 hours' END, CASE WHEN NOT open THEN opened_at + interval '5 hours' END,
       CASE WHEN open THEN opened_at END, interval '3 hours', CASE WHEN open THEN '' ELSE signer END,
       '{"source": "bench"}', 2, 1, ''
  FROM (SELECT n, n >= %(open_from)s AS open, 'p' || 111 + n %% (%(people)s - 110) AS rep, 'T' || 1 + n %% %(teams)s AS team,
               'p' || 1 + n %% %(signers)s AS signer,
               %(now)s - make_interval(mins => (%(until)s - n)::int) AS opened_at
          FROM generate_series(%(from)s::bigint, %(to)s::bigint) n) made
"""
STEPS = """
INSERT INTO approval_step (request_id, number, name, mode, quorum, parallel_group, rule, started_at, ended_at)
SELECT id, 1, 'manager', 'single', 0, 0, '{}', opened_at, closed_at FROM approval_request
 WHERE id BETWEEN lpad(to_hex(%(from)s::bigint), 32, '0')::uuid AND lpad(to_hex(%(to)s::bigint), 32, '0')::uuid
"""
SIGNERS = """
INSERT INTO approval_signer (request_id, step, position, person_id, slot, added_to, waits_for, state, reason, signed_by,
                             asked_at, answered_at, comment, from_person_id)
SELECT id, 1, 1, participants[1], 1, 0, 0, CASE state WHEN 'pending' THEN 'asked' ELSE state END, 'manager_of_owner', '',
       opened_at, closed_at, '', ''
  FROM approval_request
 WHERE id BETWEEN lpad(to_hex(%(from)s::bigint), 32, '0')::uuid AND lpad(to_hex(%(to)s::bigint), 32, '0')::uuid
"""
TRAIL = """
INSERT INTO approval_trail (request_id, sequence, content, previous_hash, hash)
SELECT id, 1, jsonb_build_object('request_id', id, 'sequence', 1, 'action', 'opened', 'actor_id', submitter_id,
                                 'time', opened_at)::text, repeat('0', 64), md5(id::text)
  FROM approval_request
 WHERE id BETWEEN lpad(to_hex(%(from)s::bigint), 32, '0')::uuid AND lpad(to_hex(%(to)s::bigint), 32, '0')::uuid
"""
# As many tasks as a tenth of the requests, and delegations of every tenth person, one in a hundred in force.
TASKS = """
INSERT INTO task (id, kind, title, description, assignee_role, owner_id, unit_id, origin, cause_key, warning, light, priority,
                  subject_type, subject_id, evidence, outcomes, check_window, state, assignee_id, assignee_unit_id,
                  original_assignee_id, raised_by, participants, raised_at, due_at, effect, provenance, version)
SELECT lpad(to_hex(n), 32, '0')::uuid, 'intervention', '滞留商机', '', '', signer, 'CO', 'bench', 'cause-' || n, 'bench.warning',
       1, 2, 'opportunity', n::text, '[]', '{}', interval '0', CASE WHEN n * 10 >= %(open_from)s THEN 'open' ELSE 'done' END,
       signer, 'CO', signer, 'bench', ARRAY[signer], %(now)s - make_interval(mins => (%(until)s - n * 10)::int),
       %(now)s + make_interval(hours => (n %% 100)::int), 'not_checked', '{"source": "bench"}', 1
  FROM (SELECT n, 'p' || 1 + n %% %(signers)s AS signer
          FROM generate_series(%(from)s::bigint / 10 + 1, %(to)s::bigint / 10) n) made
"""
DELEGATIONS = """
INSERT INTO delegation (id, delegator_id, delegate_id, starts_at, ends_at, request_kinds, task_kinds, reason, created_by,
                        created_at, unit_id, version)
SELECT lpad(to_hex(p), 32, '0')::uuid, 'p' || p, 'p' || p + 1, %(now)s - interval '9 days',
       CASE WHEN p %% 100 = 0 THEN %(now)s + interval '9 days' ELSE %(now)s - interval '1 day' END, '{}', '{}', '休假', 'p' || p,
       %(now)s - interval '9 days', 'CO', 1
  FROM generate_series(1, %(people)s, 10) p
"""


@dataclass(frozen=True, slots=True)
class Size:
    """How much is loaded; the open requests lie on the desks of `signers` people."""

    past: int = 1_000_000
    open: int = 50_000
    people: int = 5_000
    signers: int = 1_000


@dataclass(frozen=True, slots=True)
class Tail:
    """Latencies of one kind of call, in milliseconds, as a client sees them."""

    p50: float
    p99: float
    items: float


@dataclass(frozen=True, slots=True)
class Desk:
    """Where a service answers, as whom we ask, and its database."""

    address: str
    token: str
    url: str


def organise(url: str, size: Size) -> None:
    """The people, before anything waits for them."""
    with psycopg.connect(url) as connection:
        connection.execute(ORGANISE, {"teams": TEAMS})
        connection.execute(PEOPLE, {"teams": TEAMS, "people": size.people})
        connection.execute(RELOAD)


def fill(url: str, size: Size, say: Callable[[str], None] = lambda _: None) -> None:
    """Past and open requests with steps, signers and trails; tasks; delegations. In the order of time, then ANALYZE."""
    total = size.past + size.open
    with psycopg.connect(url, autocommit=True) as connection:
        now = connection.execute("SELECT now()").fetchone()
        assert now is not None
        params = {"now": now[0], "teams": TEAMS, "people": size.people, "signers": size.signers, "until": total}
        for begin in range(1, total + 1, CHUNK):
            part = {**params, "from": begin, "to": min(begin + CHUNK - 1, total), "open_from": size.past + 1}
            with connection.transaction():
                for statement in (REQUESTS, STEPS, SIGNERS, TRAIL, TASKS):
                    connection.execute(statement, part)
            say(f"{part['to']:,} of {total:,} requests")
        connection.execute(DELEGATIONS, params)
        connection.execute("VACUUM ANALYZE")


def listen(desk: Desk, people: Sequence[str], calls: int = CALLS, warm_up: int = WARM_UP) -> Tail:
    """ListWork as a company reads it: one person's list after the other, none twice in a row."""
    with grpc.insecure_channel(desk.address) as channel:
        ask = worklist_pb2_grpc.WorklistServiceStub(channel).ListWork
        metadata = (("authorization", f"Bearer {desk.token}"),)
        took, items = [], 0
        for number in range(warm_up + calls):
            request = worklist_pb2.ListWorkRequest(person_id=people[number % len(people)])
            began = time.perf_counter()
            answer = ask(request, metadata=metadata, timeout=10)
            if number >= warm_up:
                took.append((time.perf_counter() - began) * 1000)
                items += len(answer.items)
    cuts = statistics.quantiles(took, n=100, method="inclusive")
    return Tail(p50=cuts[49], p99=cuts[98], items=items / calls)


def known(desk: Desk, person: str, seconds: float = 30.0) -> None:
    """Until the service has heard of the people. Raises grpc.RpcError when it does not in time."""
    give_up = time.monotonic() + seconds
    while True:
        try:
            listen(desk, [person], calls=2, warm_up=0)
            return
        except grpc.RpcError:
            if time.monotonic() > give_up:
                raise
            time.sleep(0.2)


def main(
    past: Annotated[int, typer.Option(help="requests that were decided")] = 1_000_000,
    open_: Annotated[int, typer.Option("--open", help="requests that wait")] = 50_000,
    rounds: Annotated[int, typer.Option(help="samples of each side, in turns")] = ROUNDS,
) -> None:
    """Ends with 1 when the tail is longer than three times that of an empty database."""
    size = Size(past=past, open=open_)
    people = [f"p{number}" for number in range(1, size.signers + 1)]
    with ExitStack() as held:
        empty, full = (held.enter_context(standing(size)) for _ in range(2))
        began = time.monotonic()
        fill(full.url, size, typer.echo)
        typer.echo(f"filled in {time.monotonic() - began:.0f} s")
        pairs = [(listen(empty, people), listen(full, people)) for _ in range(rounds)]
    ratio = statistics.median(theirs.p99 / none.p99 for none, theirs in pairs)
    for name, tails in (("empty", [none for none, _ in pairs]), ("full", [theirs for _, theirs in pairs])):
        p50, p99 = (statistics.median(getattr(tail, which) for tail in tails) for which in ("p50", "p99"))
        typer.echo(f"{name:6} p50 {p50:.2f} ms, p99 {p99:.2f} ms, {tails[0].items:.0f} lines each")
    typer.echo(f"p99 {ratio:.2f} x of an empty database's, wanted <= {WANTED_RATIO:g}")
    raise typer.Exit(code=0 if ratio <= WANTED_RATIO else 1)


@contextmanager
def standing(size: Size) -> Iterator[Desk]:
    """Approvals alone, with its people."""
    environment = {"CLOSEDLOOP_RATE_PER_CALLER": "0"}
    options = Options(port_base=ports.free_block(SIZE), services=("approvals",), environment=environment)
    with tempfile.TemporaryDirectory(prefix="closedloop-bench-", ignore_cleanup_errors=True) as folder:
        platform = Platform(Path(folder), options).start()
        try:
            url = platform.database("approvals")
            organise(url, size)
            desk = Desk(platform.address("approvals"), platform.token("bench", "operations"), url)
            known(desk, f"p{size.signers}")
            yield desk
        finally:
            platform.stop()


if __name__ == "__main__":
    typer.run(main)
