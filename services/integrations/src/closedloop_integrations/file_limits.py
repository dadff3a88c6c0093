"""How much of a file that is handed in we bear."""

from __future__ import annotations

from pydantic import Field

from closedloop_chassis.rulebook.rules import Part


class FileRules(Part):
    """How much a file that is handed in may be, unpacked."""

    most_unpacked_bytes: int = Field(default=64 * 1024 * 1024, ge=1024)
    most_parts: int = Field(default=500, ge=10)
    # Plain text of a table rarely packs better than this; a bomb does a thousandfold.
    most_ratio: int = Field(default=200, ge=10)
    most_lines: int = Field(default=100_000, ge=1)
    # Of one sheet, from its first corner to its last cell, empty ones too: as many are laid out to read it.
    most_cells: int = Field(default=3_000_000, ge=1)
