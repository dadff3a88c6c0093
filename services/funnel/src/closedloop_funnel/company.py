"""What the org tree says of a record's home: its day, its currency, the units below."""

from __future__ import annotations

from datetime import date, datetime
from zoneinfo import ZoneInfo

from closedloop_chassis.org.snapshot import OrgSnapshot

# Where the tree names none; the tree is the place to change it.
HOME_ZONE = "Asia/Shanghai"
HOME_CURRENCY = "CNY"


def zone(org: OrgSnapshot, unit_id: str) -> ZoneInfo:
    unit = org.unit(unit_id)
    return ZoneInfo(unit.time_zone if unit is not None and unit.time_zone else HOME_ZONE)


def today(org: OrgSnapshot, unit_id: str, now: datetime) -> date:
    """The calendar day it is for the unit."""
    return now.astimezone(zone(org, unit_id)).date()


def currency(org: OrgSnapshot) -> str:
    """What the company reports in: the currency of the root of the tree."""
    root = next((unit for unit in org.units.values() if not unit.parent_id), None)
    return root.currency_code if root is not None and root.currency_code else HOME_CURRENCY
