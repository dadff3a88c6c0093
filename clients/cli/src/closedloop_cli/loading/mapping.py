"""The declared mapping of one layout of files: columns, aliases, dates, stages. Data, not code: see crm.yaml."""

from __future__ import annotations

from datetime import date, datetime
from importlib.resources import files
from pathlib import Path
from typing import Literal

import yaml  # type: ignore[import-untyped]
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from closedloop_cli.failures import Usage

Kind = Literal["teams", "products", "accounts", "opportunities"]

COLUMNS: dict[Kind, frozenset[str]] = {
    "teams": frozenset({"agent", "manager", "office"}),
    "products": frozenset({"product", "series", "price"}),
    "accounts": frozenset({"account", "sector", "founded", "revenue", "employees", "country", "parent"}),
    "opportunities": frozenset({"id", "agent", "product", "account", "stage", "engaged", "closed", "value"}),
}
# What a row cannot be read without.
NEEDED: dict[Kind, frozenset[str]] = {
    "teams": frozenset({"agent", "manager", "office"}),
    "products": frozenset({"product"}),
    "accounts": frozenset({"account"}),
    "opportunities": frozenset({"id", "agent", "stage"}),
}


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Layout(_Part):
    """One file: its name, and which of its columns says what."""

    name: str
    columns: dict[str, str]


class Stage(_Part):
    stage: str
    state: Literal["open", "won", "lost"] = "open"


class Company(_Part):
    id: str = Field(pattern="^[A-Za-z0-9._-]{1,64}$")
    name: str
    kind: str = "company"
    time_zone: str = ""


class Mapping(_Part):
    """`aliases`: by field, spelling → what it means. Comparison is exact: an alias mends what it declares, no more."""

    source: str = Field(min_length=1, max_length=64)
    currency: str = Field(pattern="^[A-Z]{3}$")
    dates: tuple[str, ...] = Field(min_length=1)
    files: dict[Kind, Layout]
    company: Company
    office_kind: str
    team_kind: str
    agent_roles: tuple[str, ...] = ("rep",)
    manager_roles: tuple[str, ...] = ("manager",)
    revenue_unit: int = 1
    aliases: dict[str, dict[str, str]] = {}
    pipeline: str = ""
    stages: dict[str, Stage]
    countries: dict[str, str] = {}

    @field_validator("files")
    @classmethod
    def _columns_known(cls, layouts: dict[Kind, Layout]) -> dict[Kind, Layout]:
        for kind, known in COLUMNS.items():
            if kind not in layouts:
                raise ValueError(f"{kind} is missing")
            given = set(layouts[kind].columns)
            if strange := given - known:
                raise ValueError(
                    f"{kind}.columns: unknown {', '.join(sorted(strange))}; known {', '.join(sorted(known))}"
                )
            if missing := NEEDED[kind] - given:
                raise ValueError(f"{kind}.columns: {', '.join(sorted(missing))} missing")
        return layouts

    def meant(self, field: str, text: str) -> str:
        """What a spelling stands for; itself when no alias is declared."""
        return self.aliases.get(field, {}).get(text, text)

    def spellings(self, field: str, name: str) -> list[str]:
        """The aliases that mean `name`."""
        return sorted(alias for alias, meaning in self.aliases.get(field, {}).items() if meaning == name)

    def day(self, text: str) -> tuple[date, str] | None:
        """The day and the pattern it was written in; None when no pattern fits."""
        for pattern in self.dates:
            try:
                return datetime.strptime(text, pattern).date(), pattern
            except ValueError:
                continue
        return None


def load(path: Path | None = None) -> Mapping:
    """The mapping in the file; the one shipped for CRM exports when None. Raises Usage."""
    try:
        text = path.read_text(encoding="utf-8") if path else files(__package__).joinpath("crm.yaml").read_text("utf-8")
        return Mapping.model_validate(yaml.safe_load(text))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise Usage("file_unreadable", file=path, problem=str(error).splitlines()[0]) from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "-"
        raise Usage("mapping_wrong", file=path or "crm.yaml", where=where, problem=first["msg"]) from None
