"""The engine that builds images: Debian's buildah, on a base made of Debian's own packages where no registry is reached."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from closedloop_devstack import debian

TOOLS = {"buildah": "buildah", "debootstrap": "debootstrap"}
# As Debian's slim images: nobody reads there.
SLIM = (
    "usr/share/doc",
    "usr/share/man",
    "usr/share/info",
    "usr/share/locale",
    "var/cache/apt",
    "var/lib/apt/lists",
    "var/log",
)
# What a builder's own pip is told, and whom it trusts, holds inside the build as well.
LENT = ("/etc/pip.conf", "/etc/ssl/certs")


@dataclass(frozen=True, slots=True)
class Image:
    """`root` is where its file system lies; `size` in bytes unpacked, `packed` as a registry keeps all its layers."""

    name: str
    root: Path
    user: str
    entrypoint: list[str]
    environment: dict[str, str]
    labels: dict[str, str]
    size: int
    packed: int


class Engine:
    """Keeps its images under `folder`, apart from those of the machine."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        if os.geteuid() != 0:
            raise AssertionError("Images are built by root, or by an engine of yours with deploy/docker/Dockerfile.")
        missing = [package for tool, package in TOOLS.items() if not shutil.which(tool)]
        if missing:
            debian.install(*missing)

    def base(self, suite: str) -> str:
        """Debian's smallest system of `suite` with its Python and nothing else, made once."""
        name = f"localhost/base-{suite}"
        if self._asked("images", "--quiet", "--filter", f"reference={name}"):
            return name
        root = self._folder / suite
        shutil.rmtree(root, ignore_errors=True)
        packages = "--include=python3,python3-venv,ca-certificates"
        _run(["debootstrap", "--variant=minbase", packages, suite, str(root)])
        for part in SLIM:
            shutil.rmtree(root / part, ignore_errors=True)
            (root / part).mkdir(parents=True)
        # As the official images call it.
        (root / "usr/bin/python").symlink_to("python3")
        container = self._asked("from", "scratch")
        self._asked("copy", "--quiet", container, str(root), "/")
        self._asked("commit", "--quiet", "--rm", container, name)
        shutil.rmtree(root)
        return name

    def build(self, file: Path, context: Path, service: str, base: str) -> str:
        """As docs/operate.md says it. Raises AssertionError with the engine's own words."""
        name = f"{base.replace('base', 'closedloop')}-{service}"
        lent = [f"--volume={path}:{path}:ro" for path in LENT if Path(path).exists()]
        arguments = [f"--build-arg=SERVICE={service}", f"--build-arg=BASE={base}"]
        how = ["--isolation=chroot", "--network=host", "--layers", *lent, *arguments]
        self._asked("build", *how, "--file", str(file), "--tag", name, str(context))
        return name

    @contextmanager
    def opened(self, name: str) -> Iterator[Image]:
        told = json.loads(self._asked("inspect", "--type", "image", name))["OCIv1"]
        config = told["config"]
        container = self._asked("from", name)
        try:
            root = Path(self._asked("mount", container))
            size = sum(path.lstat().st_size for path in root.rglob("*") if path.is_symlink() or path.is_file())
            yield Image(
                name,
                root,
                config["User"],
                config["Entrypoint"],
                dict(pair.split("=", 1) for pair in config["Env"]),
                config["Labels"],
                size,
                self._packed(name),
            )
        finally:
            self._asked("rm", container)

    def _packed(self, name: str) -> int:
        layout = self._folder / "pushed"
        shutil.rmtree(layout, ignore_errors=True)
        self._asked("push", "--quiet", "--compression-format", "gzip", name, f"oci:{layout}")
        size = sum(path.stat().st_size for path in (layout / "blobs").rglob("*") if path.is_file())
        shutil.rmtree(layout)
        return size

    def _asked(self, command: str, *arguments: str) -> str:
        store = ["--root", str(self._folder / "store"), "--runroot", str(self._folder / "run")]
        return _run(["buildah", *store, command, *arguments])


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
    return done.stdout.strip()
