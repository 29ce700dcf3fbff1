"""The process that runs SQL: DuckDB in memory over copies of what it is sent, and nothing else within reach.

A query can ask for any amount of memory, and there are functions that do not hear an interrupt (`levenshtein` of long
texts). So hostile text never enters the process of a service or a command: it is parsed, planned and run here, by
``python -m wxpipe.vectors.sql_engine FD``, which may be killed at any time (`sql_link` does).

Requests and replies are JSON over a socket; tables and rows follow as Arrow IPC messages, each batch a message of its
own, an empty message after the last.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

SETTINGS = {
    "enable_external_access": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    "python_enable_replacements": "false",
    "temp_directory": "",
}
KEPT_OPTIMIZERS = frozenset({"unused_columns", "cte_inlining", "unnest_rewriter"})
"""What a plan is made with that says which columns a query reads: what looks at rows or statistics would be misled,
for the tables are still empty then."""
OTHER_SCANS = frozenset(
    {"CTE_SCAN", "REC_CTE_SCAN", "REC_REC_CTE_SCAN", "COLUMN_DATA_SCAN", "DELIM_SCAN", "DUMMY_SCAN", "POSITIONAL_SCAN"}
)
"""Operators that read what others have made, or nothing."""
ROWS_AT_ONCE = 2_048
OVER_MEMORY, OVER_BYTES = 1.5, 512 << 20
"""Address space beside DuckDB's own limit: for what is on its way, and where its accounting misses something."""


class Session:
    """One query: its database, and the steps that it goes through in order."""

    def __init__(self, link: Connection, memory: int) -> None:
        import duckdb

        self.link = link
        self.database = duckdb.connect(":memory:", config={**SETTINGS, "memory_limit": f"{memory}B"})
        self.database.execute("SET TimeZone = 'UTC'")
        self.database.execute("CREATE SCHEMA taken")

    def parse(self, query: str) -> dict[str, Any]:
        """Kinds of its statements; the syntax tree, as JSON text, where it is one that has one."""
        kinds = [statement.type.name for statement in self.database.extract_statements(query)]
        return {"kinds": kinds, "tree": self._one("SELECT json_serialize_sql(?::VARCHAR)", query)}

    def spell(self, tree: str) -> dict[str, Any]:
        """A tree as SQL again."""
        return {"query": self._one("SELECT json_deserialize_sql(?::JSON)", tree)}

    def table(self, name: str, definition: str = "") -> dict[str, Any]:
        """Takes a table whole, or its columns alone where no rows follow; ``definition`` says how, of ``loaded``."""
        self.database.register("loaded", self._arriving())
        self.database.execute(f'CREATE TABLE "{name}" AS {definition or "FROM loaded"}')
        self.database.unregister("loaded")
        return {"rows": self._one(f'SELECT count(*) FROM "{name}"')}

    def fill(self, name: str) -> dict[str, Any]:
        """Takes the rows of a table whose columns are here already; a column that does not come reads as NULL."""
        self.database.register("loaded", self._arriving())
        self.database.execute(f'CREATE TABLE taken."{name}" AS FROM loaded')
        self.database.unregister("loaded")
        come = {row[0] for row in self.database.execute(f'DESCRIBE taken."{name}"').fetchall()}
        columns = [
            f'"{column}"' if column in come else f'NULL::{kind} AS "{column}"'
            for column, kind, *_ in self.database.execute(f'DESCRIBE "{name}"').fetchall()
        ]
        self.database.execute(f'DROP TABLE "{name}"')
        self.database.execute(f'CREATE VIEW "{name}" AS SELECT {", ".join(columns)} FROM taken."{name}"')
        return {"rows": self._one(f'SELECT count(*) FROM taken."{name}"')}

    def plan(self, query: str) -> dict[str, Any]:
        """The columns that a query reads, by table; a table that it does not read is not there."""
        every = [row[0] for row in self.database.execute("SELECT name FROM duckdb_optimizers()").fetchall()]
        off = ",".join(name for name in every if name not in KEPT_OPTIMIZERS)
        self.database.execute(f"SET disabled_optimizers = '{off}'")
        tree = json.loads(self.database.execute(f"EXPLAIN (FORMAT json) {query}").fetchall()[0][1])
        self.database.execute("RESET disabled_optimizers")
        scans: dict[str, set[str]] = {}
        for operator in _operators(tree):
            _add_scan(operator, scans)
        return {"scans": {table: sorted(columns) for table, columns in scans.items()}}

    def explain(self, query: str) -> dict[str, Any]:
        self.database.execute("SET lock_configuration = true")
        return {"plan": self._one(f"EXPLAIN {query}", place=1)}

    def run(self, query: str, rows: int, answer_bytes: int, seconds: float) -> dict[str, Any]:
        """Sends the schema and the batches of the answer, then how it went."""
        self.database.execute("SET lock_configuration = true")
        with self._interrupted_after(seconds):
            reader = self.database.sql(query).to_arrow_reader(ROWS_AT_ONCE)
            self.link.send_bytes(reader.schema.serialize().to_pybytes())
            sent = size = 0
            for batch in reader:
                sent, size = sent + batch.num_rows, size + batch.nbytes
                if sent > rows or size > answer_bytes:
                    return {"error": "rows" if sent > rows else "answer"}
                self.link.send_bytes(batch.serialize().to_pybytes())
        return {"rows": sent}

    @contextmanager
    def _interrupted_after(self, seconds: float) -> Iterator[None]:
        timer = threading.Timer(seconds, self.database.interrupt)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _arriving(self) -> Any:
        import pyarrow as pa

        schema = pa.ipc.read_schema(pa.py_buffer(self.link.recv_bytes()))

        def batches() -> Iterator[Any]:
            while message := self.link.recv_bytes():
                yield pa.ipc.read_record_batch(pa.py_buffer(message), schema)

        return pa.RecordBatchReader.from_batches(schema, batches())

    def _one(self, query: str, *values: str, place: int = 0) -> Any:
        return self.database.execute(query, list(values)).fetchall()[0][place]


