"""How a flow's end becomes an exit code; the flow itself is played."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from wxpipe.cli.prefect import run_flow
from wxpipe.errors import WxpipeError
from wxpipe.pipeline.backfill import Job
from wxpipe.pipeline.events import Result, tell
from wxpipe.pipeline.plan import Range
from wxpipe.store.root import init_root
from wxpipe.store.stage import Partition

DAY = Partition("", name="a thing")


@dataclass(frozen=True)
class State:
    """How a flow run ended."""

    name: str
    returned: dict[str, int]
    message: str = ""

    def is_completed(self) -> bool:
        return self.name == "Completed"

    def result(self) -> dict[str, int]:
        return self.returned


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """(state, results) to the report of a run whose flow tells of these results and ends so."""
    import flows.backfill

    job = Job(init_root(str(tmp_path / "root")).url, "archive", wanted=Range(stages=("ingest",)), options={"a": 1})
    seen: dict[str, Any] = {}

    def played(state: State, results: Sequence[Result] = ()) -> Any:
        def flow(**parameters: Any) -> State:
            seen.update(parameters)
            for result in results:
                tell(result)
            return state

        monkeypatch.setattr(flows.backfill, "backfill", flow)
        report = run_flow(job, "tcp://somewhere", 3)
        assert (seen["root"], seen["archive"], seen["stages"]) == (job.root, "archive", ["ingest"])
        assert (seen["scheduler"], seen["workers"], seen["options"]) == ("tcp://somewhere", 3, {"a": 1})
        return report

    return played


def test_a_flow_that_completed_is_clean_and_tells_what_it_promoted(play: Any) -> None:
    report = play(State("Completed", {"promoted": 4}), [Result("ingest", DAY, "done", {})])
    assert (report.exit_code, report.promoted, len(report.results)) == (0, 4, 1)
    assert play(State("Completed", {"promoted": 0})).promoted is None


def test_a_flow_whose_partitions_failed_reports_them(play: Any) -> None:
    failed = Result("ingest", DAY, "failed", {}, error="no")
    report = play(State("Failed", {}, "1 of 1 partitions failed"), [failed])
    assert (report.exit_code, report.failed) == (1, (failed,))


def test_a_flow_that_failed_for_another_reason_says_which(play: Any) -> None:
    with pytest.raises(WxpipeError, match="Crashed: the server went away"):
        play(State("Crashed", {}, "the server went away"))
