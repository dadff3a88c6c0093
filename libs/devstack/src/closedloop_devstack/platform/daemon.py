"""The supervisor as a process of its own, and how it is started and reached from a command line."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from closedloop_devstack.errors import PlatformError
from closedloop_devstack.files import last_line
from closedloop_devstack.platform.collate import SUPERVISOR
from closedloop_devstack.platform.home import Home, HomeTaken, State, project
from closedloop_devstack.platform.options import Options
from closedloop_devstack.processes.identity import send, wait_gone

# Long enough for servers, migrations and the slowest process.
LAUNCH_SECONDS = 240.0
STOP_SECONDS = 60.0
TAKEN = 3


class _AskedToStop(BaseException):
    """SIGTERM or SIGINT reached the supervisor."""


def supervise(
    home: Path, options: Options, say: Callable[[str], None], echo: Callable[[str], None] | None = None
) -> int:
    """Runs a platform until SIGTERM or SIGINT; answers the exit status."""
    from closedloop_devstack.platform.supervisor import Platform

    def asked(_number: int, _frame: FrameType | None) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        raise _AskedToStop("it was asked to stop while it was starting")

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, asked)
    platform = Platform(home, options, say, echo)
    try:
        platform.start()
        while True:
            time.sleep(3600)
    except _AskedToStop:
        platform.stop()
        return 0
    except HomeTaken as error:
        say(str(error))
        return TAKEN
    except PlatformError as error:
        say(str(error))
        return 1


def launch(home: Home, options: Options, say: Callable[[str], None]) -> State:
    """Starts the supervisor in the background and waits until all is healthy. Raises PlatformError with its reason."""
    home.logs.mkdir(parents=True, exist_ok=True)
    log = home.logs / SUPERVISOR
    with log.open("ab") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "closedloop_devstack.platform.daemon", str(home.root), options.model_dump_json()],
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            cwd=project(),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return await_ready(home, say, process)


def await_ready(home: Home, say: Callable[[str], None], process: subprocess.Popen[bytes] | None = None) -> State:
    """Follows a supervisor that is starting, ours (`process`) or another's, until it is ready."""
    said = 0
    give_up = time.monotonic() + LAUNCH_SECONDS
    while time.monotonic() < give_up:
        ended = process.poll() if process else None
        state = home.read()
        if ended == TAKEN:
            process = None  # somebody else was faster: follow that one
            continue
        if state and (process is None or state.supervisor_pid == process.pid):
            for line in state.progress[said:]:
                say(line)
            said = max(said, len(state.progress))
            if state.phase == "ready" and state.supervised:
                return state
            if state.phase == "failed":
                raise PlatformError(state.message)
            if not state.supervised and process is None:
                raise PlatformError("The supervisor died while starting; `make up` again cleans up and starts anew.")
        if ended is not None:
            log = home.logs / SUPERVISOR
            raise PlatformError(
                f"The supervisor died while starting: {last_line(log)} (all of it in {log}); `make up` again cleans up."
            )
        time.sleep(0.1)
    raise PlatformError(f"The platform is not ready after {LAUNCH_SECONDS:.0f} s; `make status` shows where it stands.")


def await_end(home: Home) -> None:
    """Until nobody holds the home. Raises PlatformError."""
    if (holder := home.holder()) and wait_gone([holder], STOP_SECONDS):
        raise PlatformError(f"The last platform in {home.root} does not come down; `make down` ends it.")


def stop(home: Home, say: Callable[[str], None]) -> None:
    """Stops the supervisor and all it started; what a dead one left over is ended too."""
    supervisor = home.holder()
    if supervisor:
        send([supervisor], signal.SIGTERM)
        if wait_gone([supervisor], STOP_SECONDS):
            say(f"The supervisor did not end within {STOP_SECONDS:.0f} s and is killed.")
            send([supervisor], signal.SIGKILL)
            wait_gone([supervisor], 5)
    with home.claimed():
        left = home.ledger.end_all()
    if left:
        say(f"Ended {len(left)} processes left over by a supervisor that died: {', '.join(left)}.")
    say("The platform is down; its data stays." if supervisor or left else "The platform was not up.")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> int:
    return supervise(Path(sys.argv[1]), Options.model_validate_json(sys.argv[2]), _say)


if __name__ == "__main__":
    raise SystemExit(main())
