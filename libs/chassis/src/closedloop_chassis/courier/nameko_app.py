"""The process: nameko's container around relay, receiver, receipts and parts. The only module with nameko."""

from __future__ import annotations

import importlib
import logging
import signal
from collections.abc import Callable
from functools import partial
from typing import Any

import eventlet
import nameko
import structlog
from eventlet.event import Event
from nameko.extensions import Entrypoint
from nameko.runners import ServiceRunner
from nameko.web.handlers import HttpRequestHandler
from nameko.web.server import WebServer

from closedloop_chassis import bells
from closedloop_chassis.courier import brokers, database, green, webhooks
from closedloop_chassis.courier.bell import Bell
from closedloop_chassis.courier.brokers import Batch, Subscription
from closedloop_chassis.courier.desk import Desk
from closedloop_chassis.courier.link import Link
from closedloop_chassis.courier.pace import Pace
from closedloop_chassis.courier.parts import Poller, Webhook
from closedloop_chassis.courier.pollers import Leadership, Polling
from closedloop_chassis.courier.receipts import Receipts
from closedloop_chassis.courier.receiver import Receiver
from closedloop_chassis.courier.relay import Relay
from closedloop_chassis.courier.witness import Witness
from closedloop_chassis.settings import Settings
from closedloop_chassis.telemetry import endpoint, logs, tracing


class Again(Entrypoint):  # type: ignore[misc]
    """The decorated method does one step of something endless and answers in how many seconds it wants the next."""

    AFTER_FAILURE = 1.0

    def __init__(self, hurry: Callable[[], None] = lambda: None, **options: Any) -> None:
        """`hurry` is called when the step under way should not wait any longer."""
        self._hurry = hurry
        super().__init__(**options)

    def start(self) -> None:
        self._stopping = Event()
        self.container.spawn_managed_thread(self._run, identifier=f"again {self.method_name}")

    def stop(self) -> None:
        self._stopping.send()
        self._hurry()

    def _run(self) -> None:
        while not self._stopping.ready():
            done = Event()
            self.container.spawn_worker(self, (), {}, handle_result=partial(_hand_over, done))
            pause, failure = done.wait()
            if failure:
                logs.logger("courier").error("step failed", step=self.method_name, exc_info=failure)
            with eventlet.Timeout(self.AFTER_FAILURE if failure else pause, False):
                self._stopping.wait()


class Letters(Entrypoint):  # type: ignore[misc]
    """The decorated method gets batches of messages; while it raises, it gets the same batch again."""

    def __init__(self, subscription: Subscription, link: Link, limit: int, **options: Any) -> None:
        self._subscription = subscription
        self._link = link
        self._limit = limit
        super().__init__(**options)

    def start(self) -> None:
        self._stopping = Event()
        self._stopped = Event()
        self.container.spawn_managed_thread(self._subscription.run, identifier=f"consume {self.method_name}")
        self.container.spawn_managed_thread(self._deliver, identifier=f"deliver {self.method_name}")

    def stop(self) -> None:
        self._stopping.send()
        self._stopped.wait()
        # Only now: the last batch is acknowledged over this connection.
        self._subscription.stop()
        self._subscription.ended.wait()

    def _deliver(self) -> None:
        while not self._stopping.ready():
            batch = self._subscription.take(self._limit, timeout=0.5)
            while batch and (failure := self._work(batch)) is not None:
                with eventlet.Timeout(self._link.down(failure), False):
                    self._stopping.wait()
                if self._stopping.ready():
                    batch.give_back()
                    break
            else:
                if batch:
                    self._link.up()
        self._stopped.send()

    def _work(self, batch: Batch) -> BaseException | None:
        done = Event()
        self.container.spawn_worker(self, (batch,), {}, handle_result=partial(_hand_over, done))
        _, failure = done.wait()
        return failure  # type: ignore[no-any-return]


class WebhookServer(WebServer):  # type: ignore[misc]
    """nameko's ends the whole container when a client hangs up at the wrong moment."""

    def get_wsgi_server(self, sock: Any, wsgi_app: Any, **options: Any) -> Any:
        server = super().get_wsgi_server(sock, wsgi_app, **options)
        server.socket_timeout = nameko.config["webhook_idle_seconds"]
        server.log_output = False
        return server

    def run(self) -> None:
        while self._is_accepting:
            try:
                super().run()
            except OSError as cause:
                logs.logger("courier").warning("webhook connection not accepted", cause=str(cause))
                eventlet.sleep(0.1)

    def process_request(self, sock: Any, address: Any) -> None:
        try:
            super().process_request(sock, address)
        except Exception as cause:
            logs.logger("courier").info("webhook connection broke off", cause=repr(cause))


