"""Migrations are SQL files, run in order by Alembic: first the chassis's, then the service's own.

A file `0002_what_it_does.sql` is the revision `<service>_0002`. Files are only ever added; they expand first and contract
a release later, because old and new code run side by side during a roll-out.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import Script, ScriptDirectory
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from closedloop_chassis.data.schema import CHASSIS, branches

if TYPE_CHECKING:
    from closedloop_chassis.service import Service

# A migration that cannot get its lock soon gives up rather than queue everybody behind it.
LIMITS = "SET lock_timeout = '4s'; SET statement_timeout = '60s'"
ONE_AT_A_TIME = "SELECT pg_advisory_lock(hashtext('closedloop.migrate'))"


class SqlScripts(ScriptDirectory):
    """Alembic's script directory over folders of SQL files; each folder is a branch of its own."""

    def __init__(self, branches: dict[str, Path]) -> None:
        super().__init__(str(CHASSIS))
        self._branches = branches

    def _load_revisions(self) -> Iterator[Script]:
        for branch, folder in self._branches.items():
            previous: str | None = None
            for path in sorted(folder.glob("[0-9][0-9][0-9][0-9]_*.sql")):
                previous = (script := self._script(branch, path, previous)).revision
                yield script

    def steps(self, revision: Any) -> list[Any]:
        """What is still to be run, the first branch's before the others': views of a service name tables of the chassis."""
        order = list(self._branches)
        return sorted(
            self._upgrade_revs("heads", revision),
            key=lambda step: order.index(step.revision.revision.rpartition("_")[0]),
        )

    def _script(self, branch: str, path: Path, previous: str | None) -> Script:
        module: Any = ModuleType(f"{branch}_{path.stem}", doc=path.stem.replace("_", " "))
        module.revision = f"{branch}_{path.name[:4]}"
        module.down_revision = previous
        module.upgrade = lambda: module.op.get_bind().exec_driver_sql(path.read_text())
        return Script(module, module.revision, str(path))


def scripts(service: Service) -> SqlScripts:
    return SqlScripts(branches(service))


def upgrade(dsn: str, service: Service) -> list[str]:
    """Brings the database to this release's schema; answers the revisions it ran. Safe to run by several at once."""
    directory = scripts(service)
    engine = create_engine(dsn.replace("postgresql://", "postgresql+psycopg://", 1), poolclass=NullPool)
    ran: list[str] = []
    with engine.connect() as connection:
        connection.execute(text(LIMITS.split(";")[0]))
        connection.execute(text(ONE_AT_A_TIME))
        connection.execute(text(LIMITS.split(";")[1]))
        connection.commit()
        context = MigrationContext.configure(
            connection,
            opts={
                "transaction_per_migration": True,
                "fn": lambda revision, _: directory.steps(revision),
            },
        )
        with Operations.context(context) as operations:
            for script in directory.walk_revisions():
                script.module.op = operations  # type: ignore[attr-defined]
            before = set(context.get_current_heads())
            context.run_migrations()
            after = set(context.get_current_heads())
        ran = sorted(after - before)
        connection.commit()
    engine.dispose()
    return ran
