"""Management actions, for the experiments that test them."""

from __future__ import annotations

from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_funnel.management import store
from closedloop_funnel.management.store import Seen as Action


async def action(db: Reader | Transaction, action_id: str, *, lock: bool = False) -> Action:
    """Raises NotFound ACTION_UNKNOWN."""
    return await store.get(db, action_id, lock=lock)
