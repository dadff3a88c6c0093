"""Creates and migrates the databases of all services, in one Python process instead of five.

    python -m closedloop_devstack.platform.migrate targets=postgresql://… customers=postgresql://…

The URLs come over standard input where credentials must not be seen by others: one `service=url` a line.
"""

from __future__ import annotations

import sys
from importlib import import_module

from closedloop_chassis.data.migrations import upgrade

from closedloop_devstack.servers import databases


def migrate(service: str, dsn: str) -> list[str]:
    """Brings one service's database to its newest schema; answers the revisions that ran."""
    return upgrade(dsn, import_module(f"closedloop_{service}.service").SERVICE)


def main() -> None:
    for line in sys.stdin:
        service, _, dsn = line.strip().partition("=")
        server_url, _, database = dsn.rpartition("/")
        databases.ensure(f"{server_url}/postgres", database)
        ran = migrate(service, dsn)
        print(f"{service}: {', '.join(ran) or 'nothing to do'}", flush=True)


if __name__ == "__main__":
    main()
