"""What is handed to the diagnosis: a folder, a zip, an address; and what is not."""

from __future__ import annotations

import gzip
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from closedloop_cli.failures import Refused, Usage
from closedloop_cli.loading import dataset, diagnosing

TABLE = b"a,b\n1,2\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "b.csv").write_bytes(TABLE)
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(TABLE, mtime=0))
    (tmp_path / "notes.md").write_text("no table")
    (tmp_path / ".hidden.csv").write_bytes(TABLE)
    (tmp_path / "empty.csv").write_bytes(b"")
    with zipfile.ZipFile(tmp_path / "export.zip", "w") as archive:
        archive.writestr("deep/c.csv", TABLE)
        archive.writestr("readme.txt.md", "no")
    return tmp_path


@pytest.fixture
def address(folder: Path) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_a_folder_a_file_a_zip_and_an_address(folder: Path, address: str) -> None:
    assert [name for name, _ in dataset.tables(str(folder))] == ["a.csv.gz", "b.csv"]
    assert dataset.tables(str(folder / "b.csv")) == [("b.csv", TABLE)]
    assert dataset.tables(str(folder / "export.zip")) == [("c.csv", TABLE)]
    assert dataset.tables(f"{address}/export.zip") == [("c.csv", TABLE)]
    assert dataset.tables(f"{address}/b.csv") == [("b.csv", TABLE)]


def test_what_cannot_be_handed_in(folder: Path, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Usage):
        dataset.tables(str(folder / "none"))
    (bare := folder / "bare").mkdir()
    with pytest.raises(Usage):
        dataset.tables(str(bare))
    with pytest.raises(Refused):
        dataset.tables(f"{address}/none.csv")
    (folder / "broken.zip").write_bytes(b"PK\x03\x04 none")
    with pytest.raises(Refused):
        dataset.tables(str(folder / "broken.zip"))
    monkeypatch.setattr(dataset, "MOST_BYTES", 8)
    for place in (str(folder), str(folder / "export.zip"), f"{address}/b.csv"):
        with pytest.raises(Refused) as refused:
            dataset.tables(place)
        assert refused.value.key == "dataset_too_large"


@pytest.mark.mission("S83")
def test_a_companys_export_is_diagnosed_without_a_platform(
    shell: Any, data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = shell(CLOSEDLOOP_HOME=str(tmp_path))
    found = alone.json("diagnose", data_folder / "crm")
    counts = {(each["kind"], each["field"]): int(each["count"]) for each in found["findings"]}
    wanted = {
        ("missing_reference", "account"): 1425,
        ("alias", "product"): 1480,
        ("misspelling", "sector"): 12,
        ("idle_owner", "sales_agent"): 5,
        ("missing_field", "close_date"): 2089,
    }
    assert wanted.items() <= counts.items()
    assert float(found["elapsed"].removesuffix("s")) < 180
    empty = tmp_path / "empty.csv"
    empty.write_text("a,b\n")
    shown = alone("diagnose", empty, status=1)
    assert "No platform runs here" in shown
    assert "NO_DATA" in shown
    monkeypatch.setattr(diagnosing, "find_spec", lambda _: None)
    assert "pip install closedloop-integrations" in alone("diagnose", empty, "--here", status=3)
