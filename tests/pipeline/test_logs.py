"""The log of a run: a line of JSON for everything that came to an end, from every process, and never a secret."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from tests.pipeline.fake_stage import SOURCE, context_of
from wxpipe.errors import WxpipeError
from wxpipe.pipeline import execute as runner
from wxpipe.pipeline.events import Result, tell
from wxpipe.pipeline.logs import log_work, logged, without_secrets
from wxpipe.pipeline.plan import Range
from wxpipe.pipeline.run import Workers, run_stage
from wxpipe.pipeline.runs import registered
from wxpipe.store.stage import Partition

PARTITION = Partition("coms-ea", date(2011, 3, 3))


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WXPIPE_LOG", str(tmp_path / "run.log"))
    return tmp_path / "run.log"


def lines(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.read_text().splitlines()]


@pytest.mark.usefixtures("fake_stages")
def test_each_partition_is_a_line_with_all_that_an_operator_filters_by(
    tmp_path: Path, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner.time, "sleep", lambda _: None)
    context = context_of(tmp_path, "ok", "refuses", "quarantines", "asks once")
    with registered(context.root, "backfill", {}) as number, logged():
        run_stage("fake", context, Range(), Workers())
    found = lines(log)
    ends = {line["day"]: line for line in found if line["event"] == "partition"}
    assert len(ends) == 4
    for line in ends.values():
        assert {"time", "level", "satellite", "source", "day", "stage", "state", "seconds", "run"} <= line.keys()
        assert (line["satellite"], line["source"], line["stage"], line["run"]) == ("fake", SOURCE, "fake", number)
    done, failed, aside, again = ends.values()
    assert (done["state"], done["level"]) == ("done", "INFO")
    assert done["seconds"] >= 0
    assert done["bytes_written"] > 0
    assert (failed["state"], failed["level"]) == ("failed", "ERROR")
    assert failed["error"] == "this day cannot be done: expected sun, found rain"
    assert aside["quarantined"] == {"truncated": 1}
    assert again["state"] == "done"
    (tried,) = [line for line in found if line["event"] == "again"]
    assert (tried["level"], tried["error"]) == ("WARNING", "the network was away")


@pytest.mark.usefixtures("fake_stages")
def test_a_bug_is_logged_with_its_trace_and_debug_has_beginnings(
    tmp_path: Path, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WXPIPE_LOG_LEVEL", "debug")
    with logged():
        run_stage("fake", context_of(tmp_path, "bug"), Range(), Workers())
    found = {line["event"]: line for line in lines(log)}
    assert list(found) == ["stage", "began", "partition"]
    assert "ZeroDivisionError" in found["partition"]["trace"]


def test_nothing_is_written_where_nobody_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WXPIPE_LOG", raising=False)
    monkeypatch.chdir(tmp_path)
    with logged():
        tell(Result("ingest", PARTITION, "done", {}))
    assert list(tmp_path.iterdir()) == []


def test_nested_within_itself_it_logs_once(log: Path) -> None:
    with logged(), logged():
        tell(Result("ingest", PARTITION, "done", {}))
    assert len(lines(log)) == 1


def test_a_log_that_cannot_be_written_is_refused_before_anything_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WXPIPE_LOG", str(tmp_path / "no" / "such" / "folder.log"))
    with pytest.raises(WxpipeError, match=r"WXPIPE_LOG=.*cannot be written"), logged():
        pytest.fail("it began")


def test_a_full_disk_loses_lines_and_says_so_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WXPIPE_LOG", "/dev/full")
    with logged():
        for _ in range(3):
            tell(Result("ingest", PARTITION, "done", {}))
    assert capsys.readouterr().err == "wxpipe: WXPIPE_LOG=/dev/full: No space left on device; lines are lost\n"


@pytest.mark.parametrize(
    "secret", ["hunter2-hunter2", 'with "quotes" and \\ backslash', "pass/word+with=signs", "geheim-Schlüssel-ä"]
)
def test_a_secret_of_the_environment_reaches_no_line(log: Path, monkeypatch: pytest.MonkeyPatch, secret: str) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)
    with logged():
        tell(Result("ingest", PARTITION, "failed", {}, error=f"denied: {secret}", trace=f"  key = {secret!r}"))
        log_work("again", "ingest", PARTITION, WxpipeError(f"signature of {secret} does not match"))
    text = log.read_text()
    assert secret not in text
    assert json.dumps(secret)[1:-1] not in text
    assert len(lines(log)) == 2, "each line is JSON still"
    assert all("***" in line["error"] for line in lines(log))


def test_users_and_passwords_of_urls_are_taken_out() -> None:
    text = "postgresql://wx:pa55@db:5432/prefect and s3://bucket/a@b and http://host/x"
    assert without_secrets(text) == "postgresql://***@db:5432/prefect and s3://bucket/a@b and http://host/x"


def test_lines_of_many_processes_and_threads_do_not_mingle(log: Path) -> None:
    code = (
        "from wxpipe.pipeline.logs import log_work; from wxpipe.store.stage import Partition\n"
        "for n in range(200): log_work('again', 'ingest', Partition('a-b'), ValueError('x' * 3000 + str(n)))"
    )
    processes = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(2)]
    threads = [
        threading.Thread(target=lambda: [log_work("again", "clips", PARTITION, ValueError("y")) for _ in range(100)])
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [process.wait() for process in processes] == [0, 0]
    assert len(lines(log)) == 2 * 200 + 2 * 100
