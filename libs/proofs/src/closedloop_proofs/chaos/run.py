"""One run: ground, load, faults, bringing back, verdict, report."""

from __future__ import annotations

import asyncio
import json
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from closedloop_devstack.files import write_whole
from closedloop_devstack.platform.home import project
from closedloop_devstack.processes.owned import owned_folder
from closedloop_proofs import loop
from closedloop_proofs.chaos import disk, plan
from closedloop_proofs.chaos.faults import Faults
from closedloop_proofs.chaos.ground import Ground, prepared
from closedloop_proofs.chaos.ledger import Ledger
from closedloop_proofs.chaos.load import Expected, Load
from closedloop_proofs.chaos.plan import Broker, Fault
from closedloop_proofs.chaos.verdict import Reading, Verdict

PREFIX = "closedloop-chaos-"
SHOWN = 20


@dataclass(frozen=True, slots=True)
class Chosen:
    """What a run is made of; `report` is where build/chaos.json goes."""

    seed: int
    seconds: float
    broker: Broker
    report: Path


def report_path() -> Path:
    return project() / "build" / "chaos.json"


def run(chosen: Chosen, say: Callable[[str], None]) -> dict[str, Any]:
    """Plays the plan of the seed and answers what was written to the report."""
    faults = plan.make(chosen.seed, chosen.seconds, chosen.broker)
    say(f"seed {chosen.seed}: {len(faults)} faults in {chosen.seconds:g} s over {chosen.broker}")
    for fault in faults:
        say(f"  {fault}")
    _save_plan(chosen, faults)
    with owned_folder(PREFIX) as folder:
        disk.sweep(PREFIX)
        logs = folder / "platform" / "logs"
        document: dict[str, Any] = {"ok": False}
        try:
            with prepared(folder, chosen.broker, chosen.seconds) as ground:
                document = asyncio.run(_played(ground, chosen, faults, say))
        finally:
            kept = chosen.report.parent / "chaos-logs"
            shutil.rmtree(kept, ignore_errors=True)
            shutil.copytree(logs, kept, ignore_dangling_symlinks=True)
            if not document["ok"]:
                say(f"the logs are in {kept}")
    _write(chosen.report, document)
    return document


async def _played(ground: Ground, chosen: Chosen, plan_: list[Fault], say: Callable[[str], None]) -> dict[str, Any]:
    expected = Expected()
    async with Ledger(ground.platform, ground.doors) as stage:
        await loop.found_company(stage)
        load, faults = Load(stage, expected, short=plan.is_short(chosen.seconds)), Faults(ground, chosen.seed, say)
        await load.hurry()
        await load.plant()
        say("the load begins")
        began = time.monotonic()
        load.begin()
        await faults.carry_out(plan_)
        await asyncio.sleep(max(0.0, began + chosen.seconds - time.monotonic()))
        await faults.bring_back()
        say(f"everything is back after {time.monotonic() - began:.1f} s; clients finish what they have begun")
        await load.rest()
        say(f"{len(stage.acknowledged)} writes acknowledged; reading everything back")
        verdict = await Reading(ground, stage, expected).verdict()
    verdict.problems += load.failures
    verdict.problems += [f"{what} ({number} times)" for what, number in stage.surprises.items()]
    return _document(chosen, stage, load, faults, verdict)


def _document(chosen: Chosen, stage: Ledger, load: Load, faults: Faults, verdict: Verdict) -> dict[str, Any]:
    done = [one for one in faults.done if not one.cannot]
    return {
        "ok": verdict.ok,
        "seed": chosen.seed,
        "acknowledged": len(stage.acknowledged),
        "lost": len(verdict.lost),
        "doubled": len(verdict.doubled),
        "clocks_missed": len(verdict.clocks_missed),
        "faults": plan.counted([one.fault for one in done]),
        "seconds": chosen.seconds,
        "broker": chosen.broker,
        "problems": verdict.problems,
        "details": {name: getattr(verdict, name) for name in ("lost", "doubled", "clocks_missed")},
        "figures": {
            **verdict.figures,
            "repeated_calls": sum(stage.repeats.values()),
            "longest_wait_ms": round(stage.longest_wait[0] * 1000),
        },
        "longest_wait": stage.longest_wait[1],
        "played": load.played,
        "repeats": dict(stage.repeats),
        "not_done": sorted({one.cannot for one in faults.done if one.cannot}),
        "plan": [one.document for one in sorted(faults.done, key=lambda one: one.fault.at)],
    }


def _save_plan(chosen: Chosen, faults: list[Fault]) -> None:
    document = {"seed": chosen.seed, "seconds": chosen.seconds, "broker": chosen.broker}
    _write(chosen.report.with_name("chaos-plan.json"), {**document, "faults": [asdict(fault) for fault in faults]})


def _write(path: Path, document: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps(document, ensure_ascii=False, indent=1), mode=0o644)


def lines(document: dict[str, Any]) -> list[str]:
    """The report for people."""
    figures = ("acknowledged", "lost", "doubled", "clocks_missed")
    told = [", ".join(f"{document[name]} {name.replace('_', ' ')}" for name in figures)]
    told.append("faults: " + ", ".join(f"{number} {kind}" for kind, number in document["faults"].items()))
    told.append("figures: " + ", ".join(f"{name} {number}" for name, number in document["figures"].items()))
    told += [f"NOT DONE here: {lack}" for lack in document["not_done"]]
    wrong = [f"{name}: {line}" for name, found in document["details"].items() for line in found]
    wrong += document["problems"]
    told += wrong[:SHOWN]
    if len(wrong) > SHOWN:
        told.append(f"… and {len(wrong) - SHOWN} more in the report")
    told.append("nothing was lost" if document["ok"] else f"NOT as it should be; replay with SEED={document['seed']}")
    return told
