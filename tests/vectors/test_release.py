"""Releases: what a build makes of the ledger, what it refuses, which one serves, and what upkeep leaves alone."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
import pytest
from lancedb.index import IvfPq

from tests.vectors.tiny_root import DAYS, MODEL, SOURCE, TinyRoot
from wxpipe.errors import NotFoundError, RefusedError, WxpipeError
from wxpipe.store.root import Root
from wxpipe.store.stage import Context
from wxpipe.vectors.content import table_digest
from wxpipe.vectors.records import newest_release, put_release, require_current
from wxpipe.vectors.release import (
    Release,
    ReleaseRecord,
    build,
    current_number,
    current_release,
    list_releases,
    maintain,
    promote,
    release_digests,
    rollback,
)
from wxpipe.vectors.tables import SPECS, SourceDay, connect, open_table, read_day, schema


def ids(root: Root, release: ReleaseRecord, unit: Any = "clip") -> list[str]:
    spec = SPECS[unit]
    return sorted(i for p in release.parts for i in p.open(root, spec).to_arrow()[spec.key].to_pylist())


def test_a_first_build_holds_every_embedded_row_once(tiny: TinyRoot) -> None:
    release = build(tiny.root)
    assert release.number == 1
    assert release.models == {SOURCE: MODEL}
    for unit in SPECS:
        assert ids(tiny.root, release, unit) == tiny.expected_ids(unit)
    assert release.rows("frame") == 3 * 48
    assert release.parts[0].tables["clips"].index == {"kind": "exact"}
    assert set(release.days) == {f"{SOURCE}/{day}" for day in DAYS}


def test_columns_are_the_contract(tiny: TinyRoot) -> None:
    release = build(tiny.root)
    clips = release.parts[0].open(tiny.root, SPECS["clip"]).to_arrow()
    assert clips.schema.names == [
        "clip_id", "source", "satellite", "start", "end", "start_epoch", "year", "month", "hour", "frames", "coverage",
        "model", "vector",
    ]  # fmt: skip
    frames = release.parts[0].open(tiny.root, SPECS["frame"]).to_arrow()
    assert frames.schema.names == [
        "frame_id", "source", "satellite", "time", "time_epoch", "year", "month", "hour", "channels_good", "model",
        "vector",
    ]  # fmt: skip
    row = clips.sort_by("start").slice(5, 1).to_pylist()[0]
    assert row["start"].isoformat() == "2011-03-03T07:15:00+00:00"
    assert row["start_epoch"] == int(row["start"].timestamp())
    assert (row["year"], row["month"], row["hour"], row["frames"]) == (2011, 3, 7, 20)
    assert (row["satellite"], row["model"]) == ("tiny", MODEL)


def test_nothing_changed_makes_no_new_release(tiny: TinyRoot) -> None:
    first = build(tiny.root)
    version = open_table(tiny.root, first.parts[0].tables["clips"].table).version
    assert build(tiny.root) == first
    assert open_table(tiny.root, first.parts[0].tables["clips"].table).version == version


def test_an_update_replaces_a_changed_day_and_only_that(tiny: TinyRoot) -> None:
    first = build(tiny.root)
    before = first.parts[0].open(tiny.root, SPECS["clip"]).to_arrow().sort_by("clip_id")
    tiny.write_vectors(DAYS[1], seed=7, clips=5)  # fewer clips than before: the others go
    second = build(tiny.root)
    assert second.number == 2
    assert ids(tiny.root, second) == tiny.expected_ids("clip")
    after = second.parts[0].open(tiny.root, SPECS["clip"]).to_arrow().sort_by("clip_id")
    same = [n for n, row in enumerate(before["clip_id"].to_pylist()) if "20110304" not in row]
    kept = [n for n, row in enumerate(after["clip_id"].to_pylist()) if "20110304" not in row]
    assert before.take(same).equals(after.take(kept))
    assert first.parts[0].open(tiny.root, SPECS["clip"]).to_arrow().sort_by("clip_id").equals(before)


def test_a_day_that_vanished_leaves_the_tables(tiny: TinyRoot) -> None:
    build(tiny.root)
    tiny.remove_day(DAYS[2])
    second = build(tiny.root)
    assert ids(tiny.root, second, "frame") == tiny.expected_ids("frame")
    assert second.rows("frame") == 2 * 48


def test_a_new_day_is_added(tiny: TinyRoot) -> None:
    build(tiny.root)
    tiny.add_day(date(2011, 3, 8))
    second = build(tiny.root)
    assert second.rows("frame") == 4 * 48
    assert ids(tiny.root, second) == tiny.expected_ids("clip")


def test_a_day_embedded_to_nothing_is_part_of_a_release(tiny: TinyRoot) -> None:
    tiny.done("embed", date(2011, 3, 9), "nothing", {"frame_vectors": 0, "clip_vectors": 0})
    release = build(tiny.root)
    assert release.days[f"{SOURCE}/2011-03-09"] == "nothing"
    assert build(tiny.root) == release


def test_the_digest_names_content_and_not_how_it_came_about(tiny: TinyRoot) -> None:
    first = build(tiny.root)
    tiny.write_vectors(DAYS[0], seed=3)
    second = build(tiny.root)
    tiny.write_vectors(DAYS[0], seed=0)
    third = build(tiny.root)
    digests = [release_digests(tiny.root, release) for release in (first, second, third)]
    assert digests[0] == digests[2] != digests[1]
    for spec in SPECS.values():
        table = third.parts[0].tables[spec.name]
        assert digests[2][table.table] == table.digest


def test_another_model_gets_tables_of_its_own(tiny: TinyRoot) -> None:
    first = build(tiny.root)
    tiny.use_model("channel-linear-ffff00001111", trained=True)
    with pytest.raises(WxpipeError, match=r"3 of 3 embedded days have no vectors .*first: tiny-ea/2011-03-03"):
        build(tiny.root)
    for day in DAYS:
        tiny.write_vectors(day, seed=9)
    second = build(tiny.root)
    assert second.parts[0].trained
    tables = {t.table for r in (first, second) for t in r.parts[0].tables.values()}
    assert len(tables) == 4
    assert ids(tiny.root, first) == ids(tiny.root, second)


def test_promote_rollback_and_current(tiny: TinyRoot) -> None:
    root = tiny.root
    assert current_release(root) is None
    with pytest.raises(NotFoundError, match="no release to promote"):
        promote(root)
    build(root)
    assert current_number(root) is None
    assert promote(root).number == 1
    tiny.write_vectors(DAYS[0], seed=1)
    build(root)
    assert current_number(root) == 1
    promote(root)
    promote(root)
    assert root.objects.names("promotions") == ["1.json", "2.json"]
    assert rollback(root).number == 1
    assert current_number(root) == 1
    with pytest.raises(RefusedError, match="no older one"):
        rollback(root)
    with pytest.raises(NotFoundError, match="no release 9; releases: 1, 2"):
        promote(root, 9)
    assert [release.number for release in list_releases(root)] == [1, 2]


def test_the_gate_names_a_planted_count_mismatch(tiny: TinyRoot) -> None:
    entry = tiny.root.ledger.get("embed", f"{SOURCE}/{DAYS[1]}")
    assert entry is not None
    tiny.root.ledger.put(replace(entry, counts={"frame_vectors": 48, "clip_vectors": 30}))
    with pytest.raises(WxpipeError, match=r"2011-03-04.*the ledger says 30 clips, the file has 29"):
        build(tiny.root)
    assert list_releases(tiny.root) == []


def test_the_gate_finds_rows_that_nobody_put_there(tiny: TinyRoot, monkeypatch: pytest.MonkeyPatch) -> None:
    from wxpipe.vectors import build as build_module

    honest = build_module.apply

    def with_a_lost_row(tables: Any, changes: Any, read: Any) -> Any:
        content = honest(tables, changes, read)
        next(iter(tables.values())).delete("clip_id = 'tiny-ea/20110304T0700Z/6h20'")
        return content

    monkeypatch.setattr(build_module, "apply", with_a_lost_row)
    with pytest.raises(WxpipeError, match=r"86 rows, expected 87; 1 days differ \(tiny-ea/2011-03-04: expected 29, fo"):
        build(tiny.root)
    monkeypatch.undo()
    assert ids(tiny.root, build(tiny.root)) == tiny.expected_ids("clip")


def test_the_gate_finds_a_key_that_is_there_twice(tiny: TinyRoot, monkeypatch: pytest.MonkeyPatch) -> None:
    from wxpipe.vectors import build as build_module

    honest = build_module.apply

    def doubled(tables: Any, changes: Any, read: Any) -> Any:
        content = honest(tables, changes, read)
        table = next(iter(tables.values()))
        table.add(table.to_arrow().slice(3, 1))
        return content

    monkeypatch.setattr(build_module, "apply", doubled)
    with pytest.raises(WxpipeError, match=r"clip_id tiny-ea/\S+ is there more than once"):
        build(tiny.root)


def test_the_gate_finds_other_content(tiny: TinyRoot, monkeypatch: pytest.MonkeyPatch) -> None:
    from wxpipe.vectors import build as build_module

    honest = build_module.apply

    def bent(tables: Any, changes: Any, read: Any) -> Any:
        content = honest(tables, changes, read)
        next(iter(tables.values())).update(where="clip_id = 'tiny-ea/20110304T0700Z/6h20'", values={"coverage": 0.5})
        return content

    monkeypatch.setattr(build_module, "apply", bent)
    with pytest.raises(WxpipeError, match="2011-03-04 read back with other content"):
        build(tiny.root)


def test_a_low_recall_is_not_released(tiny: TinyRoot, monkeypatch: pytest.MonkeyPatch) -> None:
    from wxpipe.vectors import index

    monkeypatch.setattr(index, "recalls", lambda _table, _probes: {"all": 0.5, "hour": 0.9, "month": 0.99})
    with pytest.raises(
        WxpipeError, match=r"finds 0\.500 of the true 10 nearest among all rows, 0\.900 .* hour .*0\.99"
    ):
        build(tiny.root, exact_below=50)
    monkeypatch.undo()
    release = build(tiny.root, exact_below=50)
    found = release.parts[0].tables["clips"].index
    assert found["kind"] == "ivf_flat"
    assert found["recall"] >= 0.99
    assert found["probes"] == index.PROBES[0]


def test_a_planted_bad_index_is_not_released(tiny: TinyRoot, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sixteen codes for each half of a vector: however many partitions are looked into, many rows look alike."""
    from wxpipe.vectors import index

    def planted(table: Any, _rows: int) -> None:
        bad = IvfPq(distance_type="l2", num_partitions=1, num_sub_vectors=2, num_bits=4)
        table.create_index("vector", config=bad)

    build(tiny.root)
    promote(tiny.root)
    tiny.write_vectors(DAYS[1], seed=4)
    monkeypatch.setattr(index, "_create", planted)
    with pytest.raises(WxpipeError, match=r"the index finds 0\.\d+ of the true 10 nearest.*nothing was released"):
        build(tiny.root, exact_below=50)
    assert require_current(tiny.root).number == newest_release(tiny.root).number == 1  # type: ignore[union-attr]


