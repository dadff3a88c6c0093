"""A data set diagnosed on this machine, where no platform runs: by the same program, in a process of its own, by the rulebook as it
comes."""

from __future__ import annotations

import json
import sys
from importlib.util import find_spec
from subprocess import PIPE, Popen

from closedloop.integrations.v1 import diagnoses_pb2 as pb
from closedloop_cli.failures import Refused, Unreachable

# A room of its own: what runs is the program that the service runs, found by its name.
PACKAGE, PROGRAM = "closedloop_integrations", "closedloop_integrations.diagnoses.diagnose"
DEFAULT_RULES = b"{}\n"
REFUSED = 3


def here(request: pb.DiagnoseDatasetRequest) -> pb.Diagnosis:
    """Raises Unreachable where the program is not installed either, Refused for what it refuses."""
    if find_spec(PACKAGE) is None:
        raise Unreachable("diagnosis_not_here", package=PACKAGE.replace("_", "-"))
    with Popen((sys.executable, "-m", PROGRAM), stdin=PIPE, stdout=PIPE, stderr=PIPE) as child:
        said, complaint = child.communicate(DEFAULT_RULES + request.SerializeToString())
    if child.returncode == REFUSED:
        refusal = json.loads(said)
        raise Refused("dataset_refused", reason=refusal["reason"], message=refusal["message"])
    if child.returncode:
        raise Refused("diagnosis_broke", why=complaint.decode(errors="replace").strip().rpartition("\n")[2])
    return pb.Diagnosis.FromString(said)
