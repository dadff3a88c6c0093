"""Behind `make audit`: are problems known of the libraries we lock?

pip-audit asks PyPI's advisory service. Where none can be reached nothing was audited, and that is said: status 3.
"""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from pathlib import Path

from closedloop_devstack.platform.home import project

LOCKS = ("runtime.lock", "dev.lock", "bench.lock", "audit.lock")
NOT_AUDITED = 3


def main() -> int:
    root = project()
    tool = root / "build" / "audit"
    if not (tool / "bin" / "pip-audit").exists():
        # Apart from our own environment, in which nothing stands that is not locked.
        venv.create(tool, with_pip=True, clear=True)
        install = [str(tool / "bin" / "pip"), "--quiet", "--disable-pip-version-check", "install", "--require-hashes"]
        locked = str(root / "requirements" / "audit.lock")
        if subprocess.run([*install, "-r", locked], check=False).returncode:
            return _not_audited("pip-audit cannot be installed")
    worst = 0
    for lock in LOCKS:
        worst = max(worst, _audit(tool, root / "requirements" / lock))
    return worst


def _audit(tool: Path, lock: Path) -> int:
    command = [
        str(tool / "bin" / "pip-audit"),
        "--progress-spinner=off",
        "--format=json",
        "--require-hashes",
        "--disable-pip",
    ]
    done = subprocess.run([*command, "-r", str(lock)], capture_output=True, text=True, check=False, timeout=300)
    try:
        libraries = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        return _not_audited(f"{lock.name}: {last[:200]}")
    skipped = [one["name"] for one in libraries if "skip_reason" in one]
    if skipped:
        # Silence about a library is no clean bill.
        return _not_audited(f"{lock.name}: the service knows nothing of {len(skipped)} of {len(libraries)} libraries")
    problems = [(one["name"], one["version"], problem) for one in libraries for problem in one["vulns"]]
    print(f"{lock.name}: {len(problems)} known problems in {len(libraries)} libraries")
    for name, version, problem in problems:
        fixed = ", ".join(problem["fix_versions"]) or "nowhere yet"
        print(f"  {name} {version}: {problem['id']}, fixed in {fixed}")
    return int(bool(problems))


def _not_audited(why: str) -> int:
    print(f"NOT AUDITED: {why}. Run `make audit` where it can.")
    return NOT_AUDITED


if __name__ == "__main__":
    sys.exit(main())