def test_vectors_of_another_width_or_day_are_refused(tiny: TinyRoot) -> None:
    day = SourceDay(SOURCE, DAYS[0])
    with pytest.raises(WxpipeError, match="expected vectors of 16 numbers"):
        read_day(tiny.root, MODEL, day, 16)
    data = tiny.root.objects.get(f"vectors/{MODEL}/{SOURCE}/{DAYS[0]}.parquet")
    tiny.root.objects.put(f"vectors/{MODEL}/{SOURCE}/{DAYS[1]}.parquet", data)
    with pytest.raises(WxpipeError, match=r"tiny-ea/20110303T0600Z.* is not of 2011-03-04"):
        read_day(tiny.root, MODEL, SourceDay(SOURCE, DAYS[1]), 8)


def test_two_builds_of_one_number_make_one_release(tiny: TinyRoot) -> None:
    release = build(tiny.root)
    with pytest.raises(RefusedError, match="published by another build"):
        put_release(tiny.root, release)


def test_promotion_checks_that_the_tables_are_there(tiny: TinyRoot) -> None:
    release = build(tiny.root)
    part = release.parts[0]
    short = replace(part, tables={**part.tables, "clips": replace(part.tables["clips"], rows=3)})
    put_release(tiny.root, replace(release, number=2, parts=(short,)))
    with pytest.raises(WxpipeError, match="expected 3 rows, found 87"):
        promote(tiny.root, 2)
    gone = replace(part, tables={**part.tables, "clips": replace(part.tables["clips"], version=99)})
    put_release(tiny.root, replace(release, number=3, parts=(gone,)))
    with pytest.raises(NotFoundError, match="at version 99"):
        promote(tiny.root, 3)
    assert current_number(tiny.root) is None


