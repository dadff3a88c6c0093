"""What every command has in common: where options may stand, how it ends, in which language."""

from __future__ import annotations

import json
import re
import socket
import string
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

import closedloop_cli
from closedloop.common.v1.common_pb2 import BulkSummary
from closedloop_cli import words
from closedloop_cli.main import hoisted

SOURCES = sorted(Path(closedloop_cli.__file__).parent.rglob("*.py"))


@pytest.mark.parametrize(
    ("given", "understood"),
    [
        ([], []),
        (["leads", "list", "--json"], ["--json", "leads", "list"]),
        (["leads", "list", "--as", "ann", "--limit", "3"], ["--as", "ann", "leads", "list", "--limit", "3"]),
        (["leads", "--roles=rep", "list"], ["--roles=rep", "leads", "list"]),
        (["tasks", "done", "t", "--", "--json"], ["tasks", "done", "t", "--", "--json"]),
        (["doctor", "--lang"], ["--lang", "doctor"]),
    ],
)
def test_options_of_the_root_may_stand_anywhere(given: list[str], understood: list[str]) -> None:
    assert hoisted(given) == understood


def test_nothing_runs(shell: Any, tmp_path: Path) -> None:
    nowhere = shell(CLOSEDLOOP_HOME=str(tmp_path))
    assert nowhere("leads", "list", status=3).strip() == "The platform is not running; start it with `make up`."
    chinese = shell(CLOSEDLOOP_HOME=str(tmp_path), LANG="zh_CN.UTF-8")
    assert chinese("leads", "list", status=3).strip() == "平台没有运行；请用 `make up` 启动。"
    assert chinese("leads", "list", "--lang", "en", status=3).startswith("The platform")


def test_a_program_gets_its_error_as_json(shell: Any, tmp_path: Path) -> None:
    said = json.loads(shell(CLOSEDLOOP_HOME=str(tmp_path))("--json", "leads", "list", status=3))
    assert said["error"]["code"] == "UNREACHABLE"
    assert said["error"]["reason"] == "PLATFORM_DOWN"


def test_a_server_that_does_not_answer(shell: Any) -> None:
    with socket.socket() as taken:
        # Bound and not listening: nobody else gets the port, nobody answers on it.
        taken.bind(("127.0.0.1", 0))
        peers = json.dumps({"customers": f"127.0.0.1:{taken.getsockname()[1]}"})
        away = shell(CLOSEDLOOP_PEERS=peers, CLOSEDLOOP_TOKEN="t")
        assert "does not answer" in away("leads", "list", status=3)
        found = away.json("doctor", status=3)
    assert [one["condition"] for one in found["services"]] == ["unreachable"] * 5


def test_an_import_repeats_a_call_that_did_nothing(shell: Any, tmp_path: Path) -> None:
    """A server that lost a deadlock twice, then answers."""
    seen: list[bytes] = []

    def serve(request: bytes, context: grpc.ServicerContext) -> bytes:
        seen.append(request)
        if len(seen) <= 2:
            refusal = Status(code=grpc.StatusCode.ABORTED.value[0], message="another change came in between")
            refusal.details.add().Pack(ErrorInfo(reason="CONFLICT", domain="closedloop.targets"))
            context.abort_with_status(rpc_status.to_status(refusal))
        return BulkSummary(read=1, created=1).SerializeToString()

    server = grpc.server(ThreadPoolExecutor(1))
    handler = grpc.unary_unary_rpc_method_handler(serve)
    handlers = grpc.method_handlers_generic_handler("closedloop.targets.v1.ProductService", {"ImportProducts": handler})
    server.add_generic_rpc_handlers((handlers,))
    peers = json.dumps({"targets": f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"})
    server.start()
    file = tmp_path / "products.csv"
    file.write_text("id,name\npump,Pump\n")
    try:
        said = shell(CLOSEDLOOP_PEERS=peers, CLOSEDLOOP_TOKEN="t").json("import", "products", file)
    finally:
        server.stop(0)
    assert said["kinds"]["products"]["created"] == 1
    assert len(seen) == 3
    assert len(set(seen)) == 1, "the same request, so that it acts once"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["leads", "list", "--stage", "warm"], "--stage: warm is none of lead, contact, nurture, closed."),
        (
            ["opportunities", "close", "x", "won", "--reason", "r", "--date", "tomorrow"],
            "There is no address of funnel",
        ),
        (["audit", "list", "--since", "monday"], "--since: monday is no moment"),
        (["events", "redrive"], "Say which events: their ids, --type TYPE, or --all."),
        (["rules", "show", "platform.calendars"], "Say whose platform.calendars is meant with --service"),
        (["clocks", "list", "-s", "sales"], "--service: sales is none of targets, customers"),
    ],
)
def test_wrong_usage_says_what_is_right(shell: Any, arguments: list[str], sentence: str) -> None:
    elsewhere = shell(CLOSEDLOOP_PEERS='{"customers": "127.0.0.1:1"}', CLOSEDLOOP_TOKEN="t")
    said = elsewhere(*arguments, status=3 if "address" in sentence else 2)
    assert sentence in said


def test_peers_without_a_token_or_without_sense(shell: Any) -> None:
    assert "CLOSEDLOOP_TOKEN" in shell(CLOSEDLOOP_PEERS='{"customers": "x"}')("leads", "list", status=2)
    assert "JSON object" in shell(CLOSEDLOOP_PEERS="customers=x", CLOSEDLOOP_TOKEN="t")("leads", "list", status=2)
    assert "zh or en" in shell()("--lang", "fr", "leads", "list", status=2)


@pytest.mark.parametrize("key", words.CATALOGUE)
def test_both_languages_say_the_same(key: str) -> None:
    english, chinese = words.CATALOGUE[key]
    assert english
    assert chinese
    assert _places(english) == _places(chinese)


def test_every_sentence_is_there_and_used() -> None:
    text = "\n".join(path.read_text() for path in SOURCES if path.name != "words.py")
    named = set(re.findall(r'"([a-z0-9_.]+)"', text))
    assert not [key for key in words.CATALOGUE if key not in named]
    asked = re.findall(r'(?:words|say|note|Usage|Refused|Unreachable|Column|progress)\(\s*"([a-z][a-z_.]+)"', text)
    assert not [key for key in asked if key not in words.CATALOGUE]
    headings = re.findall(r'^\s+\("([a-z_]+)", ', text, re.MULTILINE)
    assert not [key for key in headings if key not in words.CATALOGUE]


@pytest.mark.parametrize(
    ("environment", "language"),
    [
        ({}, "en"),
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "C.UTF-8"}, "en"),
        ({"LANG": "de_DE", "LC_MESSAGES": "ZH_tw"}, "zh"),
    ],
)
def test_the_language_follows_the_environment(environment: dict[str, str], language: str) -> None:
    assert words.of_environment(environment) == language


def _places(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}
