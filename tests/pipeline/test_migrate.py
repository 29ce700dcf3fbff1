"""A root of an older format is refused, led to this version's, and nothing of it becomes due that was not."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.mini import environment, wxpipe
from tests.pipeline.test_plan import due, traces
from wxpipe.archive.ingest import Ingest
from wxpipe.config import FORMAT
from wxpipe.errors import RefusedError, UsageError
from wxpipe.pipeline.backfill import Job, run, scan
from wxpipe.pipeline.digest import root_digest
from wxpipe.pipeline.migrate import Migration, migrate
from wxpipe.pipeline.plan import Range
from wxpipe.pipeline.run import Workers
from wxpipe.pipeline.status import root_status
from wxpipe.store.root import SETTINGS, Root, put_document, read_document
from wxpipe.store.stage import Context

DATA = Path(__file__).with_name("data") / "format1.tar.gz"
"""Three days of a small satellite as version 0.1.0 left them, every stage done; the first and the third are as they
were. Since then a file of the second came late and one vanished, a fourth day came, and embedding the third failed."""
ALIKE = ("settings", "frames/", "histograms/", "clips/", "inventory/unparsed", "pairs", "models", "vectors", "lance/",
         "quarantine")  # fmt: skip
BEFORE = {
    "settings": "sha256:8c1cf82d788319f16cb8f2f1d87a61b1",
    "frames/mini-t": "sha256:714338408a48601817c2fb74a3a0813544bc1fcd566bf8c40147dfa4b696705d",
    "histograms/mini-t/4x8-exact": "sha256:0dafe17dedb7740016380f1b2ec4045197b74afd26ccda7ba7ac8354e0962592",
    "clips/mini-t": "sha256:6a6f615282a209efe6caa7eea9d996c3864155da9780ffd116b861758b233ade",
    "inventory/unparsed": "sha256:62017e0266de06530410b39b9f73310e449ccd1c57f4a473e11517d8ea51d911",
    "pairs": "sha256:ce9f4e61ccede1d63c4697f855e8e174f1240160273fc7360035c4237e9e59ae",
    "models": "sha256:c60ddbbf8b0f3ae66b5ad411c27fa34c",
    "vectors": "sha256:f8dc7fbce486b836ac440a8a23664070",
    "lance/clips-untrained-projection-c6ae85a71c2b": "sha256:dafaaaf9d68f171683367f9a4792347d",
    "lance/frames-untrained-projection-c6ae85a71c2b": "sha256:a69539028ee5078b4968295202995016",
    "quarantine": "sha256:af0aba49f7aa5761168976e12a995802",
}
"""What `wxpipe digest` of version 0.1.0 said of it, without the two parts that spell fingerprints and rows."""
DUE = {
    "ingest mini-t/2020-03-02": "stale",
    "ingest mini-t/2020-03-04": "missing",
    "embed mini-t/2020-03-03": "failed",
    "release default": "stale",
}
"""What `wxpipe plan` of version 0.1.0 said."""


@pytest.fixture
def unpacked(tmp_path: Path) -> Callable[[str], Path]:
    """(name) to a fresh copy of the old root, its archive and the satellite beside it."""

    def unpack(name: str) -> Path:
        with tarfile.open(DATA) as tar:
            tar.extractall(tmp_path / name, filter="data")
        return tmp_path / name / "format1" / "root"

    return unpack


@pytest.fixture
def old(unpacked: Callable[[str], Path]) -> Path:
    return unpacked("one")


def ledger(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted((root / "ledger").rglob("*.json"))}


def test_other_verbs_refuse_an_old_root_and_name_the_remedy(old: Path) -> None:
    before = traces(old)
    for verb in (("plan",), ("status",), ("backfill", "--archive", str(old.parent / "pictures"), "--direct")):
        status, said = wxpipe(*verb, "--root", str(old))
        assert status == 1
        assert f"has format 1, this version reads {FORMAT}" in said
        assert "wxpipe migrate --root" in said
    assert traces(old) == before


def test_what_was_done_stays_done_and_what_was_due_stays_due(old: Path) -> None:
    assert migrate(str(old)) == Migration(found=1, to=FORMAT, renamed=3, kept=1)  # two days and the scan; one day
    root = Root(str(old))
    assert due(root) == DUE
    parts = root_digest(root)["parts"]
    assert {name: digest for name, digest in parts.items() if name.startswith(ALIKE)} == BEFORE
    assert parts.keys() - BEFORE.keys() == {"inventory/mini-t", "ledger"}
    assert root_status(root)["reconciled"]


def test_nothing_but_fingerprints_is_rewritten(old: Path) -> None:
    before = {name: json.loads(data) for name, data in ledger(old).items()}
    migrate(str(old))
    after = {name: json.loads(data) for name, data in ledger(old).items()}
    assert after.keys() == before.keys()
    different = {}
    for name in after:
        known = {field: value for field, value in after[name].items() if field in before[name]}
        changed = {field for field in known if known[field] != before[name][field]}
        if changed:
            different[name] = changed
    assert different == {
        "ledger/ingest/mini-t/2020-03-01.json": {"fingerprint"},
        "ledger/ingest/mini-t/2020-03-03.json": {"fingerprint"},
        "ledger/scan/archive.json": {"output"},
    }


def test_a_run_over_the_migrated_root_does_what_was_due_and_a_scan_finds_nothing_new(old: Path) -> None:
    migrate(str(old))
    pictures, site = old.parent / "pictures", old.parent / "mini.toml"
    scanned = Root(str(old)).ledger.get("scan", "archive")
    assert scan(Job(str(old), str(pictures), str(site))).state == "done"
    again = Root(str(old)).ledger.get("scan", "archive")
    assert scanned is not None
    assert again is not None
    assert again.output == scanned.output
    assert due(Root(str(old))) == DUE
    report = run(Job(str(old), str(pictures), wanted=Range(stages=("ingest", "histograms", "clips"))), Workers())
    assert {f"{r.stage} {r.partition.key}" for r in report.results} == {
        "ingest mini-t/2020-03-02",
        "ingest mini-t/2020-03-04",
        "histograms mini-t/2020-03-02",
        "histograms mini-t/2020-03-04",
        *(f"clips mini-t/2020-03-0{day}" for day in (1, 2, 3, 4)),  # a clip may reach into the next day
    }
    assert not report.failed


def test_a_dry_run_says_the_same_and_writes_nothing(old: Path) -> None:
    before = traces(old)
    told = migrate(str(old), dry_run=True)
    assert traces(old) == before
    assert told == migrate(str(old))
    status, said = wxpipe("migrate", "--root", str(old), "--json")
    assert status == 0
    assert json.loads(said) == {"root": str(old), "dry_run": False, "found": FORMAT, "to": FORMAT, "renamed": 0,
                                "kept": 0}  # fmt: skip


def test_a_migrated_root_is_left_alone(old: Path) -> None:
    migrate(str(old))
    before = traces(old)
    assert migrate(str(old)) == Migration(found=FORMAT, to=FORMAT)
    assert traces(old) == before


@pytest.mark.parametrize("form", [0, FORMAT + 1, "1", None])
def test_a_format_that_is_not_known_is_refused(old: Path, form: object) -> None:
    objects = Root(str(old), form=1).objects
    document = {**read_document(objects), "format": form}
    put_document(objects, {name: value for name, value in document.items() if value is not None})
    before = traces(old)
    with pytest.raises(RefusedError, match=f"has format {form}; this version knows 1, {FORMAT}; use the version"):
        migrate(str(old))
    assert traces(old) == before


def test_where_there_is_no_root_nothing_is_made(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not a wxpipe root"):
        migrate(str(tmp_path / "nowhere"))
    assert not (tmp_path / "nowhere").exists()


KILLED = """
import os, shutil, sys
from pathlib import Path
from wxpipe.pipeline.migrate import migrate

