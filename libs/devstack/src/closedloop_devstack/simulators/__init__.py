"""Simulators of the outside world: real servers on loopback that speak the real protocols.

`procurement.ProcurementSite`, `erp.ErpServer`, `chat.ChatRobots` and `mail.MailServer` each have `start()`, `stop()`,
are context managers, run in a thread of their own and keep their port over a restart. From a shell: `python -m
closedloop_devstack.simulators procurement --port 7480`.
"""
