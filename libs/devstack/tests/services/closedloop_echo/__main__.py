"""gRPC health as api, /healthz as both, settings read like a real one; falls at its start when its folder says so."""

from __future__ import annotations

import json
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from closedloop_chassis.settings import Settings
from closedloop_chassis.telemetry import endpoint


def main(service: str) -> None:
    role = sys.argv[1]
    settings = Settings()
    assert settings.service_token_file
    if (settings.service_token_file.parent.parent / f"fall.{service}.{role}").exists():
        raise SystemExit("nothing works without coffee")
    endpoint.serve(settings.metrics_address, ready=lambda: True)
    servicer = health.HealthServicer()
    servicer.set("", health_pb2.HealthCheckResponse.SERVING)
    server = grpc.server(ThreadPoolExecutor(2))
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    if role == "api":
        server.add_insecure_port(settings.grpc_address)
        server.start()
    sys.stdout.write(
        json.dumps({"event": "ready", "peers": settings.peers, "token": str(settings.service_token_file)}) + "\n"
    )
    sys.stdout.flush()
    asked = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: asked.set())
    asked.wait()
    server.stop(0)
    Path(settings.service_token_file.parent.parent / f"gone.{service}.{role}").touch()


if __name__ == "__main__":
    main("echo")
