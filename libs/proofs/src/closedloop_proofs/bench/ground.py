"""Where it is measured: PostgreSQL and Redis of the run's own, single processes of services, each on its core.

The server under load has one core to itself; PostgreSQL, Redis, the trace collector and the load generator share the
other. Both sides of a pair stand on the same cores and use the same PostgreSQL.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

import grpc
import psutil
import psycopg
from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.message import Message

from closedloop_chassis import contract, ids
from closedloop_devstack import ports
from closedloop_devstack.errors import PlatformError
from closedloop_devstack.files import last_line
from closedloop_devstack.keys import KeyRing
from closedloop_devstack.platform import health
from closedloop_devstack.platform.environment import ServerUrls, broker_on, of_process
from closedloop_devstack.platform.layout import SERVICES, Layout
from closedloop_devstack.platform.migrate import migrate
from closedloop_devstack.platform.options import Options
from closedloop_devstack.ports import LOOPBACK
from closedloop_devstack.processes.child import Child
from closedloop_devstack.processes.ledger import Ledger
from closedloop_devstack.processes.owned import owned_folder
from closedloop_devstack.servers import PostgresServer, RedisServer, databases
from closedloop_proofs.bench import limits
from closedloop_proofs.bench.load import LoadFailed

Stub = TypeVar("Stub")
Told = TypeVar("Told", bound=Message)

PREFIX = "closedloop-bench-"
READY_SECONDS = 60.0
# Everything on, as in production; the limit per caller is held, though not in the way of one caller who is a whole load.
SETTINGS: Mapping[str, str] = {
    "CLOSEDLOOP_POOL_MIN": str(limits.CONNECTIONS),
    "CLOSEDLOOP_POOL_MAX": str(limits.CONNECTIONS),
    "CLOSEDLOOP_TRACE_RATIO": "0.1",
    "CLOSEDLOOP_RATE_PER_CALLER": "1000000",
    "CLOSEDLOOP_LOG_LEVEL": "INFO",
    "CLOSEDLOOP_DEVELOPMENT": "false",
}
# As a server is set that is not to be small, for all sides alike: with the devstack's 16 MB a write of ours waits for pages,
# where the bare INSERT, at the end of its one table, does not.
POSTGRES: Mapping[str, str] = {"shared_buffers": "512MB", "max_wal_size": "8GB"}

HEAR = """
INSERT INTO inbox (id, source, type, subject, sequence, time, data, slot)
SELECT id, %(source)s, type, subject, sequence, clock_timestamp(), data, abs(hashtext(subject)::bigint) %% 8
  FROM unnest(%(ids)s::uuid[], %(types)s::text[], %(subjects)s::text[], %(sequences)s::bigint[], %(data)s::bytea[])
       AS letter (id, type, subject, sequence, data)
