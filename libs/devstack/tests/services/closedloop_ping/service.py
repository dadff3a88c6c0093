"""Ping's definition: no migrations of its own."""

from __future__ import annotations

from pathlib import Path

from closedloop_chassis.service import Service

SERVICE = Service(name="ping", package="", slices=(), migrations=Path(__file__).parent / "migrations")
