"""Compiles our own code and what our processes import of others'; the rest is compiled if it is ever asked for.

python warm.py SERVICE            (run by the environment's own interpreter)

The root is read-only where the image runs, so nothing is compiled for the second time there: what is not imported when a
process starts is imported once in its life, if at all. A migration, which runs once a release, may take a second more.
"""

from __future__ import annotations

import compileall
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

# As `closedloop_chassis.main` imports them.
PROCESSES = {
    "api": ("closedloop_chassis.api", "closedloop_{service}.service"),
    "courier": ("closedloop_chassis.main", "closedloop_chassis.courier", "closedloop_{service}.courier"),
    "ask": ("closedloop_chassis.ask",),
}
# What the first figure that needs it imports.
LATER = {
    "targets": ("statsforecast.models",),
    "funnel": ("mpmath",),
}
IMPORT = """
import sys
from importlib import import_module
from importlib.util import find_spec
sys.argv = ["closedloop", "{process}"]
for module in {modules}:
    # Not every service has parts of a courier.
    if find_spec(module):
        import_module(module)
"""


def main() -> None:
    service = sys.argv[1]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    for process, named in PROCESSES.items():
        modules = [module.format(service=service) for module in named]
        _imported(process, modules, environment)
    _imported("later", list(LATER.get(service, ())), environment)
    # Of the contracts, which are five services', only what is imported.
    for path in Path(sysconfig.get_paths()["purelib"]).glob("closedloop_*"):
        compileall.compile_dir(path, quiet=1)


def _imported(process: str, modules: list[str], environment: dict[str, str]) -> None:
    code = IMPORT.format(process=process, modules=modules)
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)


if __name__ == "__main__":
    main()
