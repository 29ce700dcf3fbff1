"""Every verb explains itself, at once: what is heavy is imported where it is used."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.cli.conftest import CommandLine
from tests.mini import Archive, Undisturbed, backfill, environment

HEAVY = ("torch", "prefect", "dask", "distributed", "lancedb", "lance", "zarr", "pyarrow", "numba", "duckdb", "xarray",
         "matplotlib", "cv2", "numpy")  # fmt: skip
VERBS = (
    ("backfill",), ("scan",), ("plan",), ("status",), ("validate",), ("digest",), ("search",), ("serve",),
    ("similarity",), ("sql",), ("train",), ("embed",), ("evaluate",), ("synth",), ("pairs",), ("pairs", "build"),
    ("pairs", "export"), ("release",), ("release", "build"), ("release", "promote"), ("release", "rollback"),
    ("release", "list"), ("release", "maintain"), ("events",), ("events", "import"), ("events", "list"),
    ("events", "remove"), ("cases",), ("cases", "add"), ("cases", "list"), ("cases", "show"), ("cases", "verdict"),
    ("cases", "remove"), ("graph",), ("graph", "build"), ("graph", "update"), ("graph", "stats"), ("graph", "search"),
)  # fmt: skip


def imported(*arguments: str) -> set[str]:
    """The heavy libraries that a process has imported when a command ends; the command must end well."""
    program = (
        "import sys\n"
        "from wxpipe.cli import main\n"
        "try:\n    main()\n"
        "except SystemExit as end:\n    code = end.code or 0\n"
        f"sys.stderr.write('\\n' + ' '.join(n for n in {HEAVY!r} if n in sys.modules) + f'\\n{{code}}')\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program, *arguments], env=environment(), capture_output=True, text=True, check=True
    )
    *_, names, code = ended.stderr.split("\n")
    assert code == "0", ended.stderr
    return set(names.split())


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_a_verb_explains_itself(verb: tuple[str, ...], cli: CommandLine) -> None:
    said = cli(*verb, "--help")
    assert said.code == 0
    assert f"wxpipe {' '.join(verb)}" in said.out
    assert cli(*verb, "-h").out == said.out


def test_all_verbs_are_listed(cli: CommandLine) -> None:
    said = cli("--help")
    assert said.code == 0
    for verb in VERBS:
        assert f" {verb[0]} " in said.out


@pytest.mark.parametrize("arguments", [("--help",), ("backfill", "--help"), ("search", "--help")], ids=" ".join)
def test_help_imports_nothing_heavy(arguments: tuple[str, ...]) -> None:
    """Under half a second, said as what takes the time: a clock would measure the machine."""
    assert imported(*arguments) == set()


def test_a_backfill_with_nothing_to_do_starts_neither_prefect_nor_dask_nor_torch(
    two_days: Archive, first_run: Undisturbed
) -> None:
    found = imported(*backfill(two_days, first_run.root)[:-1])
    assert found.isdisjoint({"torch", "prefect", "dask", "distributed", "lancedb", "lance"}), found
