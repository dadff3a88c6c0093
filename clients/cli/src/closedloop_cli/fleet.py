"""The same question to several services: each answers for itself, an unreachable one stops nobody."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Annotated, TypeVar

import grpc.aio
import typer

from closedloop_cli import failures
from closedloop_cli.connection import SERVICES
from closedloop_cli.failures import Failure, Usage
from closedloop_cli.session import Session

Answer = TypeVar("Answer")

Of = Annotated[str, typer.Option("--service", "-s", help="one of them; all when absent")]


def chosen(run: Session, service: str) -> list[str]:
    """The service named, or all that have an address."""
    if service and service not in SERVICES:
        raise Usage("unknown_word", option="--service", word=service, known=", ".join(SERVICES))
    return [service] if service else [name for name in SERVICES if name in run.connection.peers]


def ask(run: Session, services: Iterable[str], question: Callable[[str], Answer]) -> list[tuple[str, Answer]]:
    """Answers by service. What fails is told at once and remembered: `ended` ends the command by it."""
    answers: list[tuple[str, Answer]] = []
    for service in services:
        try:
            answers.append((service, question(service)))
        except grpc.aio.AioRpcError as error:
            failure = failures.of_call(error, run.words)
            run.screen.note("service_says", service=service, message=failure.sentence)
            run.failed.append(failure)
    return answers


def ended(run: Session) -> None:
    """Ends with the worst of what failed."""
    worst: Failure | None = max(run.failed, key=lambda failure: failure.status, default=None)
    if worst is not None:
        raise typer.Exit(worst.status)
