"""A service of the sample contract, with handlers the tests choose.

Run as a program it serves until SIGTERM, with settings from the environment.
"""

from __future__ import annotations

import asyncio
import atexit
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from buf.validate import validate_pb2  # noqa: F401  its descriptor is needed below
from google.protobuf import descriptor_pb2, descriptor_pool
from grpc_tools import protoc

from closedloop.options.v1 import options_pb2  # noqa: F401
from closedloop_chassis.api import serve
from closedloop_chassis.org.snapshot import OrgSnapshot, Person, Unit
from closedloop_chassis.service import Rpcs, Service, Slice
from closedloop_chassis.settings import Settings
from closedloop_chassis.telemetry import logs

HERE = Path(__file__).resolve().parent
KNOWN = (
    "google/protobuf/descriptor.proto",
    "google/protobuf/duration.proto",
    "google/protobuf/field_mask.proto",
    "google/protobuf/timestamp.proto",
    "buf/validate/validate.proto",
    "closedloop/options/v1/options.proto",
)


def _generate() -> Path:
    from google.protobuf import duration_pb2, field_mask_pb2, timestamp_pb2  # noqa: F401

    target = Path(tempfile.mkdtemp(prefix="closedloop-sample-"))
    atexit.register(shutil.rmtree, target, ignore_errors=True)
    files = descriptor_pb2.FileDescriptorSet()
    for name in KNOWN:
        descriptor_pool.Default().FindFileByName(name).CopyToProto(files.file.add())
    (target / "known.binpb").write_bytes(files.SerializeToString())
    command = ["protoc", f"--descriptor_set_in={target / 'known.binpb'}", f"-I{HERE / 'protos'}"]
    proto = "closedloop/sample/v1/sample.proto"
    if protoc.main([*command, f"--python_out={target}", f"--grpc_python_out={target}", proto]) != 0:
        raise SystemExit("the sample contract does not compile")
    sys.path.append(str(target))
    return target


GENERATED = _generate()

from closedloop.sample.v1 import sample_pb2 as pb  # noqa: E402
from closedloop.sample.v1 import sample_pb2_grpc  # noqa: E402

Stub = sample_pb2_grpc.SampleServiceStub

PACKAGE = "closedloop.sample.v1"
SERVICE = f"{PACKAGE}.SampleService"
INSERT = "INSERT INTO sample (id, owner_id) VALUES (%(id)s, %(owner_id)s)"
TABLE = "CREATE TABLE IF NOT EXISTS sample (id text PRIMARY KEY, owner_id text NOT NULL)"


def _unit(unit_id: str, parent_id: str, kind: str) -> Unit:
    return Unit(
        id=unit_id,
        parent_id=parent_id,
        name=unit_id,
        kind=kind,
        manager_id="",
        calendar="business",
        time_zone="Asia/Shanghai",
        currency_code="CNY",
        territory={},
        active=True,
        version=1,
    )


def _person(person_id: str, unit_id: str, *, active: bool = True) -> Person:
    return Person(
        id=person_id,
        unit_id=unit_id,
        name=person_id,
        title="",
        roles=[],
        function="sales",
        email="",
        mobile="",
        handles={},
        time_zone="Asia/Shanghai",
        language="zh",
        territory={},
        active=active,
        version=1,
    )


ORG = OrgSnapshot(
    [_unit("company", "", "company"), _unit("east", "company", "region"), _unit("team-1", "east", "team")],
    [_person("lin", "east"), _person("wang", "team-1"), _person("gone", "east", active=False)],
)


async def echo(request: Any, call: Any) -> Any:
    return pb.Sample(id=call.caller.subject, text=request.text)


async def write_sample(request: Any, call: Any) -> Any:
    if not request.validate_only:
        call.tx.do(INSERT, {"id": request.id, "owner_id": call.caller.subject})
    return pb.Sample(id=request.id, text="written")


async def watch_samples(request: Any, call: Any) -> AsyncIterator[Any]:
    for number in range(3):
        yield pb.Sample(id=str(number))


@dataclass
class Handlers:
    """What the RPCs do; tests put their own in."""

    echo: Any = echo
    write_sample: Any = write_sample
    watch_samples: Any = watch_samples

    def slice(self) -> Slice:
        rpcs = Rpcs(SERVICE)
        rpcs.unary = {
            "Echo": lambda request, call: self.echo(request, call),
            "WriteSample": lambda request, call: self.write_sample(request, call),
        }
        rpcs.streams = {"WatchSamples": lambda request, call: self.watch_samples(request, call)}
        return Slice("samples", rpcs=(rpcs,))


def service(handlers: Handlers) -> Service:
    return Service("sample", PACKAGE, (handlers.slice(),), HERE / "none")


async def serve_until_terminated() -> None:
    settings = Settings()  # type: ignore[call-arg]
    logs.start(settings, "sample", "api")

    async def slow_write(request: Any, call: Any) -> Any:
        answer = await write_sample(request, call)
        await asyncio.sleep(0.05)
        return answer

    async def endless(request: Any, call: Any) -> AsyncIterator[Any]:
        yield pb.Sample(id="first")
        await asyncio.Event().wait()

    await serve(service(Handlers(write_sample=slow_write, watch_samples=endless)), settings)


if __name__ == "__main__":
    asyncio.run(serve_until_terminated())