"""


class Ground:
    """What a run stands on. Everything it starts ends with it."""

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        self.folder = folder
        self.say = say
        cores = sorted(os.sched_getaffinity(0))
        # On one core everything shares it, and the figures say so.
        self.server_core: tuple[int, ...] = (cores[0],)
        self.other_cores: tuple[int, ...] = tuple(cores[1:2] or cores[:1])
        self.ledger = Ledger(folder / "processes.json")
        self.postgres = PostgresServer(
            folder / "postgres", ledger=self.ledger, log=folder / "postgres.log", settings=POSTGRES
        )
        self.redis = RedisServer(folder / "redis", ledger=self.ledger, log=folder / "redis.log")
        self.keys = KeyRing(folder / "keys")
        self.layout = Layout(ports.free_block(100), SERVICES)
        self.collector = f"http://{LOOPBACK}:{self.layout.base + 95}"
        self._sequence = 0
        self._numbers = count(1)

    def pin(self, pid: int | None, cores: Sequence[int]) -> None:
        if pid is not None and len(os.sched_getaffinity(0)) > 1:
            psutil.Process(pid).cpu_affinity(list(cores))

    def database(self, service: str) -> str:
        """A fresh migrated database; answers its URL."""
        url = databases.url_of(self.postgres.url, f"{service}_{next(self._numbers)}")
        migrate(self.postgres.url, service, url)
        return url

    def token(self, person: str, *roles: str) -> str:
        return self.keys.token(person, roles)

    def hear(self, url: str, source: str, told: Sequence[tuple[str, Message]]) -> None:
        """Puts events (subject, message) of the service `source` into another's inbox, as its courier would."""
        names = ("ids", "types", "subjects", "sequences", "data")
        rows: dict[str, list[Any]] = {name: [] for name in names}
        for subject, message in told:
            self._sequence += 1
            rows["ids"].append(ids.new_id())
            rows["types"].append(contract.route(type(message)).type)
            rows["subjects"].append(subject)
            rows["sequences"].append(self._sequence)
            rows["data"].append(message.SerializeToString())
        with psycopg.connect(url) as connection:
            connection.execute(HEAR, {**rows, "source": source})

    def told(self, url: str, message: type[Told]) -> list[Told]:
        """What a service has told and nobody has fetched."""
        with psycopg.connect(url) as connection:
            found = connection.execute(
                "SELECT data FROM outbox WHERE type = %s ORDER BY sequence", (contract.route(message).type,)
            )
            return [message.FromString(row[0]) for row in found]

    def settle(self, url: str, seconds: float = 60.0) -> None:
        """Until the service's inbox is applied. Raises PlatformError."""
        give_up = time.monotonic() + seconds
        with psycopg.connect(url, autocommit=True) as connection:
            while True:
                state = connection.execute(
                    "SELECT max(state) FILTER (WHERE state <> 1), max(error) FROM inbox"
                ).fetchone()
                if state is None or state[0] is None:
                    return
                if state[0] == 2 or time.monotonic() > give_up:
                    raise PlatformError(f"events could not be applied: {state[1]}")
                time.sleep(0.1)

    @contextmanager
    def api(self, service: str, url: str, **settings: str) -> Iterator[Api]:
        """The api process of one service, its reactor in it, on the server's core; couriers are not part of it."""
        options = Options(environment={**SETTINGS, "CLOSEDLOOP_OTLP_ENDPOINT": self.collector, **settings})
        urls = ServerUrls(self.postgres.url, self.redis.url, broker_on(self.redis.url))
        environment = of_process(service, "api", options, self.layout, urls, self.keys)
        environment["CLOSEDLOOP_DATABASE_URL"] = url
        address = settings.get("CLOSEDLOOP_GRPC_ADDRESS", self.layout.address(service))
        name = f"{service}.{address.rpartition(':')[2]}"
        log = self.folder / f"{name}.log"
        child = Child(name, log, self.ledger)
        with self._running(child, [sys.executable, "-m", f"closedloop_{service}", "api"], environment) as pid:
            self._await(child, lambda: health.serves(address))
            yield Api(self, address, pid, self.layout.ports(service).api_metrics, log)

    @contextmanager
    def limit(self, url: str = "") -> Iterator[Api]:
        """The bare server, with a table of its own in the database at `url` if one is given."""
        address = f"{LOOPBACK}:{self.layout.base + 96}"
        child = Child("limit", self.folder / "limit.log", self.ledger)
        command = [sys.executable, "-m", limits.__name__, address, *([url] if url else [])]
        with self._running(child, command, dict(os.environ)) as pid:
            self._await(child, lambda: ports.accepts(self.layout.base + 96))
            yield Api(self, address, pid, 0, child.log)

    @contextmanager
    def other(self, name: str, command: Sequence[str], environment: Mapping[str, str], port: int) -> Iterator[Api]:
        """A server of another make, with all its processes on the server's core; up once it accepts connections."""
        child = Child(name, self.folder / f"{name}.log", self.ledger)
        pinned = ["taskset", "--cpu-list", ",".join(map(str, self.server_core)), *command]
        with self._running(child, pinned, {**os.environ, **environment}) as pid:
            self._await(child, lambda: ports.accepts(port))
            yield Api(self, f"{LOOPBACK}:{port}", pid, 0, child.log)

    @contextmanager
    def _running(self, child: Child, command: Sequence[str], environment: Mapping[str, str]) -> Iterator[int]:
        child.start(command, environment)
        assert child.pid is not None
        try:
            self.pin(child.pid, self.server_core)
            yield child.pid
        finally:
            child.stop(15)

    def _await(self, child: Child, ready: Callable[[], bool]) -> None:
        give_up = time.monotonic() + READY_SECONDS
        while not ready():
            if not child.alive or time.monotonic() > give_up:
                raise PlatformError(f"{child.name} does not come up: {last_line(child.log)}")
            time.sleep(0.1)


