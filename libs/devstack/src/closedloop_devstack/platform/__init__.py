"""The running platform: servers, migrations, ten supervised processes, one log view."""

from __future__ import annotations

from closedloop_devstack.platform.options import Options
from closedloop_devstack.platform.supervisor import Platform

__all__ = ["Options", "Platform"]
