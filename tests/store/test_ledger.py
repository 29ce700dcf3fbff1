"""The ledger gives back what was recorded, partition by partition, and says so when an entry cannot be read."""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wxpipe.errors import DamagedError
from wxpipe.store.ledger import Entry, Ledger
from wxpipe.store.objects import LocalObjects, Objects

WORDS = st.text("abcdefghij-_.0123456789", min_size=1, max_size=12).filter(lambda word: word.strip("."))
ENTRIES = st.builds(
    Entry,
    stage=WORDS,
    partition=st.lists(WORDS, min_size=1, max_size=3).map("/".join),
    state=st.sampled_from(["done", "failed"]),
    fingerprint=st.text(),
    output=st.text(),
    inputs=st.text(),
    counts=st.dictionaries(st.text(), st.integers()),
    error=st.text(st.characters(codec=None, exclude_categories=())),
    epoch=st.integers(0),
    finished=st.datetimes().map(str),
    seconds=st.floats(0, allow_infinity=False),
)


@settings(max_examples=25, deadline=None)
@given(st.lists(ENTRIES, max_size=4, unique_by=lambda e: (e.stage, e.partition)))
def test_every_entry_comes_back_as_it_was_put(entries: list[Entry]) -> None:
    entries = [replace(entry, stage=f"s{n}", partition=f"{entry.partition}-{n}") for n, entry in enumerate(entries)]
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(LocalObjects(folder))
        for entry in entries:
            ledger.put(entry)
        other = Ledger(LocalObjects(folder))
        for entry in entries:
            assert other.get(entry.stage, entry.partition) == entry
            assert other.entries(entry.stage) == {entry.partition: entry}
        assert other.stages() == sorted(entry.stage for entry in entries)


DONE = Entry("ingest", "coms-ea/2011-03-03", "done", "f1", output="o1", counts={"good": 100}, epoch=2)


def test_a_later_entry_replaces_the_earlier(objects: Objects) -> None:
    ledger = Ledger(objects)
    ledger.put(DONE)
    ledger.put(replace(DONE, state="failed", error="it broke"))
    found = Ledger(objects).get("ingest", DONE.partition)
    assert found is not None
    assert (found.state, found.error) == ("failed", "it broke")


def test_only_what_is_done_has_an_output(objects: Objects) -> None:
    ledger = Ledger(objects)
    assert ledger.output("ingest", DONE.partition) == ""
    ledger.put(DONE)
    assert ledger.output("ingest", DONE.partition) == "o1"
    ledger.put(replace(DONE, state="failed"))
    assert ledger.output("ingest", DONE.partition) == ""


def test_nothing_was_done_before_anything_was_put(objects: Objects) -> None:
    ledger = Ledger(objects)
    assert ledger.get("ingest", "coms-ea/2011-03-03") is None
    assert ledger.entries("ingest") == {}
    assert ledger.stages() == []


def test_entries_of_one_stage_are_found_at_any_depth_and_no_others(objects: Objects) -> None:
    ledger = Ledger(objects)
    keys = ["coms-ea/2011-03-03", "coms-ea/2011-03-04", "gk2a-ea/2011-03-03", "a-named-thing"]
    for key in keys:
        ledger.put(replace(DONE, partition=key))
        ledger.put(replace(DONE, stage="ingest-not", partition=f"{key}-x"))
    assert sorted(ledger.entries("ingest")) == sorted(keys)


def test_preloaded_entries_follow_what_this_process_puts_and_forget_looks_again(objects: Objects) -> None:
    ledger, elsewhere = Ledger(objects), Ledger(objects)
    ledger.put(DONE)
    ledger.preload("ingest")
    ledger.put(replace(DONE, output="o2"))
    assert ledger.output("ingest", DONE.partition) == "o2"
    assert ledger.entries("ingest")[DONE.partition].output == "o2"
    elsewhere.put(replace(DONE, output="o3"))
    assert ledger.output("ingest", DONE.partition) == "o2"
    ledger.forget()
    assert ledger.output("ingest", DONE.partition) == "o3"


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"stage": "ingest"}', b'{"colour": "red"}', b"\xff\xfe"])
def test_a_damaged_entry_is_named_and_counts_as_failed(objects: Objects, damage: bytes) -> None:
    key = "ledger/ingest/coms-ea/2011-03-03.json"
    ledger = Ledger(objects)
    ledger.put(replace(DONE, partition="coms-ea/2011-03-04"))
    objects.put(key, damage)
    with pytest.raises(DamagedError, match=rf"{key}: not a ledger entry .*`wxpipe backfill`"):
        ledger.read("ingest", DONE.partition)
    for found in (ledger.get("ingest", DONE.partition), ledger.entries("ingest")[DONE.partition]):
        assert found is not None
        assert (found.partition, found.state) == (DONE.partition, "failed")
        assert key in found.error
    assert ledger.entries("ingest")["coms-ea/2011-03-04"].state == "done"
    assert ledger.output("ingest", DONE.partition) == ""


