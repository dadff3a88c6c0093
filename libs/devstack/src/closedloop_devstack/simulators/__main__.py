"""`python -m closedloop_devstack.simulators <name> --port N`: one simulator, until SIGTERM or Ctrl-C."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

from closedloop_devstack.simulators.chat import ChatRobots
from closedloop_devstack.simulators.erp import ErpServer
from closedloop_devstack.simulators.mail import MailServer
from closedloop_devstack.simulators.procurement import ProcurementSite
from closedloop_devstack.simulators.sms import SmsPlatform


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m closedloop_devstack.simulators", description=__doc__)
    names = parser.add_subparsers(dest="name", required=True)
    for name in ("procurement", "erp", "chat", "mail", "sms"):
        names.add_parser(name).add_argument("--port", type=int, default=0, help="0: any free one, which is printed")
    for name in ("procurement", "erp", "mail"):
        names.choices[name].add_argument("--seed", type=int, default=1)
    names.choices["procurement"].add_argument("--notices", type=int, default=40, help="how many at the start")
    names.choices["erp"].add_argument("--exchange-folder", type=Path, help="where voucher files are written")
    names.choices["mail"].add_argument("--imap-port", type=int, default=0)
    chosen = parser.parse_args()
    server = _server(chosen)
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    try:
        server.start()
    except OSError as error:
        parser.exit(1, f"{chosen.name} cannot listen on port {chosen.port}: {error}\n")
    sys.stdout.write(f"{chosen.name} {server.url}\n")
    sys.stdout.flush()
    stopped.wait()
    server.stop()


def _server(chosen: argparse.Namespace) -> ProcurementSite | ErpServer | ChatRobots | MailServer | SmsPlatform:
    if chosen.name == "procurement":
        site = ProcurementSite(chosen.port, seed=chosen.seed)
        site.fill(chosen.notices, datetime.now(UTC))
        return site
    if chosen.name == "erp":
        return ErpServer(chosen.port, seed=chosen.seed, exchange_folder=chosen.exchange_folder)
    if chosen.name == "chat":
        return ChatRobots(chosen.port)
    if chosen.name == "sms":
        return SmsPlatform(chosen.port)
    return MailServer(chosen.port, chosen.imap_port, seed=chosen.seed)


main()
