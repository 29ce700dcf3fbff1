"""The README's questions in SQL can be asked as they stand there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.vectors.tiny_root import SOURCE, TinyRoot
from wxpipe.vectors.sql import run_sql

README = Path(__file__).parents[2] / "README.md"
QUERIES = [
    query.strip()
    for block in re.findall(r"^```sql\n(.*?)^```", README.read_text(), re.DOTALL | re.MULTILINE)
    for query in block.split("\n\n")
]


def test_there_are_examples() -> None:
    assert len(QUERIES) >= 4


@pytest.mark.parametrize("query", QUERIES, ids=[query.splitlines()[0] for query in QUERIES])
def test_an_example_answers(served: TinyRoot, query: str) -> None:
    """Over a small root: its one source takes the place of the README's."""
    assert len(run_sql(served.root, query.replace("coms-ea", SOURCE))) > 0