def serve(link: Connection) -> None:
    """Answers requests, a session after the other, until the other end is gone."""
    session: Session | None = None
    while True:
        try:
            request = json.loads(link.recv_bytes())
        except (EOFError, OSError):
            return
        step = request.pop("step")
        if step == "begin":
            if session is not None:
                session.database.close()
            session = _told(partial(Session, link, **request), link)
        elif session is not None:
            _told(partial(getattr(session, step), **request), link)


def _told(work: Callable[[], Any], link: Connection) -> Any:
    """Does a step, and replies with what came of it; an empty message ends whatever rows went before."""
    import duckdb

    result: Any = None
    try:
        result = work()
        reply = result if isinstance(result, dict) else {}
    except duckdb.InterruptException:
        reply = {"error": "seconds"}
    except (duckdb.OutOfMemoryException, MemoryError) as error:
        reply = {"error": "memory", "text": str(error)}
    except (duckdb.Error, OSError, RuntimeError, ValueError) as error:
        # What ends while its rows are read comes as an error of Arrow that repeats DuckDB's words.
        text = str(error)
        kind = "seconds" if "INTERRUPT Error" in text else "memory" if "Out of Memory" in text else "query"
        reply = {"error": kind, "text": text}
    link.send_bytes(b"")
    link.send_bytes(json.dumps(reply).encode())
    return result


def _add_scan(operator: dict[str, Any], scans: dict[str, set[str]]) -> None:
    """Notes the columns that an operator of the plan reads of a table.

    Raises:
        ValueError: it reads what it does not name: a table taken for unread would answer as if it were empty.
    """
    about, name = operator.get("extra_info", {}), operator.get("name", "").strip()
    if not name.endswith("SCAN") or name in OTHER_SCANS:
        return
    if "Table" not in about or "Projections" not in about:
        raise ValueError(f"the plan has an operator {name} that does not say what it reads: {about}")
    columns = about["Projections"]
    table = str(about["Table"]).rsplit(".", 1)[-1].strip('"')
    scans.setdefault(table, set()).update([columns] if isinstance(columns, str) and columns else columns)


def _operators(nodes: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for node in nodes:
        yield node
        yield from _operators(node.get("children", []))


def _limit_memory(memory: int) -> None:
    """The last wall, where the system has one (Linux): memory beyond it is refused to this process alone."""
    import resource

    try:
        with open("/proc/self/status") as status:
            now = next(int(line.split()[1]) << 10 for line in status if line.startswith("VmData"))
        with open("/proc/self/oom_score_adj", "w") as score:  # and if memory runs out, it is this one that goes
            score.write("1000")
        most = now + int(memory * OVER_MEMORY) + OVER_BYTES
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    except (OSError, StopIteration, ValueError):
        return


def _end_with(parent: int) -> None:
    """A query that nobody waits for any more ends with whoever asked for it."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def main() -> None:
    descriptor, memory = int(sys.argv[1]), int(sys.argv[2])
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    import duckdb  # noqa: F401 - before the limit is drawn
    import pyarrow  # noqa: F401

    _limit_memory(memory)
    serve(Connection(descriptor))


if __name__ == "__main__":
    main()