def test_upkeep_compacts_without_changing_what_is_served(tiny: TinyRoot) -> None:
    root = tiny.root
    build(root)
    for seed in (1, 2, 3):
        tiny.write_vectors(DAYS[0], seed=seed)
        build(root)
    before = promote(root)
    connect(root).create_table("clips-left-behind", schema=schema(SPECS["clip"], 4))
    orphan = open_table(root, before.parts[0].tables["clips"].table)
    orphan.tags.create("release-77", orphan.version)
    upkeep = maintain(root)
    assert upkeep.fragments_after < upkeep.fragments_before
    after = current_release(root)
    assert after is not None
    assert (after.number, upkeep.release, after.follows) == (5, 5, before.number)
    assert [t.digest for t in after.parts[0].tables.values()] == [t.digest for t in before.parts[0].tables.values()]
    assert "clips-left-behind.lance" not in root.objects.names("lance")
    tags = set(open_table(root, after.parts[0].tables["clips"].table).tags.list())
    assert tags == {f"release-{n}" for n in range(1, 6)}
    for release in list_releases(root):
        assert len(ids(root, release)) == 87
    assert maintain(root).release is None
    tiny.write_vectors(DAYS[0], seed=4)
    assert build(root).number == 6


def test_upkeep_of_a_root_without_releases_does_nothing(tiny: TinyRoot) -> None:
    assert maintain(tiny.root).release is None


