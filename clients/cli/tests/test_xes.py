"""Process logs as XES: read as they are, refused when they are something else."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from closedloop.funnel.v1.diagnosis_pb2 import ProcessEvent
from closedloop_cli.failures import Usage
from closedloop_cli.loading import xes

HEAD = '<?xml version="1.0"?>\n'
LOG = """<log xmlns="http://www.xes-standard.org/">
 <global scope="event"><string key="concept:name" value="UNKNOWN"/></global>
 <trace><string key="concept:name" value="case-1"/><string key="channel" value="Desk"/>
  <event><string key="concept:name" value="A"/><date key="time:timestamp" value="2011-10-11T13:45:40.276+02:00"/>
   <string key="org:resource" value="R1"><string key="nested" value="no"/></string>
   <string key="lifecycle:transition" value="complete"/><int key="cost" value="7"/></event>
  <event><string key="concept:name" value="B"/></event></trace>
 <trace><event><string key="concept:name" value="A"/><date key="time:timestamp" value="soon"/></event></trace>
</log>"""


def read(path: Path, text: str | bytes) -> list[ProcessEvent]:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return [item.message for item in xes.items(path)]


@pytest.mark.mission("S43", "U14")
@pytest.mark.parametrize("packed", [False, True])
def test_events_come_with_case_step_time_and_resource(tmp_path: Path, packed: bool) -> None:
    text = (HEAD + LOG).encode()
    name, written = ("log.xes.gz", gzip.compress(text)) if packed else ("log.xes", text)
    first, second, third = read(tmp_path / name, written)
    assert (first.case_id, first.position, first.step, first.resource, first.transition) == (
        "case-1",
        0,
        "A",
        "R1",
        "complete",
    )
    assert first.time.ToJsonString() == "2011-10-11T11:45:40.276Z"
    assert dict(first.attributes) == {"case:channel": "Desk", "cost": "7"}
    assert (second.position, second.HasField("time"), len(second.attributes)) == (1, False, 0)
    # A trace without a name is told apart by where it stands; a time that is none is left for the service to refuse.
    assert (third.case_id, third.position, third.HasField("time")) == ("trace 2", 0, False)


@pytest.mark.parametrize(
    "text",
    [
        HEAD + '<!DOCTYPE log [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><log><trace>&b;</trace></log>',
        HEAD + '<!DOCTYPE log SYSTEM "http://127.0.0.1:9/x.dtd"><log/>',
        HEAD + '<!DOCTYPE log [<!ENTITY x SYSTEM "file:///etc/passwd">]><log>&x;</log>',
        HEAD + "<html/>",
        HEAD + "<log><trace>",
        "no xml at all",
        "",
    ],
)
def test_what_is_no_log_or_reaches_outside_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(Usage):
        read(tmp_path / "log.xes", text)


def test_a_gzip_that_is_none_or_unpacks_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Usage):
        read(tmp_path / "log.xes.gz", b"no gzip")
    with pytest.raises(Usage):
        read(tmp_path / "log.xes.gz", gzip.compress((HEAD + LOG).encode())[:-20])
    monkeypatch.setattr(xes, "LARGEST_BYTES", 1000)
    with pytest.raises(Usage, match="file_unreadable"):
        read(tmp_path / "log.xes.gz", gzip.compress((HEAD + "<log>" + " " * 100_000 + "</log>").encode()))
