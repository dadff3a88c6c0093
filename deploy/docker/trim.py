"""Removes from an environment what no process of ours ever looks at: tests, sources of C code, symbols for debuggers,
parts of libraries that we do not use. Licences stay.

python trim.py            (run by the environment's own interpreter, before anything is compiled)
"""

from __future__ import annotations

import filecmp
import os
import shutil
import struct
import sysconfig
from collections.abc import Iterator
from pathlib import Path

# By pattern among the installed packages, with what it would be good for. What is removed here must be missed by nobody:
# test_image.py imports every process's modules, migrates, and works out a forecast, in what is left.
LEFT_OUT = {
    "**/tests": "trying the libraries themselves",
    "**/*.pyx": "building",
    "**/*.pxd": "building",
    "**/*.pxi": "building",
    "**/*.c": "building",
    "**/*.h": "building",
    "**/*.hpp": "building",
    "**/*.a": "building",
    "**/*.pyi": "type checkers",
    "*-stubs": "type checkers",
    "*.dist-info/sboms": "parts of parts; the image has a list of its own",
    "*.dist-info/RECORD": "taking packages out again; names and versions stay, for those who look for known problems",
    "sqlalchemy/testing": "writers of dialects",
    "sqlalchemy/orm": "objects for tables; Alembic only runs our SQL through it",
    "alembic/testing": "writers of dialects",
    "eventlet/zipkin": "tracing by another system",
    "spellchecker/resources/[!e]*": "languages other than the English of notes",
    "spellchecker/resources/e[!n]*": "languages other than the English of notes",
    "opencc/clib/bin": "converting at a shell",
    "PIL/_avif*": "a format of pictures that is not taken",
    "pillow.libs/libavif*": "a format of pictures that is not taken",
    "PIL/_imagingft*": "writing into pictures",
    "pillow.libs/libharfbuzz*": "writing into pictures",
    "pillow.libs/libfreetype*": "writing into pictures",
    "**/rapidfuzz/**/*_avx2.*": "newer processors only; the plain ones are there too, and were as fast for our names",
    "rapidfuzz/distance/metrics_cpp.*": "distances by name; fuzz has its ratios by itself, and we ask for no other",
    "sqlalchemy/dialects/mysql": "other databases",
    "sqlalchemy/dialects/oracle": "other databases",
    "sqlalchemy/dialects/mssql": "other databases",
    "sqlalchemy/ext/[!_c]*": "objects for tables",
    "pydantic/v1": "models of five years ago",
    "opentelemetry/semconv/_incubating/metrics/[!o_]*": "names of metrics that nobody sends",
    # The library of forecasts: STL and theta are used.
    "numpy/_core/_simd*": "trying the library itself",
    "numpy/_core/_*_tests*": "trying the library itself",
    "numpy/distutils": "building",
    "scipy/cluster": "clusters",
    "scipy/datasets": "examples",
    "scipy/io/_fast_matrix_market": "a format of matrices",
    "scipy/odr": "regression where both sides err",
    "scipy/stats/_unuran": "random numbers of odd distributions",
    "scipy/stats/_sobol_direction_numbers.npz": "quasi-random numbers",
    "pandas/_libs/sas*": "a format of tables",
    "patsy/test_*": "trying the library itself",
    "statsmodels/datasets/*/*.csv": "examples",
    "statsmodels/datasets/*/src": "examples",
}  # fmt: skip

# Modules that only import others, for whoever wants a library as a whole; we ask for its parts. They are left empty.
EMPTIED = {
    "statsforecast/__init__.py": "tables of series on clusters of machines: Fugue, Arrow, Dask, Ray, Spark",
}


def leave_out(root: Path) -> None:
    for name, purpose in EMPTIED.items():
        if (root / name).exists():
            (root / name).write_text(f"# Emptied by Closedloop's image, which does without {purpose}.\n")
    for pattern in LEFT_OUT:
        for path in list(root.glob(pattern)):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)


def segments_end(content: bytes) -> int:
    """Of a shared library (ELF, 64 bit): where the last byte stands that is ever loaded. What follows, debugging
    information and the table of sections, is read by tools only. 0: it is none."""
    if content[:6] != b"\x7fELF\x02\x01":
        return 0
    (table,) = struct.unpack_from("<Q", content, 32)
    size, count = struct.unpack_from("<HH", content, 54)
    ends = [table + size * count]
    for at in range(table, ends[0], size):
        offset, length = (struct.unpack_from("<Q", content, at + field)[0] for field in (8, 32))
        ends.append(offset + length)
    return max(ends)


def strip(path: Path) -> None:
    content = path.read_bytes()
    end = segments_end(content)
    if 0 < end < len(content):
        whole = bytearray(content[:end])
        # No table of sections any more: its place, and the size and number of its entries.
        whole[40:48] = bytes(8)
        whole[58:64] = bytes(6)
        path.write_bytes(whole)


def libraries(root: Path) -> Iterator[Path]:
    return (path for path in sorted(root.rglob("*.so*")) if path.is_file() and not path.is_symlink())


def once(root: Path) -> None:
    """Wheels have no links: one library under three names is there three times."""
    for path in libraries(root):
        for other in sorted(path.parent.glob(f"{path.name}.*")):
            if not other.is_symlink() and filecmp.cmp(path, other, shallow=False):
                other.unlink()
                os.symlink(path.name, other)


def main() -> None:
    root = Path(sysconfig.get_paths()["platlib"])
    leave_out(root)
    for path in libraries(root):
        strip(path)
    once(root)


if __name__ == "__main__":
    main()
