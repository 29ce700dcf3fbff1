"""The case book as tables, for SQL: a row a case, a row a verdict."""

from __future__ import annotations

import json
from datetime import datetime

import pyarrow as pa

from wxpipe.store.root import Root
from wxpipe.vectors.cases import list_cases, list_verdicts, standing

_MOMENT = pa.timestamp("us", "UTC")
CASES = pa.schema(
    [("number", pa.int64()), ("name", pa.string()), ("notes", pa.string()), ("who", pa.string()), ("added", _MOMENT),
     ("query", pa.string()), ("request", pa.string()), ("release", pa.int64()), ("model", pa.string()),
     ("analogs", pa.list_(pa.string()))]
)  # fmt: skip
VERDICTS = pa.schema(
    [("case_number", pa.int64()), ("number", pa.int64()), ("analog", pa.string()), ("useful", pa.bool_()),
     ("note", pa.string()), ("who", pa.string()), ("given", _MOMENT), ("release", pa.int64()),
     ("standing", pa.bool_())]
)  # fmt: skip


def cases_table(root: Root) -> pa.Table:
    """The cases that are shown; ``request`` is JSON, ``analogs`` are ids by rank."""
    rows = [
        {
            **{name: getattr(case, name) for name in ("number", "name", "notes", "who", "query", "release", "model")},
            "added": datetime.fromisoformat(case.when),
            "request": json.dumps(dict(case.request), ensure_ascii=False),
            "analogs": [analog.id for analog in case.analogs],
        }
        for case in list_cases(root)
    ]
    return pa.Table.from_pylist(rows, schema=CASES)


def verdicts_table(root: Root) -> pa.Table:
    """Every verdict on the cases that are shown; ``standing``: its person has not changed it since."""
    verdicts = list_verdicts(root)
    last = {(one.case, one.number) for one in standing(verdicts)}
    rows = [
        {
            **{name: getattr(one, name) for name in ("number", "analog", "useful", "note", "who", "release")},
            "case_number": one.case,
            "given": datetime.fromisoformat(one.when),
            "standing": (one.case, one.number) in last,
        }
        for one in verdicts
    ]
    return pa.Table.from_pylist(rows, schema=VERDICTS)
