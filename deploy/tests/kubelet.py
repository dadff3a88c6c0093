"""A kubelet for one machine: starts the containers of a rendered pod as it says, and probes them as it says.

Where we are root the process sees what it would see in its container: a root file system nobody can write to, /tmp of its
own, no privileges, the user of its security context. Elsewhere it runs as we do.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from closedloop_devstack.ports import LOOPBACK

from .charts import Object
from .engine import Image

Secrets = Mapping[str, Mapping[str, str]]
VOLUMES = "/etc/closedloop"
# It may read what our own account may, which an image lets everybody read; it may write nowhere.
CONTAINED = """
mount --bind "$0" /tmp && mount -o remount,ro,bind / && exec setpriv --reuid "$1" --regid "$1" --clear-groups \
--no-new-privs --inh-caps=-all,+dac_read_search --ambient-caps=-all,+dac_read_search --bounding-set=-all,+dac_read_search \
"${@:2}"
"""
# The same in the root of an image, with nothing of this machine in it but devices and the network.
IN_IMAGE = """
mount --bind "$0" "$0" && mount --bind "$1" "$0/tmp" && mount --rbind /dev "$0/dev" && mount -t proc proc "$0/proc" && \
mount -o remount,ro,bind "$0" && exec setpriv --no-new-privs chroot --userspec "$2:$2" "$0" "${@:3}"
"""


def can_contain() -> bool:
    tools = shutil.which("unshare") and shutil.which("setpriv")
    return bool(tools) and os.geteuid() == 0 and subprocess.run(["unshare", "-m", "true"], check=False).returncode == 0


class Container:
    """The only container of a pod. `secrets` and `config_maps` are what stands in the namespace, by name and key."""

    def __init__(
        self,
        spec: Object,
        service: str,
        folder: Path,
        secrets: Secrets,
        config_maps: Secrets,
        image: Image | None = None,
    ) -> None:
        [self.container] = spec["containers"]
        self._image = image
        self.grace: int = spec.get("terminationGracePeriodSeconds", 30)
        self._spec, self._service, self._tmp = spec, service, folder / "tmp"
        self._secrets, self._config_maps = secrets, config_maps
        self._contained = can_contain()
        self._tmp.mkdir(parents=True)
        self.volumes = self._tmp / "volumes"
        self._lay_volumes()
        if self._contained:
            user = spec["securityContext"]["runAsUser"]
            for path in (self._tmp, *self._tmp.rglob("*")):
                os.chown(path, user, user)
        self.log = folder / "log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *, target: str = "") -> None:
        """`target` stands for the DNS names a cluster would resolve."""
        program = self.container.get("command")
        if self._image:
            program = program or self._image.entrypoint
        else:
            program = program or [sys.executable, "-m", f"closedloop_{self._service}"]
            program = [sys.executable if part == "python" else part for part in program]
        arguments = [self._inside(argument) for argument in self.container["args"]]
        if target:
            arguments = [target if argument.startswith("dns:///") else argument for argument in arguments]
        command = [*program, *arguments]
        user = str(self._spec["securityContext"]["runAsUser"])
        if self._image:
            command = ["unshare", "-m", "bash", "-c", IN_IMAGE, str(self._image.root), str(self._tmp), user, *command]
        elif self._contained:
            command = ["unshare", "-m", "bash", "-c", CONTAINED, str(self._tmp), user, *command]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command, env=self._environment(), cwd="/", stdout=log, stderr=log, start_new_session=True
            )

    def run(self, seconds: float = 120, **options: str) -> int:
        """To its end; the exit code."""
        self.start(**options)
        assert self._process is not None
        return self._process.wait(seconds)

    @property
    def output(self) -> str:
        return self.log.read_text()

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def probe(self, kind: str) -> str:
        """Empty when the probe succeeds, else what it met."""
        probe = self.container[kind]
        seconds = probe["timeoutSeconds"]
        if "grpc" in probe:
            return _grpc(probe["grpc"]["port"], seconds)
        port = probe["httpGet"]["port"]
        number = next(p["containerPort"] for p in self.container["ports"] if port in (p["name"], p["containerPort"]))
        return _http(number, probe["httpGet"]["path"], seconds)

    def started(self) -> None:
        """Waits as the startup probe does. Raises AssertionError when it would have been killed."""
        probe = self.container["startupProbe"]
        for _ in range(probe["failureThreshold"]):
            wrong = self.probe("startupProbe")
            if not wrong:
                return
            assert self.alive, self.output[-2000:]
            # Asked more often than a kubelet asks: this test is in a hurry, the probe is the same.
            time.sleep(0.25)
        raise AssertionError(f"not started: {wrong}; {self.output[-2000:]}")

    def terminate(self) -> tuple[int, float]:
        """preStop, SIGTERM, and SIGKILL after the grace. The exit code, and the seconds from the beginning of preStop."""
        assert self._process is not None
        began = time.monotonic()
        if stop := self.container.get("lifecycle", {}).get("preStop"):
            subprocess.run(stop["exec"]["command"], check=True)
        os.killpg(self._process.pid, signal.SIGTERM)
        try:
            code = self._process.wait(self.grace - (time.monotonic() - began))
        except subprocess.TimeoutExpired:
            self.kill()
            code = -signal.SIGKILL
        return code, time.monotonic() - began

    def kill(self) -> None:
        if self.alive and self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(10)

    def _environment(self) -> dict[str, str]:
        if self._image:
            told = dict(self._image.environment)
        else:
            # Nothing of ours but what finds the interpreter's packages, which an image has in place.
            told = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "LANG") if name in os.environ}
        for one in self.container.get("env", ()):
            value = self._inside(one["value"]) if "value" in one else self._secret(one["valueFrom"])
            if value is not None:
                told[one["name"]] = value
        return told

    def _secret(self, source: Any) -> str | None:
        reference = source["secretKeyRef"]
        found = self._secrets.get(reference["name"], {}).get(reference["key"])
        assert found is not None or reference.get("optional"), f"no {reference['key']} in Secret {reference['name']}"
        return found

    def _inside(self, text: str) -> str:
        seen = "/tmp/volumes" if self._contained else str(self.volumes)
        return text.replace(VOLUMES, seen)

    def _lay_volumes(self) -> None:
        mounts = {mount["name"]: mount["mountPath"] for mount in self.container["volumeMounts"]}
        for volume in self._spec["volumes"]:
            if "emptyDir" in volume:
                continue
            kept = volume.get("secret", volume.get("configMap"))
            source = self._secrets[kept["secretName"]] if "secret" in volume else self._config_maps[kept["name"]]
            items = kept.get("items")
            wanted = {item["key"]: item["path"] for item in items} if items else {key: key for key in source}
            folder = self.volumes / mounts[volume["name"]].removeprefix(f"{VOLUMES}/")
            folder.mkdir(parents=True)
            for key, name in wanted.items():
                if key not in source and kept.get("optional"):
                    continue
                (folder / name).write_text(source[key])


def _grpc(port: int, seconds: float) -> str:
    with grpc.insecure_channel(f"{LOOPBACK}:{port}", options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=seconds)
        except grpc.RpcError as error:
            return str(error.code().name)
    status = health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)
    return "" if status == "SERVING" else status


def _http(port: int, path: str, seconds: float) -> str:
    connection = HTTPConnection(LOOPBACK, port, timeout=seconds)
    try:
        connection.request("GET", path)
        status = connection.getresponse().status
        return "" if 200 <= status < 400 else str(status)
    except (OSError, HTTPException) as error:
        return repr(error)
    finally:
        connection.close()
