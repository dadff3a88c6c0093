"""PostgreSQL, Redis and RabbitMQ on loopback, each in a folder and on a port of its own."""

from __future__ import annotations

from closedloop_devstack.servers.postgres import PostgresServer
from closedloop_devstack.servers.rabbit import RabbitServer
from closedloop_devstack.servers.redis import RedisServer

__all__ = ["PostgresServer", "RabbitServer", "RedisServer"]
