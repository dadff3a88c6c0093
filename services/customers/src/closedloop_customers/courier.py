"""What the courier of customers runs: one webhook for inquiries."""

from __future__ import annotations

from closedloop_chassis.courier.parts import Part, Webhook
from closedloop_customers.leads import webhook

PARTS: tuple[Part, ...] = (Webhook("/hooks/leads/<source>", webhook.receive),)
