"""What leaves the house, as a figure whose messages can be asked for (S79), and how well they are kept (S80)."""

from __future__ import annotations

from closedloop_chassis.figures.declared import Field, Figure, Figures, Record, Rows
from closedloop_integrations.deliveries.rules import DeliveryRules

# Whoever opened, clicked, answered or complained was reached; of a message on its way nobody knows yet.
LEFT = """
SELECT 'delivery' AS record_type, d.id::text AS record_id, d.state AS input, d.owner_id, d.unit_id,
       d.account_id::text AS account_id, d.channel,
       (d.state NOT IN ('bounced', 'failed'))::int::float8 AS amount, d.requested_at AS record_time,
       d.origin AS source, d.dedupe_key AS source_id,
       jsonb_build_object('number', d.topic, 'date', (d.sent_at AT TIME ZONE %(zone)s)::date, 'channel', d.channel,
                          'state', d.state, 'purpose', d.purpose) AS fields
  FROM delivery d
 WHERE d.requested_at >= %(from)s AND d.requested_at < %(to)s
   AND d.state IN ('delivered', 'opened', 'clicked', 'replied', 'bounced', 'failed', 'complained')
"""
MESSAGES = """
SELECT d.id, d.purpose || ' (' || d.id || ')' AS label, d.owner_id, d.unit_id, d.address, d.robot, d.state,
       d.sent_at AS recorded_at, d.due_at AS occurred_at
  FROM delivery d WHERE d.requested_at >= %(from)s AND d.requested_at < %(to)s AND d.state <> 'suppressed'
"""

FIGURES = Figures(
    figures=(
        Figure(
            name="integrations.messages_delivered",
            title="消息送达率",
            definition="messages of which it is known that they arrived, of all whose end is known",
            formula="arrived / (arrived + bounced + failed)",
            unit="1",
            sources=("external",),
            scopes=("unit", "person", "account", "channel"),
            shown_in=("DeliveryService.ListDeliveries",),
            records=("delivery",),
            step="last state of each message",
            refresh_rule="with each report of a gateway",
            rule=(DeliveryRules, "attempts"),
            trace=Rows(sql=LEFT, how="mean"),
        ),
    ),
    records=(
        Record(
            name="delivery",
            title="messages",
            source="external",
            arrival="asked for by services and people, reported by gateways",
            sql=MESSAGES,
            fields=(
                Field(
                    name="address",
                    filled="r.address <> '' OR r.robot <> ''",
                    suggestion="complete the contact's mail address or number",
                ),
                Field(
                    name="owner_id",
                    filled="r.owner_id <> ''",
                    suggestion="say for whom it is sent; answers to it belong to somebody",
                ),
            ),
            late_suggestion="look at the channel's gateway: messages leave later than they were due",
        ),
    ),
)
