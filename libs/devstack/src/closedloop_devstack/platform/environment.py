"""The environment of each process: the chassis's settings, out of the layout, the servers and the keys."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

from closedloop_devstack import keys
from closedloop_devstack.keys import KeyRing
from closedloop_devstack.platform.layout import Layout
from closedloop_devstack.platform.options import Options
from closedloop_devstack.ports import LOOPBACK
from closedloop_devstack.servers.databases import url_of

# Ten interpreters share one machine: few malloc arenas, one thread in numeric libraries, and no more PostgreSQL back
# ends (19 MB each) than there is work for.
FRUGAL: Mapping[str, str] = {
    "MALLOC_ARENA_MAX": "2",
    "MALLOC_TRIM_THRESHOLD_": "131072",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "PYTHONUNBUFFERED": "1",
    "CLOSEDLOOP_POOL_MIN": "1",
    "CLOSEDLOOP_POOL_MAX": "6",
    "CLOSEDLOOP_POOL_IDLE_SECONDS": "2",
    # eventlet's own resolver weighs 15 MB; on one machine there is next to nothing to resolve.
    "EVENTLET_NO_GREENDNS": "yes",
}


@dataclass(frozen=True, slots=True)
class ServerUrls:
    """`postgres` is the server's own URL; each service gets its database on it."""

    postgres: str
    redis: str
    broker: str

    def database(self, service: str) -> str:
        return url_of(self.postgres, f"closedloop_{service}")


def broker_on(redis_url: str) -> str:
    """The broker beside the cache: database 1 of the same Redis."""
    return urlunsplit(urlsplit(redis_url)._replace(path="/1"))


def of_process(
    service: str, role: str, options: Options, layout: Layout, urls: ServerUrls, ring: KeyRing
) -> dict[str, str]:
    """The whole environment of one process; what the user exported (log level, OTLP endpoint) passes through."""
    ports = layout.ports(service)
    peers = {other: layout.address(other) for other in layout.services if other != service}
    ours = {
        "DATABASE_URL": urls.database(service),
        "AMQP_URL": urls.broker,
        "REDIS_URL": urls.redis,
        "GRPC_ADDRESS": layout.address(service),
        "METRICS_ADDRESS": f"{LOOPBACK}:{ports.metrics(role)}",
        "WEBHOOK_ADDRESS": f"{LOOPBACK}:{ports.webhooks}",
        "JWKS": str(ring.jwks),
        "TOKEN_ISSUER": keys.ISSUER,
        "TOKEN_AUDIENCE": keys.AUDIENCE,
        "SERVICE_TOKEN_FILE": str(ring.write_service_token(service)),
        "PEERS": json.dumps(peers),
        "DEVELOPMENT": "true" if options.development else "false",
    }
    return {
        **FRUGAL,
        **os.environ,
        **{f"CLOSEDLOOP_{name}": value for name, value in ours.items()},
        **options.environment,
    }