source, folder = map(Path, sys.argv[1:])
for point in range(1, 1000):
    root = folder / str(point)
    shutil.copytree(source, root)
    process = os.fork()
    if process == 0:
        os.environ["WXPIPE_KILL_AT"] = f"{point}:{folder / f'token-{point}'}"
        migrate(str(root))
        os._exit(0)
    status = os.waitpid(process, 0)[1]
    assert status in (0, 9), status
    if status == 0:
        break
"""
"""Copies of a root, each with a migration that was killed at its own write point; the last ran to its end.

A process of its own, since this one has threads; there, none has begun when it forks.
"""


def test_killed_at_any_write_point_it_goes_on_from_there(old: Path, tmp_path: Path) -> None:
    folder, bare = tmp_path / "killed", tmp_path / "bare"
    for name in ("ledger", "inventory"):
        shutil.copytree(old / name, bare / name)
    shutil.copy(old / SETTINGS, bare / SETTINGS)
    folder.mkdir()
    subprocess.run([sys.executable, "-c", KILLED, str(bare), str(folder)], check=True, env=environment())
    roots = sorted((path for path in folder.iterdir() if path.is_dir()), key=lambda path: int(path.name))
    assert [form_of(root) for root in roots[-2:]] == [FORMAT, FORMAT]
    assert len(roots) > 3 * 3 + 3  # entries and settings are put and renamed; leases besides
    expected = (ledger(roots[-1]), (roots[-1] / SETTINGS).read_bytes())
    assert expected[0] != ledger(bare)
    for root in roots:
        if form_of(root) == FORMAT:
            assert ledger(root) == expected[0]  # the number comes last
        migrate(str(root))
        assert (ledger(root), (root / SETTINGS).read_bytes()) == expected, root.name


def form_of(root: Path) -> int:
    return int((root / SETTINGS).read_text().split("\n")[0].split(" = ")[1])


def test_a_run_that_writes_is_waited_for(old: Path) -> None:
    """Its lease is given back while the migration waits, and the day that it recorded is renamed with the others."""
    root = Root(str(old), form=1)
    lease = root.leases.try_acquire("mini-t/2020-03")
    assert lease is not None
    told: list[str] = []

    def tell(what: str) -> None:
        told.append(what)
        if what.startswith("waiting for mini-t/2020-03"):
            assert form_of(old) == 1
            root.leases.release(lease)

    assert migrate(str(old), tell=tell).renamed == 3
    assert told[0] == f"waiting for mini-t/2020-03, held by process {os.getpid()} on {os.uname().nodename}"


def test_the_new_form_is_that_of_the_stage(old: Path) -> None:
    migrate(str(old))
    root = Root(str(old))
    for step in (p for p in Ingest().partitions(Context(root)) if str(p.day) in ("2020-03-01", "2020-03-03")):
        entry = root.ledger.get("ingest", step.key)
        assert entry is not None
        assert entry.fingerprint == Ingest().fingerprint(step, Context(root))
