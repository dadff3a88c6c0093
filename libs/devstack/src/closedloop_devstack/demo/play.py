"""Puts the stage up, plays the chapters in order, writes the report, and leaves nothing behind."""

from __future__ import annotations

import json
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import grpc

from closedloop_devstack import ports
from closedloop_devstack.demo import company
from closedloop_devstack.demo.chapters import CHAPTERS
from closedloop_devstack.demo.narrator import Language, Narrator, Text
from closedloop_devstack.demo.outside import Outside
from closedloop_devstack.demo.stage import Stage, Unverified
from closedloop_devstack.demo.tale import Chapter, Step, Tale, Threads
from closedloop_devstack.demo.watch import OPENING, Watch
from closedloop_devstack.errors import PlatformError
from closedloop_devstack.files import write_whole
from closedloop_devstack.platform import Options, Platform
from closedloop_devstack.platform.home import project
from closedloop_devstack.platform.layout import SIZE
from closedloop_devstack.processes.owned import owned_folder

FOLDER = "closedloop-demo-"


class _AskedToStop(BaseException):
    """SIGINT or SIGTERM came."""


def perform(*, language: Language, keep: bool = False, report: Path | None = None, seed: int = 2026) -> int:
    """The exit status: 0 when every step was verified, 1 when one was not, 130 when somebody stopped it."""
    narrator = Narrator(language)
    target = report or project() / "build" / "demo.json"
    steps = [Step(chapter) for chapter in CHAPTERS]
    began = time.monotonic()
    problem = ""
    status = 1
    with _stoppable(), owned_folder(FOLDER) as home:
        try:
            with staged(home, narrator, seed) as stage:
                tell(stage, narrator, steps)
                status = 0 if all(step.verified for step in steps) else 1
                if keep:
                    _write(target, steps, began, problem)
                    _stay(stage, narrator)
        except _AskedToStop:
            # A platform that was kept is left by asking it to stop: the story itself was over.
            status = status if keep and steps[-1].seconds else 130
            problem = "stopped" if status == 130 else ""
        except (PlatformError, OSError) as error:
            problem = str(error).replace(str(home / "logs"), str(_logs_of(target)))
            narrator.failed(Text(problem, problem))
        finally:
            _undisturbed()
            if status == 1:
                _keep_logs(home, _logs_of(target), narrator)
    document = _write(target, steps, began, problem)
    _farewell(narrator, document, target)
    return status


@contextmanager
def staged(home: Path, narrator: Narrator, seed: int) -> Iterator[Stage]:
    """A platform of its own in `home`, with the simulated outside beside it."""
    watch = Watch()
    outside = Outside(watch)
    platform: Platform | None = None
    stage: Stage | None = None
    narrator.heading(Text("搭台：真实平台，十个进程", "The stage: the real platform, ten processes"))
    try:
        outside.start()
        options = Options(
            port_base=ports.free_block(SIZE), start_time=OPENING, ready_seconds=120, environment=outside.environment
        )
        platform = Platform(home, options, say=lambda line: narrator.plain(Text(line, line)))
        platform.start()
        stage = Stage(platform, outside, company.make(seed), watch)
        yield stage
    finally:
        _undisturbed()
        if stage:
            stage.close()
        if platform:
            platform.stop()
        outside.stop()


def tell(stage: Stage, narrator: Narrator, steps: list[Step]) -> None:
    """Plays the chapters; what became of each stands in its step."""
    threads = Threads()
    done: set[str] = set()
    for number, step in enumerate(steps, 1):
        chapter = step.chapter
        narrator.chapter(number, chapter.title, chapter.rows)
        if missing := [need for need in chapter.needs if need not in done]:
            step.error = f"not played: {', '.join(missing)} failed"
            narrator.failed(Text(f"未进行：{'、'.join(missing)} 未通过", step.error))
            continue
        began = time.monotonic()
        _attempt(chapter, Tale(stage, narrator, step, threads), step, narrator)
        step.seconds = time.monotonic() - began
        if step.verified:
            done.add(chapter.id)


def _attempt(chapter: Chapter, tale: Tale, step: Step, narrator: Narrator) -> None:
    try:
        chapter.play(tale)
        tale.end()
        step.verified = True
    except Unverified as error:
        step.error = str(error)
    except grpc.RpcError as error:
        step.error = f"{error.code().name}: {error.details()} {_where()}"
    except Exception as error:
        step.error = f"{type(error).__name__}: {error} {_where()}"
    if step.error:
        narrator.failed(Text(step.error, step.error))


def _where() -> str:
    """The line of the story at which it went wrong."""
    frames = [frame for frame in traceback.extract_tb(sys.exc_info()[2]) if "chapters" in frame.filename]
    return f"({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""


def _write(target: Path, steps: list[Step], began: float, problem: str) -> dict[str, Any]:
    document = {
        "ok": bool(steps) and all(step.verified for step in steps),
        "seconds": round(time.monotonic() - began, 1),
        "steps": [step.report() for step in steps],
        **({"error": problem} if problem else {}),
    }
    target.parent.mkdir(parents=True, exist_ok=True)
    write_whole(target, json.dumps(document, ensure_ascii=False, indent=1), mode=0o644)
    return document


def _stay(stage: Stage, narrator: Narrator) -> None:
    """Until somebody asks us to stop."""
    narrator.heading(Text("平台保持运行，Ctrl-C 停止", "The platform stays up; Ctrl-C stops it"))
    for line in stage.doors():
        narrator.plain(Text(line, line))
    while True:
        time.sleep(3600)


def _logs_of(report: Path) -> Path:
    """Where the logs of a failed demo are kept, beside its report."""
    return report.parent / "demo-logs"


def _keep_logs(home: Path, target: Path, narrator: Narrator) -> None:
    if (home / "logs").is_dir():
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(home / "logs", target)
        narrator.plain(Text(f"日志保存在 {target}", f"The logs are kept in {target}"))


def _farewell(narrator: Narrator, document: dict[str, Any], target: Path) -> None:
    verified, steps, seconds = (
        sum(step["verified"] for step in document["steps"]),
        len(document["steps"]),
        document["seconds"],
    )
    zh = f"{verified}/{steps} 步经 API 读回核实，用时 {seconds} 秒；事实写入 {target}"
    en = f"{verified} of {steps} steps verified by reading them back, {seconds} s; facts in {target}"
    (narrator.verified if document["ok"] else narrator.failed)(Text(zh, en))


@contextmanager
def _stoppable() -> Iterator[None]:
    def asked(_number: int, _frame: FrameType | None) -> None:
        _undisturbed()
        raise _AskedToStop

    before = {number: signal.signal(number, asked) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _undisturbed() -> None:
    """Taking the stage down is not interrupted."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
