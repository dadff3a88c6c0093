"""DiagnosisService: a foreign data set is looked over; nothing of it is kept (S83)."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from subprocess import PIPE, Popen
from weakref import WeakKeyDictionary

from closedloop.integrations.v1 import diagnoses_pb2 as pb
from closedloop_chassis import errors
from closedloop_chassis.service import Rpcs
from closedloop_chassis.work import Call
from closedloop_integrations.diagnoses.diagnose import REFUSED
from closedloop_integrations.diagnoses.rules import DiagnosisRules

CHILD = ("-m", "closedloop_integrations.diagnoses.diagnose")
RETRY_SECONDS = 15.0

rpcs = Rpcs("closedloop.integrations.v1.DiagnosisService")

# One at a time in a process: each takes a core and a few times the file's size of memory.
_turns: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()


@rpcs.method
async def diagnose_dataset(request: pb.DiagnoseDatasetRequest, call: Call) -> bytes:
    turn = _turns.setdefault(asyncio.get_running_loop(), asyncio.Lock())
    if turn.locked():
        raise errors.ResourceExhausted(
            "DIAGNOSIS_UNDER_WAY", "another data set is being looked over; try again soon", retry_after=RETRY_SECONDS
        )
    async with turn:
        return await _in_child(request.SerializeToString(), call.rules(DiagnosisRules))


async def _in_child(request: bytes, rules: DiagnosisRules) -> bytes:
    # Whole before the child begins, and in memory: a child that ends before it has read everything breaks no pipe.
    with os.fdopen(os.memfd_create("data set"), "w+b") as given:
        given.write(rules.model_dump_json().encode() + b"\n" + request)
        given.seek(0)
        # Not by the loop: libuv forks, and what gRPC does in a fork of its threads ends some of them by a SIGSEGV; Popen
        # goes by vfork, which runs nothing of ours.
        child = await asyncio.to_thread(Popen, (sys.executable, *CHILD), stdin=given, stdout=PIPE, stderr=PIPE)
    try:
        said, complaint = await asyncio.to_thread(child.communicate)
    finally:
        # Whoever hung up waits for nothing.
        if child.returncode is None:
            child.kill()
    if child.returncode == REFUSED:
        refusal = json.loads(said)
        raise errors.InvalidArgument(refusal["reason"], refusal["message"], refusal["violations"])
    if child.returncode:
        raise RuntimeError(f"the diagnosis ended with {child.returncode}: {complaint[-2000:].decode(errors='replace')}")
    return said