class Api:
    """A server under load: `address`, `pid`, and what its metrics say it answered."""

    def __init__(self, ground: Ground, address: str, pid: int, metrics_port: int, log: Path) -> None:
        self.address = address
        self.pid = pid
        self.metrics_port = metrics_port
        self.log = log
        self._ground = ground

    def stub(self, make: Callable[[grpc.Channel], Stub], person: str, *roles: str) -> Stub:
        """A client as that person, for what is prepared and looked at beside the load."""
        channel = grpc.insecure_channel(self.address, options=[("grpc.use_local_subchannel_pool", 1)])
        return make(grpc.intercept_channel(channel, _Bearer(self._ground.token(person, *roles))))

    def call(self, method: str, payload: bytes, token: str = "", seconds: float = 10.0) -> bytes:
        """One call with bytes for request and answer."""
        with grpc.insecure_channel(self.address, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
            metadata = (("authorization", f"Bearer {token}"),) if token else ()
            call: Any = channel.unary_unary(method, None, None)
            answer: bytes = call(payload, timeout=seconds, metadata=metadata)
            return answer

    def answered(self, method: str) -> tuple[int, int]:
        """How often the service answered this RPC with OK, and refused it, since it started; calls that h2load left in
        the air when its time was up are neither."""
        import urllib.request

        with urllib.request.urlopen(f"http://{LOOPBACK}:{self.metrics_port}/metrics", timeout=10) as page:
            lines = page.read().decode().splitlines()
        well = ill = 0
        for line in lines:
            ours = line.startswith("closedloop_rpc_seconds_count{") and f'method="{method}"' in line
            if ours and 'code="CANCELLED"' not in line:
                count = int(float(line.rsplit(" ", 1)[1].split(" # ")[0]))
                well, ill = (well + count, ill) if 'code="OK"' in line else (well, ill + count)
        return well, ill


class _Bearer(grpc.UnaryUnaryClientInterceptor):  # type: ignore[type-arg]
    def __init__(self, token: str) -> None:
        self._authorization = ("authorization", f"Bearer {token}")

    def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        metadata = (*(details.metadata or ()), self._authorization)
        return continuation(_Details(details, metadata), request)


class _Details(grpc.ClientCallDetails):
    def __init__(self, details: Any, metadata: Any) -> None:
        self.method, self.timeout, self.metadata = details.method, details.timeout or 30.0, metadata
        self.credentials, self.wait_for_ready, self.compression = details.credentials, True, details.compression


def contract_of(method: str, folder: Path) -> Path:
    """A descriptor set for k6: the RPC `method` ("closedloop.funnel.v1.ActivityService.LogActivity") with everything it
    speaks of, and beside it `closedloop.proofs.Limit`, whose RPCs take and answer the same request."""
    pool = descriptor_pool.Default()
    service, _, name = method.rpartition(".")
    descriptor = contract.service(service).methods_by_name[name]
    files: dict[str, FileDescriptor] = {}

    def add(file: FileDescriptor) -> None:
        if file.name not in files:
            for dependency in file.dependencies:
                add(dependency)
            files[file.name] = file

    add(pool.FindFileContainingSymbol(service))
    add(descriptor.input_type.file)
    made = descriptor_pb2.FileDescriptorSet()
    for file in files.values():
        file.CopyToProto(made.file.add())
    limit = made.file.add(name="closedloop/proofs/limit.proto", package="closedloop.proofs", syntax="proto3")
    limit.dependency.append(descriptor.input_type.file.name)
    bare = limit.service.add(name="Limit")
    for rpc in ("Echo", "Insert"):
        full_name = f".{descriptor.input_type.full_name}"
        bare.method.add(name=rpc, input_type=full_name, output_type=full_name)
    path = folder / f"{method}.binpb"
    path.write_bytes(made.SerializeToString())
    return path


@contextmanager
def ground(say: Callable[[str], None]) -> Iterator[Ground]:
    """PostgreSQL, Redis and a collector of traces, up and pinned; gone at the end, whatever happens."""
    with owned_folder(PREFIX) as folder, ExitStack() as held:
        made = Ground(folder, say)
        for server in (made.postgres, made.redis):
            held.enter_context(server)
            made.pin(server.pid, made.other_cores)
        collector = Child("collector", folder / "collector.log", made.ledger)
        port = made.collector.rpartition(":")[2]
        collector.start([sys.executable, "-m", "closedloop_proofs.bench.collector", port], dict(os.environ))
        held.callback(collector.stop, 5)
        made.pin(collector.pid, made.other_cores)
        yield made


def accepted(api: Api, method: str, before: tuple[int, int], sample_calls: int) -> None:
    """h2load cannot see gRPC's refusals, the service's own metrics can. Raises LoadFailed."""
    well, ill = api.answered(method)
    if ill != before[1] or well - before[0] < sample_calls:
        raise LoadFailed(f"{method}: {sample_calls} calls, {well - before[0]} answered well, {ill - before[1]} refused")


__all__ = ["Api", "Ground", "accepted", "contract_of", "databases", "ground"]
