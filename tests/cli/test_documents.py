"""What verbs print for programs: the fields and types that others rely on; and the exit codes."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import CommandLine
from tests.mini import SOURCE, Archive, Undisturbed, backfill
from wxpipe.store.ledger import Entry
from wxpipe.store.quarantine import Record
from wxpipe.store.root import Root

REASONS = {"done": int, "stale": int, "missing": int, "failed": int}


def check_shape(found: Any, shape: Any, where: str = "") -> None:
    """A document has at least these fields, of these types; a one-item list stands for every item."""
    if isinstance(shape, dict):
        assert isinstance(found, dict), where
        for name, inner in shape.items():
            assert name in found, f"{where}.{name} is missing"
            check_shape(found[name], inner, f"{where}.{name}")
    elif isinstance(shape, list):
        assert isinstance(found, list), where
        assert found, f"{where} is empty"
        for item in found:
            check_shape(item, shape[0], f"{where}[]")
    else:
        assert isinstance(found, shape), f"{where} is {found!r}"
        assert shape is bool or not isinstance(found, bool), where


@pytest.fixture
def root(first_run: Undisturbed, tmp_path: Path) -> Root:
    shutil.copytree(first_run.root, tmp_path / "root")
    return Root(str(tmp_path / "root"))


def test_status(cli: CommandLine, first_run: Undisturbed) -> None:
    said = cli("status", "--root", first_run.root, "--json")
    assert said.code == 0
    source = {
        "days": int,
        "slots": {"good": int, "missing": int},
        "pictures": {"good": int, "missing": int, "quarantined": int, "suspect": int},
        "clips": int,
        "stages": {"ingest": REASONS, "histograms": REASONS, "clips": REASONS, "embed": REASONS},
    }
    shape = {"root": str, "sources": {SOURCE: source}, "release": int, "reconciled": bool}
    check_shape(said.document, shape)
    found = said.document["sources"][SOURCE]
    assert found["days"] == 2
    assert found["slots"] == {"good": 191, "missing": 1}
    assert found["pictures"]["good"] == 382
    assert found["pictures"]["missing"] == 2
    assert found["stages"]["ingest"] == {"done": 2, "stale": 0, "missing": 0, "failed": 0}
    assert (said.document["release"], said.document["reconciled"]) == (1, True)


def test_plan(cli: CommandLine, root: Root) -> None:
    root.ledger.put(Entry("release", "default", "failed", "", error="a fault"))
    said = cli("plan", "--root", root.url, "--json")
    assert said.code == 0
    step = {"stage": str, "partition": str, "reason": str}
    check_shape(said.document, {"root": str, "counts": {"ingest": REASONS}, "work": [step]})
    assert said.document["work"] == [{"stage": "release", "partition": "default", "reason": "failed", "why": "a fault"}]


def test_digest(cli: CommandLine, first_run: Undisturbed) -> None:
    said = cli("digest", "--root", first_run.root, "--json")
    assert said.code == 0
    assert said.document["parts"] == first_run.digest
    assert all(value.startswith("sha256:") for value in (said.document["digest"], *said.document["parts"].values()))
    assert f"frames/{SOURCE}" in said.document["parts"]
    plain = cli("digest", "--root", first_run.root)
    assert plain.out.splitlines()[-1] == said.document["digest"]


def test_search(cli: CommandLine, first_run: Undisturbed) -> None:
    at = ("search", "--root", first_run.root, "--satellite", "mini", "--at", "2020-03-01T03:00Z")
    said = cli(*at, "--exclude-hours", "6", "--k", "3", "--json")
    assert said.code == 0
    analog = {"rank": int, "clip_id": str, "start": str, "end": str, "distance": float, "similarity": float,
              "episode": [str]}  # fmt: skip
    shape = {"query": {"clip_id": str, "start": str, "end": str}, "release": int, "model": str, "trained": bool,
             "index": str, "excluded_hours": (int, float), "analogs": [analog]}  # fmt: skip
    check_shape(said.document, shape)
    assert said.document["query"]["clip_id"] == f"{SOURCE}/20200301T0300Z/6h20"
    assert [a["rank"] for a in said.document["analogs"]] == list(range(1, len(said.document["analogs"]) + 1))
    assert said.document["excluded_hours"] == 6
    assert not said.document["trained"]
    assert said.document["quality"].keys() >= {"percentile", "good"}


def test_validate_accounts_for_everything(cli: CommandLine, first_run: Undisturbed) -> None:
    said = cli("validate", "--root", first_run.root, "--json")
    assert said.code == 0
    assert said.document.items() >= {"reconciled": True, "differences": [], "quarantined": 0, "findings": []}.items()


def test_validate_names_a_difference_and_exits_with_three(cli: CommandLine, root: Root) -> None:
    entry = root.ledger.get("histograms", f"{SOURCE}/2020-03-01")
    assert entry is not None
    root.ledger.put(Entry(**{**vars(entry), "counts": {"pictures": 7}}))
    said = cli("validate", "--root", root.url, "--json")
    assert said.code == 3
    check_shape(said.document, {"reconciled": bool, "differences": [str], "quarantined": int})
    assert not said.document["reconciled"]
    assert f"histograms {SOURCE}/2020-03-01" in said.document["differences"][0]
    assert "found 7 pictures" in said.document["differences"][0]


def test_a_file_in_quarantine_is_exit_code_three(cli: CommandLine, root: Root, two_days: Archive) -> None:
    """Of a backfill, too, that has nothing to do: it stays in sight until it is mended."""
    root.quarantine.replace("ingest", SOURCE, date(2020, 3, 1), [Record("x.png", "truncated", "a whole file", "half")])
    assert cli("validate", "--root", root.url).code == 3
    said = cli(*backfill(two_days, Path(root.url)))
    assert said.code == 3
    assert "nothing to do" in said.words
    assert "1 files in quarantine" in said.words


def test_a_second_backfill_does_nothing_and_says_so(cli: CommandLine, root: Root, two_days: Archive) -> None:
    listing = ("leases/", "ledger/scan", "listings/")  # the archive was listed again, and that is on record

    def content() -> dict[str, str]:
        return {info.key: info.version for info in root.objects.walk() if not info.key.startswith(listing)}

    before = content()
    said = cli(*backfill(two_days, Path(root.url)))
    assert said.code == 0
    assert "nothing to do: all 11 partitions are done" in said.words
    assert content() == before


def test_a_stage_that_fails_is_exit_code_one(cli: CommandLine, root: Root, two_days: Archive) -> None:
    """A shard was cut short on the disk: said in words, without a trace, and the day is held open."""
    day = f"{SOURCE}/2020-03-02"
    root.objects.delete(f"ledger/histograms/{day}.json")
    root.objects.delete(f"counted/{day}.parquet")  # else nothing has to be counted, and nobody looks at the picture
    shard = Path(root.url) / f"frames/{SOURCE}.zarr/picture/c/61/0/0/0"
    shard.write_bytes(shard.read_bytes()[:10_000])
    said = cli(*backfill(two_days, Path(root.url)))
    assert said.code == 1
    assert f"failed histograms {day}" in said.words
    assert "damaged where it lies" in said.words
    assert "Traceback" not in said.err
    again = cli("plan", "--root", root.url, "--json")
    assert ("histograms", day, "failed") in [(s["stage"], s["partition"], s["reason"]) for s in again.document["work"]]


def test_words_for_people(cli: CommandLine, first_run: Undisturbed) -> None:
    status = cli("status", "--root", first_run.root)
    assert status.code == 0
    assert SOURCE in status.out
    assert "release 1" in status.out
    plan = cli("plan", "--root", first_run.root)
    assert (plan.code, plan.out) == (0, "")
    assert "histograms" in plan.err
    releases = cli("release", "list", "--root", first_run.root)
    assert releases.code == 0
    assert "yes" in releases.out
    sql = cli("sql", "--root", first_run.root, "SELECT count(*) AS n FROM clips", "--format", "json")
    assert sql.code == 0
    assert sql.document == [
        {"n": sum(e.counts["clips"] for e in Root(str(first_run.root)).ledger.entries("clips").values())}
    ]
