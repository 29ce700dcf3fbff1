"""A scan lists what is there by name alone, whatever the folders, and changes nothing that has not changed."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.archive.trial import STAGES, Trial
from wxpipe.archive.inventory import inventory_of
from wxpipe.archive.scan import Scan, known_satellites
from wxpipe.archive.synthetic.source import satellite_toml
from wxpipe.errors import RefusedError
from wxpipe.pipeline.backfill import Job, check_range, scan
from wxpipe.pipeline.plan import Range
from wxpipe.pipeline.status import root_status
from wxpipe.satellites.catalog import shipped_satellites
from wxpipe.satellites.satellite import Area, Satellite
from wxpipe.store.root import Root, init_root
from wxpipe.store.stage import Context, Outcome, Partition

COMS = shipped_satellites()["coms"]
NAMES = [
    f"coms_mi_le1b_{channel}_ea040ps_{time}.png"
    for channel in COMS.channels
    for time in ("201103030645", "201103030700")
]


def touch(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"never opened")


def scanned(root: Path, archive: Path, site: Path | str = "") -> dict[str, int]:
    result = scan(Job(str(root), str(archive), str(site)))
    assert result.state == "done", result.error
    return result.counts


def written(folder: Path) -> dict[str, int]:
    """When each file below a folder was written."""
    return {str(p.relative_to(folder)): p.stat().st_mtime_ns for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize(
    "layout",
    ["", "{month}/{day}", "{time}_image", "KMA/archive 1/coms/mi/le1b/{month}/{day}/deep/er"],
    ids=["flat", "month and day", "one folder an image", "deep"],
)
def test_files_are_found_at_any_depth(tmp_path: Path, layout: str) -> None:
    for name in NAMES:
        folder = layout.format(month=name[-16:-10], day=name[-10:-8], time=name[-16:-4])
        touch(tmp_path / "archive", f"{folder}/{name}" if folder else name)
    assert scanned(tmp_path / "root", tmp_path / "archive")["recorded"] == 8
    rows = inventory_of(Root(str(tmp_path / "root")), "coms-ea").day(datetime(2011, 3, 3, tzinfo=UTC).date())
    assert [row.time for row in rows] == [row.time for row in sorted(rows)]
    assert {row.channel for row in rows} == set(COMS.channels)


def test_both_layouts_of_real_directories_hold_the_same_pictures(real_archive: Path, tmp_path: Path) -> None:
    (tmp_path / "archive").mkdir()
    (tmp_path / "archive" / "by day").symlink_to(real_archive / "coms")
    for path in (real_archive / "coms").rglob("*.png"):
        folder = tmp_path / "archive" / f"{path.stem[-12:]}_image"
        folder.mkdir(exist_ok=True)
        (folder / path.name).symlink_to(path)
    counts = scanned(tmp_path / "root", tmp_path / "archive")
    assert (counts["listed"], counts["recorded"], counts["unparsed"]) == (200, 200, 0)
    inventory = inventory_of(Root(str(tmp_path / "root")), "coms-ea")
    rows = inventory.day(datetime(2011, 3, 3, tzinfo=UTC).date())
    assert len({(row.slot, row.channel) for row in rows}) == 100


def test_a_real_archive_is_told_apart_by_name(real_archive: Path, tmp_path: Path) -> None:
    counts = scanned(tmp_path / "root", real_archive)
    assert counts["recorded"] == len(list(real_archive.rglob("coms_mi_le1b_*_ea040ps_*.png"))) >= 140
    assert counts["listed"] == counts["recorded"] + counts["unparsed"] + counts["unconfigured"]
    assert root_status(Root(str(tmp_path / "root")))["reconciled"]


def test_files_are_counted_by_what_their_names_say(tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    touch(archive, *NAMES, "notes.txt", "coms_mi_le1b_ir01_cn010lc_201103030645.png")
    touch(archive, "coms_mi_le1b_ir1_ea040ps_201103030645.png", "coms_mi_le1b_ir01_ea040ps_201102300645.png")
    touch(archive, "coms_mi_le1b_ir01_ea040ps_200103030645.png")
    counts = scanned(tmp_path / "root", archive)
    assert (counts["listed"], counts["recorded"], counts["unparsed"], counts["unconfigured"]) == (13, 8, 4, 1)
    root = Root(str(tmp_path / "root"))
    told = {record.path: record.found for *_, record in root.quarantine.all()}
    assert told == {
        "coms_mi_le1b_ir1_ea040ps_201103030645.png": "unknown channel 'ir1' of coms; known: ir01, ir02, swir, wv",
        "coms_mi_le1b_ir01_ea040ps_201102300645.png": "impossible time '201102300645'; expected %Y%m%d%H%M",
        "coms_mi_le1b_ir01_ea040ps_200103030645.png": "time outside the life span of coms: 2001-03-03T06:45Z lies "
        "outside 2010-01-01 to 2020-12-31",
    }
    (archive / "coms_mi_le1b_ir1_ea040ps_201103030645.png").unlink()
    scanned(tmp_path / "root", archive)
    assert len(list(root.quarantine.all())) == 2


def test_months_without_a_difference_are_not_written_again(tmp_path: Path) -> None:
    archive, root = tmp_path / "archive", tmp_path / "root"
    touch(archive, *NAMES, "coms_mi_le1b_wv_ea040ps_201104010000.png", "coms_mi_le1b_wv_ea040ps_201202290000.png")
    scanned(root, archive)
    before = written(root / "inventory")
    assert set(before) == {"unparsed.parquet", *(f"coms-ea/{m}.parquet" for m in ("2011-03", "2011-04", "2012-02"))}
    scanned(root, archive)
    assert written(root / "inventory") == before
    touch(archive, "coms_mi_le1b_ir01_ea040ps_201104010015.png")
    scanned(root, archive)
    after = written(root / "inventory")
    assert {name for name in after if after[name] != before[name]} == {"coms-ea/2011-04.parquet"}


def test_a_file_stays_in_the_inventory_as_vanished_and_comes_back(tmp_path: Path) -> None:
    archive, root = tmp_path / "archive", tmp_path / "root"
    touch(archive, *NAMES)
    scanned(root, archive)
    (archive / NAMES[0]).rename(tmp_path / NAMES[0])
    for _ in range(2):
        counts = scanned(root, archive)
        assert (counts["listed"], counts["recorded"], counts["vanished"]) == (7, 8, 1)
    assert root_status(Root(str(root)))["reconciled"]
    (tmp_path / NAMES[0]).rename(archive / NAMES[0])
    assert scanned(root, archive)["vanished"] == 0


def test_a_whole_month_that_vanished_is_kept(tmp_path: Path) -> None:
    archive, root = tmp_path / "archive", tmp_path / "root"
    touch(archive, *NAMES, "2012/coms_mi_le1b_wv_ea040ps_201202290000.png")
    scanned(root, archive)
    shutil.rmtree(archive / "2012")
    assert scanned(root, archive)["vanished"] == 1
    assert inventory_of(Root(str(root)), "coms-ea").months() == ["2011-03", "2012-02"]


def test_progress_counts_files(tmp_path: Path) -> None:
    touch(tmp_path / "archive", *NAMES)
    told: list[int] = []
    assert scan(Job(str(tmp_path / "root"), str(tmp_path / "archive")), told.append).state == "done"
    assert told == [8]


# --- satellites ------------------------------------------------------------------------------------------------------


def site_coms(**changes: object) -> Satellite:
    """A site's own COMS, that reads the shipped one's names and differs in data."""
    return COMS.model_copy(update=changes)


def wider(satellite: Satellite) -> dict[str, Area]:
    return {"ea": satellite.areas["ea"].model_copy(update={"columns": 1504})}


def run_scan(root: Root, archive: Path, site: Path | None = None) -> Outcome:
    context = Context(root, str(archive), options={"satellites": str(site or "")})
    return Scan().run(Partition("", name="archive"), context)


def test_a_root_takes_in_the_satellites_that_it_finds_files_of_and_no_others(tmp_path: Path) -> None:
    touch(tmp_path / "archive", "notes.txt")
    scanned(tmp_path / "root", tmp_path / "archive")
    assert Root(str(tmp_path / "root")).satellites == {}
    touch(tmp_path / "archive", *NAMES)
    scanned(tmp_path / "root", tmp_path / "archive")
    assert Root(str(tmp_path / "root")).satellites == {"coms": COMS}


def test_a_site_adds_a_satellite_with_a_file_and_no_code(trial: Trial) -> None:
    touch(trial.archive, *NAMES)
    assert trial.backfill("--satellite", "trial", stages=("ingest",))[0] == 0
    root = trial.opened()
    assert set(root.satellites) == {"coms", "trial"}
    assert [source.id for source in root.sources] == ["coms-ea", "trial-ea"]
    assert root.ledger.entries("ingest").keys() == {"trial-ea/2020-05-01", "trial-ea/2020-05-02"}


def test_a_later_run_needs_no_site_file_any_more(trial: Trial) -> None:
    assert trial.backfill()[0] == 0
    trial.site = None
    assert trial.backfill() == (0, set())
    trial.file(5, 0).write_bytes(trial.file(5, 0).read_bytes() + b"\0")
    assert trial.backfill() == (0, {"ingest trial-ea/2020-05-02"})


def test_a_site_that_replaced_a_shipped_satellite_keeps_its_own_in_later_runs(tmp_path: Path) -> None:
    """Without the site's file, the shipped namesake would contradict the root, and every run would be refused."""
    archive, root, site = tmp_path / "archive", tmp_path / "root", tmp_path / "coms.toml"
    replaced = site_coms(areas=wider(COMS))
    site.write_bytes(satellite_toml(replaced))
    touch(archive, *NAMES)
    scanned(root, archive, site)
    assert Root(str(root)).satellites["coms"].areas["ea"].columns == 1504
    assert scanned(root, archive)["recorded"] == 8
    assert Root(str(root)).satellites == {"coms": replaced}
    check_range(Job(str(root), str(archive), wanted=Range(("coms",), stages=STAGES)))


