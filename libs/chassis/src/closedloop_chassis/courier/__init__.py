"""The courier: carries events outbox → broker → inbox and runs what a service does with the outside world.

It holds no domain code and no grpcio. Read in this order: `relay` (tells the outbox), `receiver` (fills the inbox and
sends receipts), `receipts` (strikes who has acknowledged), `parts` (pollers and webhooks a service brings along),
`nameko_app` (the process around them).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from closedloop_chassis.settings import Settings


def run(service: str, parts: str, settings: Settings) -> None:
    """Runs the courier of `service` until SIGTERM or SIGINT. Raises RuntimeError if grpcio has been imported.

    `parts` names the module with the service's PARTS; empty for a service that has none.
    """
    from closedloop_chassis.courier import green

    green.patch()
    from closedloop_chassis.courier.nameko_app import serve

    serve(service, parts, settings)
