"""Writes what is made out of the contracts and the code: SLOs, rules, dashboards, values schemas.

python -m closedloop_operations            (make observability)
"""

from __future__ import annotations

from importlib.util import find_spec

from closedloop_devstack.files import write_whole
from closedloop_devstack.platform.home import project
from closedloop_operations import artifacts


def main() -> None:
    root = project()
    made = artifacts.of_the_contracts(root)
    if find_spec("grafana_foundation_sdk"):
        made = artifacts.everything(root)
    else:
        print("Dashboards are left as they are; `make observability` brings what they are made with.")
    for path, text in made.items():
        target = root / path
        if not target.exists() or target.read_text() != text:
            target.parent.mkdir(parents=True, exist_ok=True)
            write_whole(target, text, mode=0o644)
            print(path)


if __name__ == "__main__":
    main()
