"""Echo's definition."""

from __future__ import annotations

from pathlib import Path

from closedloop_chassis.service import Service

SERVICE = Service(name="echo", package="", slices=(), migrations=Path(__file__).parent / "migrations")
