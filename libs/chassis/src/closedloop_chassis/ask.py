"""Asks a server whether it serves, as its callers reach it: by its name, over TLS where it wants that.

    python -m closedloop_chassis.ask dns:///closedloop-targets:7400 [--ca FILE --certificate FILE --key FILE] [--seconds 30]

Ends with 0 and one line when it serves, with 1 and what is wrong otherwise. For `helm test`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc


def serves(target: str, credentials: grpc.ChannelCredentials | None, seconds: float) -> str:
    """Empty when it serves, else what it says instead."""
    channel = grpc.secure_channel(target, credentials) if credentials else grpc.insecure_channel(target)
    with channel:
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(
                health_pb2.HealthCheckRequest(), timeout=seconds, wait_for_ready=True
            )
        except grpc.RpcError as error:
            return f"{error.code().name}: {error.details()}"
    serving = health_pb2.HealthCheckResponse.SERVING
    return "" if answer.status == serving else health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)


def main() -> None:
    parser = argparse.ArgumentParser(prog="closedloop-ask")
    parser.add_argument("target")
    parser.add_argument("--ca", type=Path)
    parser.add_argument("--certificate", type=Path)
    parser.add_argument("--key", type=Path)
    parser.add_argument("--seconds", type=float, default=30.0)
    asked = parser.parse_args()
    credentials = None
    if asked.ca:
        certificate, key = (path.read_bytes() if path else None for path in (asked.certificate, asked.key))
        credentials = grpc.ssl_channel_credentials(asked.ca.read_bytes(), key, certificate)
    if wrong := serves(asked.target, credentials, asked.seconds):
        sys.exit(f"{asked.target} does not serve: {wrong}")
    sys.stdout.write(f"{asked.target} serves\n")


if __name__ == "__main__":
    main()
