"""From `protos/` to Python: messages, gRPC stubs, type stubs, and one image of all descriptors.

Nothing is vendored: the rules of protovalidate are compiled from the descriptor its wheel carries, Google's
common types from the `.proto` files their wheel ships.

    python libs/contracts/generate.py                 # into libs/contracts/src
    python libs/contracts/generate.py --image FILE    # only the descriptor image, for buf
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from google.protobuf import descriptor_pb2
from grpc_tools import protoc

HERE = Path(__file__).resolve().parent
# In the repository the contracts stand at its root; in a source distribution beside this file.
PROTOS = next(p for p in (HERE.parents[1] / "protos", HERE / "protos") if p.is_dir())
VALIDATE = "buf/validate/validate.proto"


def sources() -> list[str]:
    return sorted(str(path.relative_to(PROTOS)) for path in PROTOS.rglob("*.proto"))


def run(*arguments: str) -> None:
    with tempfile.NamedTemporaryFile(suffix=".binpb") as rules:
        rules.write(_protovalidate_rules())
        rules.flush()
        bundled = Path(_package("grpc_tools")) / "_proto"
        common = Path(_package("google.rpc")).parents[1]
        command = [f"--descriptor_set_in={rules.name}", f"-I{PROTOS}", f"-I{bundled}", f"-I{common}"]
        if protoc.main(["protoc", *command, *arguments]) != 0:
            raise SystemExit("protoc failed; its complaints stand above")


def generate(target: Path) -> None:
    """Writes `closedloop/` and `buf/` below `target`, replacing what stood there."""
    target.mkdir(parents=True, exist_ok=True)
    for tree in ("closedloop", "buf"):
        shutil.rmtree(target / tree, ignore_errors=True)
    plugins = Path(sys.executable).parent
    messages = [*sources(), VALIDATE]
    run(
        f"--plugin=protoc-gen-mypy={plugins / 'protoc-gen-mypy'}",
        f"--python_out={target}",
        f"--mypy_out=quiet:{target}",
        *messages,
    )
    run(
        f"--plugin=protoc-gen-mypy_grpc={plugins / 'protoc-gen-mypy_grpc'}",
        f"--grpc_python_out={target}",
        f"--mypy_grpc_out=quiet:{target}",
        *[name for name in sources() if "service " in (PROTOS / name).read_text()],
    )
    for tree in ("closedloop", "buf"):
        (target / tree / "py.typed").touch()


def image(path: Path, *, comments: bool) -> None:
    """One FileDescriptorSet of every contract with its imports."""
    path.parent.mkdir(parents=True, exist_ok=True)
    run("--include_imports", *["--include_source_info"] * comments, f"--descriptor_set_out={path}", *sources())


def _package(name: str) -> str:
    spec = find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit(f"{name} is not installed; `make setup` installs it")
    return next(iter(spec.submodule_search_locations))


def _protovalidate_rules() -> bytes:
    from protovalidate._gen.buf.validate import validate_pb

    rules = descriptor_pb2.FileDescriptorProto.FromString(validate_pb.desc().proto.to_binary())
    return descriptor_pb2.FileDescriptorSet(file=[rules]).SerializeToString()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--image", type=Path)
    parser.add_argument("--bare", action="store_true", help="leave comments out of the image")
    options = parser.parse_args()
    if options.image:
        image(options.image, comments=not options.bare)
    else:
        generate(HERE / "src")
