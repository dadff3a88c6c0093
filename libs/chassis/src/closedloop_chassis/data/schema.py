"""Which schema this release needs. Apart from `migrations.py`, so that an api does not carry Alembic in its memory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from closedloop_chassis.data.transaction import Reader

if TYPE_CHECKING:
    from closedloop_chassis.service import Service

CHASSIS = Path(__file__).parents[1] / "migrations"
FILES = "[0-9][0-9][0-9][0-9]_*.sql"
VERSIONS = "SELECT version_num FROM alembic_version"


def branches(service: Service) -> dict[str, Path]:
    """The folders of SQL files, in the order in which they first run."""
    return {"chassis": CHASSIS, service.name: service.migrations}


def expected(service: Service) -> dict[str, str]:
    """The newest revision of each branch that this release knows: {"chassis": "0001", "funnel": "0003"}."""
    newest = {
        branch: max((path.name[:4] for path in folder.glob(FILES)), default="")
        for branch, folder in branches(service).items()
    }
    return {branch: number for branch, number in newest.items() if number}


async def is_current(reader: Reader, wanted: dict[str, str]) -> bool:
    """Whether the schema is at least what this release needs; a newer one (expanded by the next release) is fine."""
    if not await reader.value("SELECT to_regclass('alembic_version') IS NOT NULL"):
        return False
    have: dict[str, str] = dict(row["version_num"].rsplit("_", 1) for row in await reader.all(VERSIONS))
    return all(have.get(branch, "") >= number for branch, number in wanted.items())
