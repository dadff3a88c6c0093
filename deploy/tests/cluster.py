"""One namespace on one machine: Secrets, ConfigMaps, and the pods of a rendering, which live a whole life."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from closedloop_devstack import ports
from closedloop_devstack.keys import KeyRing
from closedloop_devstack.servers import PostgresServer, RedisServer, databases

from .charts import LEAST, Charts, Values, merged, pods
from .engine import Image
from .kubelet import Container, can_contain


class Cluster:
    def __init__(
        self,
        charts: Charts,
        service: str,
        folder: Path,
        secrets: dict[str, dict[str, str]],
        keys: KeyRing,
        image: Image | None,
    ) -> None:
        self.charts, self.service, self.secrets = charts, service, secrets
        self._folder, self._image = folder, image
        self.config_maps = {"keys": {"jwks.json": keys.jwks.read_text()}}
        self.running: list[Container] = []

    def pods(self, values: Values) -> dict[str, Container]:
        """By process; each with free ports."""
        found = {}
        for made, spec in pods(self.charts.render(self.service, merged(LEAST, values))):
            process = made["metadata"]["labels"]["app.kubernetes.io/component"]
            folder = self._folder / f"{process}-{len(self.running)}"
            found[process] = Container(spec, self.service, folder, self.secrets, self.config_maps, self._image)
            self.running.append(found[process])
        return found


@contextmanager
def namespace(
    charts: Charts, service: str, postgres: PostgresServer, redis: RedisServer, folder: Path, image: Image | None = None
) -> Iterator[Cluster]:
    """`image` is what the containers run; without one, this checkout."""
    name = f"run_{time.monotonic_ns()}"
    keys = KeyRing(folder)
    secrets = {
        "database": {"url": databases.create(postgres.url, name)},
        "broker": {"url": redis.url.replace("/0", "/1")},
        "token": {"token": keys.token(f"service:{service}", ["service"])},
        "cache": {"url": redis.url},
    }
    made = Cluster(charts, service, folder / name, secrets, keys, image)
    yield made
    for container in made.running:
        container.kill()
    databases.drop(postgres.url, name)


def own_ports(*processes: str) -> dict[str, Values]:
    """A values file per process: on one machine two pods cannot listen on one port."""
    block = ports.free_block(3 * len(processes))
    return {
        process: {
            "ports": {"grpc": block + 3 * n, "operations": block + 3 * n + 1, "webhooks": block + 3 * n + 2},
            "listen": "127.0.0.1",
            "cache": {"url": "", "existingSecret": "cache"},
        }
        for n, process in enumerate(processes)
    }


def whole_life(cluster: Cluster) -> None:
    """From an empty database through the migration to serving, and away again within the grace."""
    own = own_ports("api", "courier")
    api = cluster.pods(own["api"])["api"]
    courier = cluster.pods(own["courier"])["courier"]
    pod = cluster.pods(own["api"])
    migrate, test = pod["migrate"], pod["test"]

    # First install: deployments and job come at once. Without its schema the api listens and does not serve.
    api.start()
    courier.start()
    until("listens", lambda: api.probe("startupProbe") == "NOT_SERVING", api)
    assert api.probe("readinessProbe") == "NOT_SERVING"

    assert migrate.run() == 0, migrate.output
    assert f"{cluster.service}_0001" in migrate.output
    api.started()
    courier.started()
    for container in (api, courier):
        assert container.probe("readinessProbe") == ""
        assert container.probe("livenessProbe") == ""

    # `helm test`, by the name a cluster would resolve.
    assert test.run(target=f"127.0.0.1:{own['api']['ports']['grpc']}") == 0, test.output
    assert "serves" in test.output
    # The same job once more, as GitOps may run it: nothing to do.
    assert migrate.run() == 0, migrate.output
    assert migrate.output.rstrip().endswith("nothing to do")

    if can_contain():
        assert "Read-only file system" not in api.output + courier.output
    for container in (api, courier):
        code, seconds = container.terminate()
        assert code == 0, container.output[-2000:]
        assert seconds < container.grace


def until(what: str, holds: Any, container: Container | None = None, seconds: float = 90) -> None:
    ends = time.monotonic() + seconds
    while not holds():
        output = container.output[-2000:] if container else ""
        assert time.monotonic() < ends, f"never {what}: {output}"
        assert container is None or container.alive, output
        time.sleep(0.2)