def test_every_flipped_bit_of_an_entry_is_noticed(tmp_path: Path) -> None:
    objects, key = LocalObjects(tmp_path), "ledger/ingest/coms-ea/2011-03-03.json"
    ledger = Ledger(objects)
    ledger.put(DONE)
    whole = objects.get(key)
    for place in range(len(whole)):
        for bit in (0, 3, 5):
            spoiled = bytearray(whole)
            spoiled[place] ^= 1 << bit
            (tmp_path / key).write_bytes(spoiled)
            try:
                found = ledger.read("ingest", DONE.partition)
            except DamagedError:
                continue
            assert found == DONE, f"byte {place}, bit {bit}"  # e.g. a space between two fields became a tab


def test_an_entry_of_another_partition_is_not_taken(objects: Objects) -> None:
    ledger = Ledger(objects)
    ledger.put(DONE)
    objects.put("ledger/ingest/coms-ea/2011-03-04.json", objects.get("ledger/ingest/coms-ea/2011-03-03.json"))
    with pytest.raises(DamagedError, match="it tells of ingest coms-ea/2011-03-03"):
        ledger.read("ingest", "coms-ea/2011-03-04")


def test_an_entry_without_a_checksum_is_one_of_before(objects: Objects) -> None:
    objects.put("ledger/ingest/coms-ea/2011-03-03.json", json.dumps(asdict(DONE)).encode())
    assert Ledger(objects).read("ingest", DONE.partition) == DONE


def test_content_leaves_out_when_where_and_how_often() -> None:
    told, untold = replace(DONE, inputs="i1"), replace(DONE, inputs="")
    for entry in (told, untold):
        assert replace(entry, epoch=9, finished="later", seconds=3.5, error="y").content() == entry.content()
        for change in ({"output": "o2"}, {"counts": {"good": 99}}, {"state": "failed"}, {"inputs": "i2"}):
            assert replace(entry, **change).content() != entry.content()


def test_raw_content_that_is_told_stands_for_the_fingerprint_that_knows_files_by_their_times() -> None:
    told, untold = replace(DONE, inputs="i1"), replace(DONE, inputs="")
    assert replace(told, fingerprint="f2").content() == told.content()
    assert replace(untold, fingerprint="f2").content() != untold.content()


def test_what_is_held_is_read_once_and_blocks_lie_in_others(tmp_path: Path) -> None:
    ledger, other = Ledger(LocalObjects(tmp_path)), Ledger(LocalObjects(tmp_path))
    for name in ("a", "b"):
        ledger.put(Entry("s", name, "done", "first"))
    with ledger.holding("s"):
        with ledger.holding("s", "t"):
            assert set(ledger.entries("s")) == {"a", "b"}
            assert ledger.entries("t") == {}
        other.put(Entry("s", "a", "done", "second"))
        assert ledger.entries("s")["a"].fingerprint == "first"
        ledger.put(Entry("s", "b", "done", "mine"))
        assert ledger.entries("s")["b"].fingerprint == "mine"
    assert ledger.entries("s")["a"].fingerprint == "second"


def test_a_part_is_held_as_if_it_were_all(tmp_path: Path) -> None:
    ledger = Ledger(LocalObjects(tmp_path))
    for name in ("x/2020-01-31", "x/2020-02-01", "named"):
        ledger.put(Entry("s", name, "done", ""))
    with ledger.holding("s", only=lambda key: "01-31" in key):
        assert set(ledger.entries("s")) == {"x/2020-01-31"}
        assert ledger.get("s", "named") is None
    assert ledger.get("s", "named") is not None


def test_what_is_fetched_is_answered_from_memory_until_it_is_forgotten_or_written(tmp_path: Path) -> None:
    ledger, other = Ledger(LocalObjects(tmp_path)), Ledger(LocalObjects(tmp_path))
    names = [f"p{n}" for n in range(100)]
    for name in names[:50]:
        ledger.put(Entry("s", name, "done", "first"))
    ledger.fetch(("s",), names)
    for name in names:
        other.put(Entry("s", name, "done", "second"))
    found = [ledger.get("s", name) for name in names]
    assert [entry and entry.fingerprint for entry in found] == ["first"] * 50 + [None] * 50
    ledger.put(Entry("s", "p0", "done", "mine"))
    assert [(e := ledger.get("s", name)) and e.fingerprint for name in ("p0", "p1")] == ["mine", "first"]
    ledger.forget()
    assert [(e := ledger.get("s", name)) and e.fingerprint for name in ("p1", "p99")] == ["second", "second"]
