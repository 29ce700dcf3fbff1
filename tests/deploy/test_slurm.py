"""The Slurm example: dask-jobqueue makes worker jobs of its configuration, and the batch script starts what exists."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import dask
import pytest
import yaml

from tests.deploy.checks import DEPLOY, command_faults, dask_key_faults, environment_faults, told_faults

FOLDER = DEPLOY / "slurm"
CONFIG = yaml.safe_load((FOLDER / "jobqueue.yaml").read_text())
BATCH = (FOLDER / "wxpipe.sbatch").read_text()


def test_every_key_is_one_that_dask_or_dask_jobqueue_knows() -> None:
    import dask_jobqueue

    known = yaml.safe_load((Path(dask_jobqueue.__file__).parent / "jobqueue.yaml").read_text())["jobqueue"]["slurm"]
    assert CONFIG["jobqueue"]["slurm"].keys() <= known.keys()
    inner = [f"distributed.{room}.{key}" for room, keys in CONFIG["distributed"].items() for key in keys]
    assert dask_key_faults(inner) == []


def test_a_worker_job_is_what_it_says() -> None:
    from dask_jobqueue.slurm import SLURMJob

    with dask.config.set(dask.config.merge(dask.config.config, CONFIG)):  # as DASK_CONFIG does
        script = SLURMJob("tcp://10.0.0.1:8786", name="worker", config_name="slurm").job_script()
    directives = dict(re.findall(r"#SBATCH (-\S+?)[ =](\S+)", script))
    assert (directives["-p"], directives["-t"], directives["--mem"]) == ("compute", "12:00:00", "32G")
    assert directives["--cpus-per-task"] == "8"
    worker = script.strip().splitlines()[-1]
    assert "-m distributed.cli.dask_worker tcp://10.0.0.1:8786" in worker
    options = worker.split("distributed.cli.dask_worker ")[1].split()
    assert command_faults(["dask", "worker", *options]) == []
    assert {"--nworkers", "8", "4.00GiB", "--lifetime=11h30m"} <= set(options)
    exported = dict(re.findall(r"^export (\w+)=(\S+)", script, re.MULTILINE))
    assert environment_faults(exported) == []
    assert exported["DASK_DISTRIBUTED__WORKER__MULTIPROCESSING_METHOD"] == "spawn"


def test_the_batch_script_is_a_script_that_starts_what_exists() -> None:
    file = FOLDER / "wxpipe.sbatch"
    subprocess.run(["bash", "-n", str(file)], check=True)
    for path in re.findall(r"\$here/([\w.]+)", BATCH):
        assert (FOLDER / path).exists(), path
    (backfill,) = re.findall(r"^wxpipe (backfill .*?) &$", BATCH, re.MULTILINE)
    assert told_faults(f"wxpipe {backfill}") == []
    assert told_faults(BATCH) == []
    exported = re.findall(r"(\w+)=", re.findall(r"^export (.*)$", BATCH, re.MULTILINE)[0])
    assert environment_faults(dict.fromkeys(exported)) == []


@pytest.mark.parametrize(("code", "expected"), [(0, 0), (3, 3)])
def test_the_batch_script_ends_as_the_runner_ends(code: int, expected: int, tmp_path: Path) -> None:
    """With stand-ins for Slurm's cluster and the runner: the address goes from one to the other."""
    programs = tmp_path / "bin"
    programs.mkdir()
    _program(programs / "python", 'while [ $# -gt 0 ]; do case $1 in --address-file) echo tcp://x:1 > "$2";; esac; shift; done; exec sleep 60')  # fmt: skip  # noqa: E501
    _program(programs / "wxpipe", f'echo "$@" > "{tmp_path}/said"; exit {code}')
    ran = _run_batch(tmp_path, programs).wait(timeout=60)
    assert ran == expected
    assert (tmp_path / "said").read_text().split() == (
        ["backfill", "--archive", "/a", "--root", "/r", "--direct", "--scheduler", "tcp://x:1"]
    )
    assert not list(tmp_path.glob("*.address")), "the address of a cluster that is gone was left there"


def test_a_cluster_that_does_not_start_ends_the_batch_script(tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    _program(programs / "python", "exit 1")
    _program(programs / "wxpipe", "exit 0")
    assert _run_batch(tmp_path, programs).wait(timeout=60) == 1


def test_a_batch_job_that_slurm_ends_stops_its_runner(tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    _program(programs / "python", 'while [ $# -gt 0 ]; do case $1 in --address-file) echo tcp://x:1 > "$2";; esac; shift; done; exec sleep 60')  # fmt: skip  # noqa: E501
    stand_in = f"import signal, sys, pathlib; signal.signal(signal.SIGINT, lambda *_: sys.exit(130)); pathlib.Path({str(tmp_path / 'said')!r}).touch(); signal.pause()"  # noqa: E501
    _program(programs / "wxpipe", f'exec "{sys.executable}" -c "{stand_in}"')
    batch = _run_batch(tmp_path, programs)
    while not (tmp_path / "said").exists():
        assert batch.poll() is None
        time.sleep(0.05)
    batch.send_signal(signal.SIGTERM)
    assert batch.wait(timeout=30) != 0


def _program(file: Path, body: str) -> None:
    file.write_text(f"#!/usr/bin/env bash\n{body}\n")
    file.chmod(0o755)


def _run_batch(folder: Path, programs: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        ["bash", str(FOLDER / "wxpipe.sbatch")],
        cwd=folder,
        env={
            "PATH": f"{programs}:{os.environ['PATH']}",
            "SLURM_SUBMIT_DIR": str(DEPLOY.parent),
            "WXPIPE_ARCHIVE": "/a",
            "WXPIPE_ROOT": "/r",
        },
    )
