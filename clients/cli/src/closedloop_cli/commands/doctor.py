"""Whether everything answers: health, contract versions and the time a call takes, service by service."""

from __future__ import annotations

import asyncio
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import grpc
import grpc.aio
import typer
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from rich.text import Text

from closedloop_chassis import client
from closedloop_chassis.packages import PLATFORM
from closedloop_cli import failures
from closedloop_cli.connection import SERVICES
from closedloop_cli.screen import Column
from closedloop_cli.session import Session, session

PATIENCE_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Finding:
    """`contracts`: packages with the number of their gRPC services. `milliseconds`: of a health check."""

    service: str
    target: str
    condition: str
    milliseconds: float | None = None
    contracts: str = ""
    problem: str = ""


def doctor(ctx: typer.Context) -> None:
    """Looks at all five services: reachable, healthy, which contract versions they serve."""
    run = session(ctx)
    claims = run.connection.claims
    with run.screen.progress("asking_services"):
        findings = run.run(_all(run))
    if run.screen.as_json:
        run.screen.document(
            {"me": run.connection.me, "roles": claims.get("roles", []), "services": [asdict(one) for one in findings]}
        )
    else:
        run.screen.table(_COLUMNS, findings)
        until = datetime.fromtimestamp(claims["exp"], UTC).astimezone() if "exp" in claims else None
        shown = {
            "roles": ", ".join(claims.get("roles", [])) or "–",
            "until": f"{until:%Y-%m-%d %H:%M}" if until else "–",
        }
        run.screen.say("you_are", person=run.connection.me or "–", **shown)
    if any(one.condition == "unreachable" for one in findings):
        raise typer.Exit(failures.UNREACHABLE)
    if any(one.condition != "serving" for one in findings):
        raise typer.Exit(failures.REFUSED)


async def _all(run: Session) -> list[Finding]:
    return list(await asyncio.gather(*(_look(run, service) for service in SERVICES)))


async def _look(run: Session, service: str) -> Finding:
    target = run.connection.peers.get(service, "")
    if not target:
        return Finding(service, "", "unreachable", problem=run.words("no_address_short"))
    channel = run.channel(service)
    try:
        health: Any = health_pb2_grpc.HealthStub(channel)
        # The first call opens the connection; the second is what a call costs.
        await health.Check(health_pb2.HealthCheckRequest(), timeout=PATIENCE_SECONDS)
        began = time.perf_counter()
        answer = await health.Check(health_pb2.HealthCheckRequest(), timeout=PATIENCE_SECONDS)
        took = (time.perf_counter() - began) * 1000
        condition = health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status).lower()
        return Finding(service, target, condition, round(took, 1), await _contracts(channel))
    except grpc.aio.AioRpcError as error:
        return Finding(service, target, "unreachable", problem=client.status(error).message)


async def _contracts(channel: grpc.aio.Channel) -> str:
    """ "closedloop.funnel.v1 (24)": what the server says it serves."""
    stub: Any = reflection_pb2_grpc.ServerReflectionStub(channel)
    question = reflection_pb2.ServerReflectionRequest(list_services="*")
    served: dict[str, int] = {}
    async for answer in stub.ServerReflectionInfo(iter([question]), timeout=PATIENCE_SECONDS):
        for found in answer.list_services_response.service:
            package = found.name.rpartition(".")[0]
            if package.startswith("closedloop.") and package != PLATFORM:
                served[package] = served.get(package, 0) + 1
    return ", ".join(f"{package} ({count})" for package, count in sorted(served.items()))


def _condition(finding: Finding) -> Text:
    return Text(finding.condition, style="green" if finding.condition == "serving" else "red")


_COLUMNS = [
    Column("service", lambda one: one.service),
    Column("address", lambda one: one.target),
    Column("condition", _condition),
    Column("milliseconds", lambda one: "" if one.milliseconds is None else f"{one.milliseconds:.1f}", right=True),
    Column("contract", lambda one: one.contracts),
    Column("problem", lambda one: one.problem),
]
