"""Creates and migrates the databases of all services, in one Python process instead of five.

Reads {"server": url, "databases": {service: url}} from standard input: on a command line everybody on the machine
could read the passwords.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from urllib.parse import urlsplit

from closedloop_chassis.data.migrations import upgrade
from closedloop_chassis.service import Service
from closedloop_devstack.servers import databases


def migrate(server_url: str, service: str, url: str) -> list[str]:
    """Brings one service's database to its newest schema, creating it if need be; answers the revisions that ran."""
    databases.ensure(server_url, urlsplit(url).path.lstrip("/"))
    definition: Service = import_module(f"closedloop_{service}.service").SERVICE
    return upgrade(url, definition)


def main() -> None:
    told = json.load(sys.stdin)
    for service, url in told["databases"].items():
        ran = migrate(told["server"], service, url)
        sys.stdout.write(f"{service}: {', '.join(ran) or 'nothing to do'}\n")


if __name__ == "__main__":
    main()
