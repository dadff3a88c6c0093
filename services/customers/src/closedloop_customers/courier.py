"""What the courier of customers runs: one webhook for inquiries."""

from __future__ import annotations

from closedloop_chassis.courier.desk import Desk
from closedloop_chassis.courier.parts import Part, Request, Response, Webhook


def receive_leads(desk: Desk, request: Request) -> Response:
    """What reads a post is fetched by the first one: a courier nobody posts to does without its 40 MB."""
    from closedloop_customers.leads import webhook

    return webhook.receive(desk, request)


PARTS: tuple[Part, ...] = (Webhook("/hooks/leads/<source>", receive_leads),)
