"""Which process listens where. A platform takes a hundred neighbouring ports from its base on."""

from __future__ import annotations

from dataclasses import dataclass

from closedloop_devstack.ports import LOOPBACK

SERVICES = ("targets", "customers", "funnel", "approvals", "integrations")
ROLES = ("api", "courier")
DEFAULT_BASE = 7400
SIZE = 100


@dataclass(frozen=True, slots=True)
class ServicePorts:
    """The ports of one service's two processes."""

    grpc: int
    api_metrics: int
    courier_metrics: int
    webhooks: int

    def metrics(self, role: str) -> int:
        return self.api_metrics if role == "api" else self.courier_metrics


@dataclass(frozen=True, slots=True)
class Layout:
    """Ten ports for each service (gRPC, api's and courier's HTTP, webhooks); servers stand from base + 90 on."""

    base: int
    services: tuple[str, ...]

    def ports(self, service: str) -> ServicePorts:
        first = self.base + 10 * self.services.index(service)
        return ServicePorts(first, first + 1, first + 2, first + 3)

    @property
    def postgres(self) -> int:
        return self.base + 90

    @property
    def redis(self) -> int:
        return self.base + 91

    @property
    def rabbit(self) -> int:
        """And the two after it: Erlang's port mapper, RabbitMQ's peers."""
        return self.base + 92

    def address(self, service: str) -> str:
        """Where the service answers gRPC."""
        return f"{LOOPBACK}:{self.ports(service).grpc}"

    def wanted(self) -> dict[str, int]:
        """Every port of the services, by what it is for."""
        named: dict[str, int] = {}
        for service in self.services:
            ports = self.ports(service)
            named[f"{service}'s gRPC"] = ports.grpc
            named[f"{service}'s api metrics"] = ports.api_metrics
            named[f"{service}'s courier metrics"] = ports.courier_metrics
            named[f"{service}'s webhooks"] = ports.webhooks
        return named
