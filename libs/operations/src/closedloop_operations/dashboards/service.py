"""One service: its calls (rate, errors, duration), its events, its courier, what it has and what it uses."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

from closedloop_chassis.courier.parts import Poller, Webhook
from closedloop_operations.dashboards.panels import Panel, board


def dashboard(name: str) -> Any:
    return board(
        f"closedloop-{name}",
        f"Closedloop / {name.capitalize()}",
        f"The service {name}: calls, events, courier, resources.",
        ["service", name],
        f'service="{name}"',
        [("Calls", CALLS), ("Events", EVENTS), ("Courier", [*COURIER, *_parts(name)]), ("Resources", RESOURCES)],
    )


def _parts(name: str) -> list[Panel]:
    """Panels of pollers and webhooks, where the service has some."""
    module = f"closedloop_{name}.courier"
    parts = import_module(module).PARTS if find_spec(module) else ()
    shown: list[Panel] = []
    if any(isinstance(part, Poller) for part in parts):
        shown += POLLERS
    if any(isinstance(part, Webhook) for part in parts):
        shown += WEBHOOKS
    return shown


def _rate(of: str, by: str, more: str = "") -> str:
    return f"sum by ({by}) (rate({of}{{WHO{more}}}[$__rate_interval]))"


def _quantile(share: float, of: str, by: str, more: str = "") -> str:
    return f"histogram_quantile({share}, {_rate(f'{of}_bucket', f'{by}, le' if by else 'le', more)})"


# A counter with labels is not there before it has counted.
NOTHING = " or vector(0)"

CALLS = (
    Panel("Rate", "Calls answered a second; the ten most called.", "reqps",
          [(f"topk(10, {_rate('closedloop_rpc_seconds_count', 'method')})", "{{method}}")]),
    Panel("Answers that are not OK",
          "By gRPC code, a second. INTERNAL, UNKNOWN, UNAVAILABLE and DEADLINE_EXCEEDED are ours.", "reqps",
          [(_rate("closedloop_rpc_seconds_count", "code", ',code!="OK"') + NOTHING, "{{code}}")]),
    Panel("Duration", "Half, 95 and 99 of 100 calls that succeed are answered within.", "s",
          [(_quantile(share, "closedloop_rpc_seconds", "", ',code="OK"'), f"p{share * 100:g}") for share in (0.5, 0.95, 0.99)]),
    Panel("Slowest RPCs", "99 of 100 calls answered within; the ten slowest.", "s",
          [(f"topk(10, {_quantile(0.99, 'closedloop_rpc_seconds', 'method')})", "{{method}}")]),
    Panel("Under way", "Calls being served now; streams last as long as somebody listens.", "short",
          [("sum by (kind) (closedloop_rpc_active{WHO})", "{{kind}}")]),
    Panel("Refused before any work", "A second, by reason: OVERLOADED is ours, RATE_EXCEEDED one caller's.", "reqps",
          [(_rate("closedloop_rpc_refused_total", "reason"), "{{reason}}")]),
    Panel("Repeated", "Calls that came again under their request id and got their first answer, a second.", "reqps",
          [(_rate("closedloop_rpc_repeated_total", "method") + NOTHING, "{{method}}")]),
    Panel("Kept answers", "Answers that may be kept, by where they came from, a second.", "reqps",
          [(_rate("closedloop_answers_total", "source") + NOTHING, "{{source}}")]),
    Panel("Keys for tokens", "Keys that may sign callers' tokens; at nought every call is refused.", "short",
          [('min by (instance) (closedloop_token_keys{WHO,process="api"})', "{{instance}}")]),
)  # fmt: skip

EVENTS = (
    Panel("Outbox", "Events told here and not yet acknowledged by everybody they are for.", "short",
          [("max(closedloop_outbox_backlog{WHO})", "waiting")], width=6),
    Panel("Outbox lag", "Age of the oldest of them.", "s", [("max(closedloop_outbox_lag_seconds{WHO})", "oldest")], width=6),
    Panel("Inbox", "Events received here and not yet applied; parked ones wait for a person.", "short",
          [("max(closedloop_inbox_backlog{WHO})", "waiting"), ("max(closedloop_inbox_parked{WHO})", "parked")], width=6),
    Panel("Inbox lag", "Age of the oldest event that is not applied.", "s",
          [("max(closedloop_inbox_lag_seconds{WHO})", "oldest")], width=6),
    Panel("Applied", "Events applied a second, by type.", "ops",
          [(_rate("closedloop_events_applied_total", "type"), "{{type}}")]),
    Panel("Failed attempts", "Attempts to apply an event that failed, a second; they are tried again, then parked.", "ops",
          [(_rate("closedloop_events_failed_total", "type") + NOTHING, "{{type}}")]),
    Panel("From commit to effect", "From an event's commit at its source to its effect here: half, and 99 of 100.", "s",
          [(_quantile(share, "closedloop_event_delivery_seconds", ""), f"p{share * 100:g}") for share in (0.5, 0.99)]),
)  # fmt: skip

COURIER = (
    Panel("Broker", "Couriers connected to the broker.", "short",
          [("sum(closedloop_courier_broker_up{WHO})", "connected")], width=6),
    Panel("Links", "1 while a connection stands.", "short",
          [("min by (link) (closedloop_courier_link_up{WHO})", "{{link}}")], width=6),
    Panel("Carried", "Events given to the broker, received for the first time, and receipts of others, a second.", "ops",
          [("sum(rate(closedloop_courier_relayed_total{WHO}[$__rate_interval]))", "relayed"),
           ("sum(rate(closedloop_courier_received_total{WHO}[$__rate_interval]))", "received"),
           ("sum(rate(closedloop_courier_receipts_total{WHO}[$__rate_interval]))", "receipts")], width=6),
    Panel("Again", "Events told again, not taken, received twice or unreadable, a second.", "ops",
          [(f"sum(rate(closedloop_courier_{name}_total{{WHO}}[$__rate_interval]))", name.replace("_", " "))
           for name in ("told_again", "not_told", "duplicates", "unreadable")], width=6),
    Panel("Batch size", "Events moved at once: half of the batches are smaller.", "short",
          [(_quantile(0.5, "closedloop_courier_batch_size", "direction"), "{{direction}}")], width=12),
    Panel("Batch duration", "One batch to the broker (out) or into the inbox (in), 99 of 100.", "s",
          [(_quantile(0.99, "closedloop_courier_batch_seconds", "direction"), "{{direction}}")], width=12),
)  # fmt: skip

POLLERS = (
    Panel("Pollers", "Runs a second, by outcome.", "ops",
          [(_rate("closedloop_poll_seconds_count", "poller, outcome"), "{{poller}} {{outcome}}")]),
    Panel("Pollers' duration", "95 of 100 runs take less.", "s",
          [(_quantile(0.95, "closedloop_poll_seconds", "poller"), "{{poller}}")]),
    Panel("Pollers are run", "1 where some replica runs the poller.", "short",
          [("max by (poller) (closedloop_poll_leads{WHO})", "{{poller}}")]),
)  # fmt: skip

WEBHOOKS = (
    Panel("Webhooks", "Answered a second, by path and HTTP status.", "reqps",
          [(_rate("closedloop_webhooks_total", "path, status") + NOTHING, "{{path}} {{status}}")]),
)  # fmt: skip

RESOURCES = (
    Panel("Connections to the database", "Of the pool: all, free, and units of work that wait for one.", "short",
          [("sum by (state) (closedloop_pool_connections{WHO})", "{{state}}"), ("sum(closedloop_pool_waiting{WHO})", "waiting")]),
    Panel("Waits given up", "Waits for a connection given up, a second.", "ops",
          [("sum(rate(closedloop_pool_timeouts{WHO}[$__rate_interval]))", "given up")]),
    Panel("CPU", "Seconds of CPU a second, by process.", "short",
          [("sum by (process, instance) (rate(process_cpu_seconds_total{WHO}[$__rate_interval]))", "{{process}} {{instance}}")]),
    Panel("Memory", "Resident, by process.", "bytes",
          [("max by (process, instance) (process_resident_memory_bytes{WHO})", "{{process}} {{instance}}")]),
    Panel("Open files", "Share of the files a process may open.", "percentunit",
          [("max by (process, instance) (process_open_fds{WHO} / process_max_fds{WHO})", "{{process}} {{instance}}")]),
    Panel("Up since", "Age of each process.", "s",
          [("time() - max by (process, instance) (process_start_time_seconds{WHO})", "{{process}} {{instance}}")]),
)  # fmt: skip
