"""Whom we talk to and as whom: told by options and environment, or found on this machine."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from closedloop_cli.failures import Unreachable, Usage

SERVICES = ("targets", "customers", "funnel", "approvals", "integrations")
# Who a person at a development machine is, when nobody said so.
OPERATOR, OPERATOR_ROLES = "operator", ("operations", "admin")


@dataclass(frozen=True, slots=True)
class Choices:
    """What the user said; empty where nothing."""

    peers: str = ""
    token: str = ""
    person: str = ""
    roles: tuple[str, ...] = ()
    authority: Path | None = None


@dataclass(frozen=True, slots=True)
class Connection:
    """gRPC targets by service, and the token calls carry. `authority`: the CA file of servers that speak TLS."""

    peers: Mapping[str, str]
    token: str
    authority: Path | None = None

    def target(self, service: str) -> str:
        if service not in self.peers:
            raise Unreachable("no_address", service=service, known=", ".join(self.peers) or "-")
        return self.peers[service]

    @property
    def claims(self) -> dict[str, Any]:
        """Of the token, unverified: good for telling who we are, for nothing else."""
        try:
            payload = self.token.split(".")[1]
            claims: dict[str, Any] = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        except (IndexError, ValueError):
            return {}
        return claims

    @property
    def me(self) -> str:
        return str(self.claims.get("sub", ""))


def find(choices: Choices) -> Connection:
    """Raises Unreachable where nothing runs, Usage where the options contradict each other."""
    peers = told(choices.peers) if choices.peers else running()
    if choices.token and not choices.person:
        return Connection(peers, choices.token, choices.authority)
    if choices.peers and not choices.person:
        raise Usage("no_token")
    if not choices.person:
        return Connection(peers, minted(OPERATOR, choices.roles or OPERATOR_ROLES), choices.authority)
    return Connection(peers, minted(choices.person, choices.roles), choices.authority)


def told(peers: str) -> dict[str, str]:
    """CLOSEDLOOP_PEERS: {"targets": "dns:///…"}."""
    try:
        given = json.loads(peers)
    except ValueError:
        raise Usage("peers_not_json") from None
    if not isinstance(given, dict) or not all(isinstance(target, str) for target in given.values()):
        raise Usage("peers_not_json")
    return {str(service): target for service, target in given.items()}


def running() -> dict[str, str]:
    """The platform on this machine, as its supervisor says."""
    home = _home()
    state = home.read()
    if state is None or not state.supervised:
        raise Unreachable("platform_down")
    if state.phase != "ready":
        raise Unreachable("platform_not_ready", phase=state.phase)
    from closedloop_devstack.platform.layout import Layout

    layout = Layout(state.options.port_base, state.options.services)
    started = {process.name.partition(".")[0] for process in state.processes}
    return {service: layout.address(service) for service in layout.services if service in started}


def minted(person: str, roles: tuple[str, ...], hours: float = 12.0) -> str:
    """A development token, signed with the key of the platform on this machine."""
    token: str = _home().keys.token(person, roles, hours)
    return token


def _home() -> Any:
    # A client machine has no platform, hence not the package either.
    try:
        from closedloop_devstack.platform.home import Home
    except ModuleNotFoundError:
        raise Unreachable("no_platform_here") from None
    return Home.find()