def test_a_site_file_that_contradicts_the_root_is_refused_and_says_what_differs(tmp_path: Path) -> None:
    archive, root, site = tmp_path / "archive", tmp_path / "root", tmp_path / "coms.toml"
    touch(archive, *NAMES)
    scanned(root, archive)
    site.write_bytes(satellite_toml(site_coms(areas=wider(COMS))))
    result = scan(Job(str(root), str(archive), str(site)))
    assert result.state == "failed"
    assert "satellite coms: areas differ from what the root was made with" in result.error
    with pytest.raises(RefusedError, match="areas differ"):
        run_scan(Root(str(root)), archive, site)
    assert scanned(root, archive)["recorded"] == 8


def test_a_site_may_teach_a_root_new_names(tmp_path: Path) -> None:
    """How files are named is no part of what the data is: a grammar is added, and stays for later runs."""
    archive, root, site = tmp_path / "archive", tmp_path / "root", tmp_path / "coms.toml"
    touch(archive, *NAMES, "coms_mi_le1b_ir1_ea_201708240545.png")
    assert scanned(root, archive)["unparsed"] == 1
    newer = {"pattern": r"coms_mi_le1b_(?P<channel>[a-z0-9]+)_(?P<area>[a-z]+)_(?P<time>\d{12})\.png",
             "channels": {"ir1": "ir01", "ir2": "ir02"}}  # fmt: skip
    document = COMS.model_dump()
    document["names"] = [*document["names"], newer]
    site.write_bytes(satellite_toml(Satellite.model_validate(document)))
    for given in (site, ""):
        counts = scanned(root, archive, given)
        assert (counts["recorded"], counts["unparsed"]) == (9, 0)


def test_what_is_shipped_is_known_without_a_root_that_holds_it(trial: Trial) -> None:
    assert trial.backfill(stages=("ingest",))[0] == 0
    assert known_satellites(trial.opened(), None).keys() == shipped_satellites().keys() | {"trial"}


def test_a_root_learns_grammars_that_are_shipped_later_and_keeps_its_own(tmp_path: Path) -> None:
    shipped = shipped_satellites()["coms"]
    own = shipped.names[0].model_copy(update={"pattern": r"own_(?P<channel>\w+)_(?P<area>ea)_(?P<time>\d{12})\.png"})
    root = init_root(str(tmp_path / "root"))
    root.adopt({"coms": shipped.model_copy(update={"names": (own,)})})
    names = known_satellites(root, None)["coms"].names
    assert names == (own, *shipped.names)
    root.adopt({"coms": known_satellites(root, None)["coms"]})
    assert known_satellites(root, None)["coms"].names == names
