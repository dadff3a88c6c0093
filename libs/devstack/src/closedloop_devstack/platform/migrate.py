"""Creates and migrates the databases of all services, in one Python process instead of five, without their code.

Reads {"server": url, "databases": {service: url}, "start_time": ISO 8601 or empty} from standard input: on a command
line everybody on the machine could read the passwords.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

from closedloop_chassis.data.migrations import upgrade
from closedloop_chassis.service import Service
from closedloop_devstack.servers import databases

SET_CLOCK = "UPDATE development_time SET offset_us = %(offset)s WHERE offset_us = 0"


def migrate(server_url: str, service: str, url: str) -> list[str]:
    """Brings one service's database to its newest schema, creating it if need be; answers the revisions that ran."""
    databases.ensure(server_url, urlsplit(url).path.lstrip("/"))
    return upgrade(url, Service(service, f"closedloop.{service}.v1", slices=(), migrations=_folder(service)))


def _folder(service: str) -> Path:
    spec = find_spec(f"closedloop_{service}")
    if spec is None or spec.origin is None:
        raise LookupError(f"the package closedloop_{service} is not installed")
    return Path(spec.origin).parent / "migrations"


def set_clock(url: str, start_time: datetime) -> None:
    """Moves the development clock of a new database before any process has looked at it."""
    with psycopg.connect(url, autocommit=True, connect_timeout=5) as connection:
        connection.execute(SET_CLOCK, {"offset": (start_time - datetime.now(UTC)) // timedelta(microseconds=1)})


def main() -> None:
    told = json.load(sys.stdin)
    for service, url in told["databases"].items():
        ran = migrate(told["server"], service, url)
        if told["start_time"]:
            set_clock(url, datetime.fromisoformat(told["start_time"]))
        sys.stdout.write(f"{service}: {', '.join(ran) or 'nothing to do'}\n")


if __name__ == "__main__":
    main()
