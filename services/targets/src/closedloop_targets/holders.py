"""Who a target or an actual is for, as the contract shows it."""

from closedloop.targets.v1.plans_pb2 import Holder


def to_proto(kind: str, holder_id: str) -> Holder:
    return Holder(unit_id=holder_id) if kind == "unit" else Holder(person_id=holder_id)
