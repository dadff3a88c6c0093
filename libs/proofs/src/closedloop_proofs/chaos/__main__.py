"""`make chaos`: python -m closedloop_proofs.chaos [--seconds 600] [--seed N] [--broker rabbitmq|redis] [--plan]."""

from __future__ import annotations

import argparse
import os
import random
import sys
from pathlib import Path
from typing import cast

# Servers are started while channels are open; gRPC would write a line about each.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")

from closedloop_devstack.errors import PlatformError
from closedloop_devstack.servers import rabbit
from closedloop_proofs.chaos import plan
from closedloop_proofs.chaos.plan import Broker
from closedloop_proofs.chaos.run import Chosen, lines, report_path, run

SECONDS = 600.0


def main() -> int:
    parser = argparse.ArgumentParser(prog="make chaos")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="how long the load and the faults last")
    parser.add_argument("--seed", type=int, default=None, help="repeats a plan; printed by every run")
    parser.add_argument("--broker", choices=("rabbitmq", "redis"), default=None)
    parser.add_argument("--report", type=Path, default=None)
    parser.add_argument("--plan", action="store_true", help="only show the plan")
    asked = parser.parse_args()
    seed = asked.seed if asked.seed is not None else random.SystemRandom().randrange(10**6)
    broker: Broker = asked.broker or ("rabbitmq" if rabbit.scripts() else "redis")
    if asked.seconds < 20:
        parser.error("--seconds: at least 20")
    if asked.plan:
        _say(f"seed {seed}")
        for fault in plan.make(seed, asked.seconds, broker):
            _say(str(fault))
        return 0
    try:
        document = run(Chosen(seed, asked.seconds, broker, asked.report or report_path()), _say)
    except PlatformError as error:
        _say(f"seed {seed}: {error}")
        return 1
    for line in lines(document):
        _say(line)
    return 0 if cast(bool, document["ok"]) else 1


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
