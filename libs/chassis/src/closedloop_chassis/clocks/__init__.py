"""Durable SLA timers: every time rule of the business is one."""
