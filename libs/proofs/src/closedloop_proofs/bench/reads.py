"""What people look at all day, against a bare server that answers as many bytes out of its memory (h2load)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from closedloop_chassis import contract
from closedloop_proofs.bench import briefs, decisions, limits, targets
from closedloop_proofs.bench.figures import Figure, Wanted, tail, throughput
from closedloop_proofs.bench.ground import Api, Ground, accepted
from closedloop_proofs.bench.load import LoadFailed, Pressure, framed, h2load, watched
from closedloop_proofs.bench.read import Read
from closedloop_proofs.bench.samples import Sample
from closedloop_proofs.bench.turns import in_turns

READS = {"person board": targets.board, "work list": decisions.listing, "visit brief": briefs.brief}
WANTED = Wanted(">=", 0.6)


def measure(ground: Ground, pressure: Pressure, rounds: int, only: Callable[[str], bool]) -> list[Figure]:
    figures: list[Figure] = []
    for name, prepare in READS.items():
        if only(name):
            with prepare(ground) as (api, read):
                figures += against_echo(ground, api, read, pressure, rounds)
    return figures


def against_echo(ground: Ground, api: Api, read: Read, pressure: Pressure, rounds: int) -> list[Figure]:
    path = "/" + "/".join(read.method.rsplit(".", 1))
    answer = api.call(path, read.request, read.token)
    found = _lines(read.method, answer)
    if found != read.lines:
        raise LoadFailed(f"{read.name}: {found} lines where {read.lines} are")
    body = ground.folder / "read.bin"
    body.write_bytes(framed(read.request))
    ground.say(f"{read.name} against an echo of {len(answer)} bytes")
    with ground.limit() as limit:
        limit.call(f"/{limits.SERVICE}/Keep", answer)
        bare = f"/{limits.SERVICE}/Answer"

        def theirs() -> Sample:
            return watched([limit.pid], partial(h2load, limit.address, bare, body, pressure, ground.folder))

        def ours() -> Sample:
            headers = {"authorization": f"Bearer {read.token}"}
            before = api.answered(read.method)
            drive = partial(h2load, api.address, path, body, pressure, ground.folder, headers)
            sample = watched([api.pid], drive)
            accepted(api, read.method, before, sample.calls)
            return sample

        mine, bares = in_turns(ours, theirs, rounds)
    against = f"echo of {len(answer)} bytes"
    return [
        throughput(read.name, mine, against, bares, WANTED),
        tail(f"{read.name}, p99", mine, against, bares, None),
    ]


def _lines(method: str, answer: bytes) -> int:
    """Entries of the answer's first repeated field."""
    service, _, name = method.rpartition(".")
    message = contract.method(contract.service(service).methods_by_name[name]).response.FromString(answer)
    repeated = next(field for field in message.DESCRIPTOR.fields if field.is_repeated)
    return len(getattr(message, repeated.name))