def test_an_index_is_extended_and_dropped_as_the_rows_ask(tiny: TinyRoot) -> None:
    build(tiny.root, exact_below=50)
    tiny.add_day(date(2011, 3, 8))
    second = build(tiny.root, exact_below=50)
    assert second.parts[0].tables["clips"].index["unindexed"] == 0
    tiny.remove_day(date(2011, 3, 8))
    third = build(tiny.root, exact_below=100)
    assert third.parts[0].tables["clips"].index == {"kind": "exact"}


def test_the_stage_is_one_partition_and_its_outcome_names_content(tiny: TinyRoot) -> None:
    stage, context = Release(), Context(tiny.root)
    (partition,) = stage.partitions(context)
    fingerprint = stage.fingerprint(partition, context)
    stage.prepare([partition], context)
    outcome = stage.run(partition, context)
    assert outcome.counts == {"clips": 87, "frames": 144}
    assert stage.run(partition, context) == outcome
    assert stage.fingerprint(partition, context) == fingerprint
    tiny.write_vectors(DAYS[0], seed=1)
    assert stage.fingerprint(partition, context) != fingerprint
    assert stage.run(partition, context).output != outcome.output


def test_no_model_and_no_vectors_are_told_apart(tiny: TinyRoot) -> None:
    tiny.root.objects.delete(f"ledger/train/{SOURCE}.json")
    with pytest.raises(NotFoundError, match="no model for tiny-ea"):
        build(tiny.root)
    for day in DAYS:
        tiny.remove_day(day)
    with pytest.raises(NotFoundError, match="no vectors"):
        build(tiny.root)
    assert list(Release().partitions(Context(tiny.root))) == []


def test_digests_do_not_depend_on_order_or_chunks(tiny: TinyRoot) -> None:
    release = build(tiny.root)
    spec = SPECS["clip"]
    rows = release.parts[0].open(tiny.root, spec).to_arrow()
    shuffled = rows.take(np.random.default_rng(0).permutation(len(rows)))
    other = connect(tiny.root).create_table("clips-shuffled", data=shuffled.slice(0, 10))
    for start in range(10, len(rows), 11):
        other.add(shuffled.slice(start, 11))
    assert table_digest(other, spec) == release.parts[0].tables["clips"].digest
    assert max(Counter(other.to_arrow()["clip_id"].to_pylist()).values()) == 1
    assert newest_release(tiny.root, "nobody-0") is None


def test_a_release_that_is_asked_for_anew_leaves_older_ones_their_rows(tiny: TinyRoot) -> None:
    """Tables are overwritten by a new version of themselves; readers stay at theirs."""
    first = build(tiny.root)
    promote(tiny.root)
    again = build(tiny.root, anew=True)
    assert (again.number, again.days, again.contents) == (first.number + 1, first.days, first.contents)
    for part, its in zip(first.parts, again.parts, strict=True):
        for spec in SPECS.values():
            assert its.tables[spec.name].version > part.tables[spec.name].version
            assert table_digest(part.open(tiny.root, spec), spec) == table_digest(its.open(tiny.root, spec), spec)