class Hook(HttpRequestHandler):  # type: ignore[misc]
    """The decorated method gets the werkzeug request and answers a werkzeug response."""

    server = WebhookServer()

    def get_entrypoint_parameters(self, request: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return (request,), {}


def serve(service: str, parts: str, settings: Settings) -> None:
    """Runs until SIGTERM or SIGINT, then finishes the work under way within about `Pace.grace_seconds`."""
    logs.start(settings, service, "courier")
    # They say for every message what our own lines and metrics say for a batch.
    for chatty in ("nameko", "kombu", "amqp"):
        logging.getLogger(chatty).setLevel(logging.CRITICAL)
    tracing.start(settings, service, "courier")
    pace = Pace()
    nameko.config.setup(
        {
            "max_workers": 1000,
            "WEB_SERVER_ADDRESS": settings.webhook_address,
            "webhook_idle_seconds": pace.webhook_idle_seconds,
        }
    )
    app, close = _app(service, parts, settings, pace)
    green.refuse_grpc()
    try:
        _run_until_told(app, settings, pace)
    finally:
        with eventlet.Timeout(1.5, False):
            close()
        with eventlet.Timeout(1.0, False):
            tracing.stop(0.8)


def _app(name: str, parts: str, settings: Settings, pace: Pace) -> tuple[type, Callable[[], None]]:
    """The service class as nameko wants it, and what closes all its connections."""
    post = brokers.broker(settings, name, pace)
    pool = database.pool(settings, name)
    desk = Desk(name, settings, pool)
    leadership = Leadership(settings.dsn, name)
    bell = Bell(settings.dsn, name, bells.OUTBOX)
    relay = Relay(post, pool, bell)
    eventlet.spawn(bell.run)
    receiver = Receiver(post, pool)
    receipts = Receipts(pool)

    members: dict[str, Any] = {"name": f"{name}-courier"}

    def add(method_name: str, entrypoint: Any, work: Callable[..., Any]) -> None:
        def method(self: Any, *arguments: Any) -> Any:
            return work(*arguments)

        method.__name__ = method_name
        # nameko's own decorators construct a copy per class; the entrypoints here are made for this one class.
        method.nameko_entrypoints = {entrypoint}  # type: ignore[attr-defined]
        members[method_name] = method

    add("relay", Again(hurry=relay.hurry), relay.step)
    inbox = post.inbox(Link("broker, receiving"))
    add("receive", Letters(inbox, Link("database, receiving"), pace.batch_size), receiver.receive)
    add("send_receipts", Again(), receiver.send_receipts)
    arrived = post.receipts(Link("broker, receipts"))
    add("witness", Again(), Witness(desk).step)
    add("strike", Letters(arrived, Link("database, receipts"), pace.batch_size), receipts.strike)
    for number, part in enumerate(importlib.import_module(parts).PARTS if parts else ()):
        if isinstance(part, Poller):
            add(f"poll_{number}", Again(), Polling(part, desk, leadership).step)
        elif isinstance(part, Webhook):
            hook = partial(webhooks.answer, part, desk, limit=pace.webhook_limit_bytes)
            add(f"hook_{number}", Hook(",".join(part.methods), part.path), hook)
        else:
            raise TypeError(f"{parts}.PARTS holds {part!r}, neither a Poller nor a Webhook")

    def close() -> None:
        for closing in (relay.close, receiver.close, leadership.close, partial(pool.close, timeout=0.5)):
            closing()

    return type("Courier", (), members), close


def _run_until_told(app: type, settings: Settings, pace: Pace) -> None:
    log = structlog.get_logger("courier")
    runner = ServiceRunner()
    runner.add_service(app)
    told = Event()

    def tell(number: int, _: Any) -> None:
        if not told.ready():
            told.send(signal.Signals(number).name)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, tell)
    runner.start()
    endpoint.serve(settings.metrics_address, ready=lambda: True)
    log.info("courier runs")
    # Ends the wait too when something in the container fails for good; `wait` below raises it.
    failed = eventlet.spawn(runner.wait)
    failed.link(lambda _: told.ready() or told.send("failure"))
    log.info("courier stops", cause=told.wait())
    with eventlet.Timeout(pace.grace_seconds, False):
        runner.stop()
        failed.wait()
        return
    log.warning("courier gives up waiting; what is left is done after the next start")
    with eventlet.Timeout(1.0, False):
        runner.kill()


def _hand_over(done: Any, _: Any, result: Any, exc_info: Any) -> tuple[Any, Any]:
    done.send((result, exc_info[1] if exc_info else None))
    return result, exc_info
