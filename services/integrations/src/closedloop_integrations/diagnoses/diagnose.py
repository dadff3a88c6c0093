"""A data set diagnosed, in a process of its own: what takes a minute of one core delays nobody else.

`python -m closedloop_integrations.diagnoses.diagnose` reads the rules (one line of JSON) and a DiagnoseDatasetRequest,
and writes a Diagnosis; a refusal is JSON, and the process ends with 3.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time

from closedloop.common.v1.common_pb2 import Light
from closedloop.integrations.v1 import diagnoses_pb2 as pb
from closedloop.platform.v1.metrics_pb2 import DataFinding
from closedloop_chassis import errors
from closedloop_chassis.enums import number
from closedloop_integrations import spreadsheets
from closedloop_integrations.diagnoses import findings, references, tables
from closedloop_integrations.diagnoses.rules import DiagnosisRules
from closedloop_integrations.diagnoses.spelling import Speller

REFUSED = 3


def diagnose(request: pb.DiagnoseDatasetRequest, rules: DiagnosisRules) -> pb.Diagnosis:
    """Raises InvalidArgument FILE_NOT_RECOGNISED, FILE_TOO_LARGE, FILE_UNSAFE, NO_DATA, TABLE_TWICE."""
    begun = time.monotonic()
    names = [given.table for given in request.tables]
    if len(set(names)) < len(names):
        raise errors.InvalidArgument("TABLE_TWICE", "two tables of one name", {"tables": "two tables of one name"})
    read = [tables.read(given.table, given.content, rules) for given in request.tables]
    if sum(table.rows * len(table.columns) for table in read) > rules.most_cells:
        raise spreadsheets.too_large(f"more than {rules.most_cells} cells")
    if not any(table.rows for table in read):
        raise errors.InvalidArgument("NO_DATA", "no table has a row below its heading", {"tables": "no rows"})
    pointing = references.understand(read, rules)
    found = findings.all_of(read, pointing, Speller(rules), rules)
    diagnosis = pb.Diagnosis(
        tables=[_table(table) for table in read],
        findings=[_finding(each, rules) for each in found[: rules.most_findings]],
        score=findings.score(found, rules),
        references=[
            pb.DiagnosedReference(
                from_table=each.table.name,
                from_column=each.column.name,
                to_table=each.target.name,
                to_column=each.key.name,
                found_ratio=each.found,
            )
            for each in pointing
        ],
    )
    diagnosis.elapsed.FromMilliseconds(int((time.monotonic() - begun) * 1000))
    return diagnosis


def _table(table: tables.Table) -> pb.DiagnosedTable:
    return pb.DiagnosedTable(
        table=table.name,
        rows=table.rows,
        encoding=table.encoding,
        record_type=table.record_type,
        columns=[
            pb.DiagnosedColumn(
                name=column.name,
                type=column.type,
                fill_ratio=column.filled / table.rows if table.rows else 0.0,
                distinct=len(column.counts),
            )
            for column in table.columns
        ],
    )


def _finding(found: findings.Finding, rules: DiagnosisRules) -> DataFinding:
    return DataFinding(
        kind=found.kind,
        light=number(Light, rules.light(found.count, found.examined)),
        record_type=found.table,
        field=found.field,
        count=found.count,
        examined=found.examined,
        text=found.text,
        suggestion=found.suggestion,
        examples=[example[:200] for example in found.examples[: rules.longest_examples]],
    )


def main() -> int:
    os.nice(10)
    rules = DiagnosisRules.model_validate_json(sys.stdin.buffer.readline())
    resource.setrlimit(resource.RLIMIT_AS, (rules.most_memory_bytes, rules.most_memory_bytes))
    try:
        diagnosis = diagnose(pb.DiagnoseDatasetRequest.FromString(sys.stdin.buffer.read()), rules)
    except MemoryError:
        sys.stdout.write(
            json.dumps({"reason": "FILE_TOO_LARGE", "message": "more than memory allows", "violations": {}})
        )
        return REFUSED
    except errors.InvalidArgument as error:
        refusal = {"reason": error.reason, "message": error.message, "violations": error.violations}
        sys.stdout.write(json.dumps(refusal))
        return REFUSED
    sys.stdout.buffer.write(diagnosis.SerializeToString())
    return 0


if __name__ == "__main__":
    sys.exit(main())
