"""The organisation out of a list of agents: offices and teams are units, agents and managers people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from closedloop.common.v1.common_pb2 import Provenance
from closedloop.options.v1 import options_pb2
from closedloop.targets.v1 import org_pb2
from closedloop_cli.loading.codes import Codes, code
from closedloop_cli.loading.ledger import Ledger, Rejection, RowRefused
from closedloop_cli.loading.loader import Item
from closedloop_cli.loading.mapping import Mapping
from closedloop_cli.loading.rows import Row

ORGANISATION = "organisation"


@dataclass(slots=True)
class Organisation:
    """What the rows say of units and people, in the order of the file; each with the row that said it first."""

    mapping: Mapping
    # The unit everything hangs below; None: the company of the mapping is made.
    root: str | None
    units: dict[str, Item] = field(default_factory=dict)
    people: dict[str, Item] = field(default_factory=dict)
    _unit_codes: Codes = field(default_factory=Codes)
    _person_codes: Codes = field(default_factory=Codes)

    def items(self) -> Iterator[Item]:
        """Units, then who leads them, then the others: however it is cut, nobody waits for a later batch."""
        leaders = {item.message.unit.manager_id for item in self.units.values()}
        yield from self.units.values()
        yield from (item for person, item in self.people.items() if person in leaders)
        yield from (item for person, item in self.people.items() if person not in leaders)

    def found(self, company: Row) -> None:
        """The company itself, where the platform has none yet."""
        stated = self.mapping.company
        unit = org_pb2.UnitInput(
            id=stated.id,
            name=stated.name,
            kind=stated.kind,
            time_zone=stated.time_zone,
            currency_code=self.mapping.currency,
            provenance=self._provenance(stated.id),
        )
        self.units[stated.id] = Item(org_pb2.OrgRow(unit=unit), company.file, company.line)
        self.root = stated.id

    def take(self, row: Row) -> None:
        """Raises RowRefused."""
        agent, manager, office = row.needed("agent"), row.needed("manager"), row.needed("office")
        office_id = _coded(self._unit_codes, office, row.columns["office"])
        team = f"{office} {manager}"
        team_id = _coded(self._unit_codes, team, row.columns["manager"])
        manager_id = _coded(self._person_codes, manager, row.columns["manager"])
        agent_id = _coded(self._person_codes, agent, row.columns["agent"])
        standing = self.people.get(agent_id)
        if standing is not None and agent != manager:
            message = f"{agent} stands in line {standing.row} already"
            raise RowRefused(row.columns["agent"], "AGENT_REPEATED", message)
        mapping = self.mapping
        self._unit(row, office_id, office, mapping.office_kind, self.root or "", "")
        self._unit(row, team_id, team, mapping.team_kind, office_id, manager_id)
        self._person(row, manager_id, manager, team_id, mapping.manager_roles)
        if agent_id != manager_id:
            self._person(row, agent_id, agent, team_id, mapping.agent_roles)

    def _unit(self, row: Row, unit_id: str, name: str, kind: str, parent_id: str, manager_id: str) -> None:
        unit = org_pb2.UnitInput(
            id=unit_id,
            name=name,
            kind=kind,
            parent_id=parent_id,
            manager_id=manager_id,
            provenance=self._provenance(name),
        )
        columns = {"unit.manager_id": row.columns["manager"], "unit": row.columns["office"]}
        self.units.setdefault(unit_id, Item(org_pb2.OrgRow(unit=unit), row.file, row.line, columns))

    def _person(self, row: Row, person_id: str, name: str, unit_id: str, roles: Iterable[str]) -> None:
        person = org_pb2.PersonInput(
            id=person_id,
            name=name,
            unit_id=unit_id,
            roles=[options_pb2.Role.Value(f"ROLE_{role.upper()}") for role in roles],
            function="sales",
            provenance=self._provenance(name),
        )
        columns = {"person": row.columns["agent"]}
        self.people.setdefault(person_id, Item(org_pb2.OrgRow(person=person), row.file, row.line, columns))

    def _provenance(self, source_id: str) -> Provenance:
        return Provenance(source=self.mapping.source, source_id=source_id)


def gather(rows: Iterator[Row], mapping: Mapping, root: str | None, ledger: Ledger) -> Organisation:
    """A refused row counts as one record: the agent it would have brought."""
    organisation = Organisation(mapping, root)
    for row in rows:
        try:
            row.check()
            if organisation.root is None:
                organisation.found(row)
            organisation.take(row)
        except RowRefused as refused:
            ledger.tally(ORGANISATION).read += 1
            ledger.reject(ORGANISATION, Rejection(row.file, row.line, refused.column, refused.reason, refused.message))
    return organisation


def _coded(codes: Codes, name: str, column: str) -> str:
    made = codes.of(name)
    if made is None:
        raise RowRefused(column, "CODE_TAKEN", f"another name has the code {code(name)} already; rename {name!r}")
    return made
