"""Frames are written by whole days in any order, and read by plain xarray with no code of ours."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray
from hypothesis import given
from hypothesis import strategies as st

from wxpipe.errors import NotFoundError, RefusedError, WxpipeError
from wxpipe.satellites.catalog import Source
from wxpipe.store.frames import (
    NEVER,
    UNKNOWN_LAYER,
    DayFrames,
    FrameStore,
    Status,
    content_digest,
    frame_store,
    runs,
)
from wxpipe.store.root import Root, init_root

LEAP = date(2020, 2, 29)
DAYS = [LEAP + timedelta(n) for n in range(-1, 3)]
FOLDER = "frames/tiny-sea.zarr"


def pictured(store: FrameStore, day: date, seed: int, slots: tuple[int, ...] = (0, 1, 2, 3)) -> DayFrames:
    """A day whose given slots are good in every channel; the last channel's pictures are the lower kind."""
    draws = np.random.default_rng(seed)
    made = DayFrames.empty(4, 3)
    made.status[:] = Status.MISSING
    for slot in slots:
        for channel in range(3):
            rows = 10 if channel == 2 else 12
            made.pictures[slot, channel] = store.encode_picture(draws.integers(0, 256, (rows, 10), np.uint8))
            made.reduced[slot, channel] = store.encode_reduced(draws.integers(0, 256, (2, 2), np.uint8))
            made.status[slot, channel] = Status.GOOD
            made.layer[slot, channel] = 1
            made.rows[slot, channel] = rows
            when = store.axis.time(store.axis.day_start(day) + slot) + timedelta(seconds=90)
            made.time_observed[slot, channel] = int(when.timestamp())
    return made


def everything(store: FrameStore) -> dict[str, np.ndarray[Any, Any]]:
    return {name: np.asarray(array[...]) for name, array in store.root.group(store.folder).arrays()}


# --- what a reader without wxpipe sees ---------------------------------------------------------------------------


def test_plain_xarray_shows_times_channels_and_attributes(frames: FrameStore) -> None:
    frames.write_day(LEAP, pictured(frames, LEAP, 1))
    found = xarray.open_zarr(f"{frames.root.url}/{FOLDER}", consolidated=False)
    assert dict(found.sizes) == {
        "slot": 16, "channel": 3, "y": 12, "x": 10, "y_reduced": 2, "x_reduced": 2, "overlay_id": UNKNOWN_LAYER,
    }  # fmt: skip
    assert found.picture.dims == ("slot", "channel", "y", "x")
    assert found.reduced.dims == ("slot", "channel", "y_reduced", "x_reduced")
    for name in ("status", "layer", "rows", "time_observed"):
        assert found[name].dims == ("slot", "channel")
    assert {name: str(found[name].dtype) for name in found.data_vars} == {
        "picture": "uint8", "reduced": "uint8", "status": "uint8", "layer": "uint8", "rows": "uint16",
        "time_observed": "int64", "overlay": "bool",
    }  # fmt: skip
    assert np.issubdtype(found.time.dtype, np.datetime64)
    assert found.time.dims == ("slot",)
    expected = np.arange("2020-02-28", "2020-03-03", np.timedelta64(6, "h"), "datetime64[h]")
    np.testing.assert_array_equal(found.time.values, expected)
    assert found.channel.values.tolist() == ["ir", "wv", "vis"]
    assert found.attrs["Conventions"] == "CF-1.11"
    assert found.attrs["title"] == "Tiny-1, Some sea"
    assert found.attrs["imagery"] == "nobody"
    assert found.attrs["bands"] == {"ir": "ir", "wv": "wv", "vis": "vis"}
    assert "time" in found.coords
    assert "time" in found.picture.coords
    assert found.status.attrs["flag_values"] == [0, 1, 2, 3, 4, 5]
    assert found.status.attrs["flag_meanings"].split() == [
        "absent", "unscheduled", "missing", "good", "suspect", "quarantined",
    ]  # fmt: skip
    np.testing.assert_array_equal(found.status.values[4:8], Status.GOOD)


def test_a_store_opens_in_a_process_that_never_imported_wxpipe(frames: FrameStore) -> None:
    frames.write_day(LEAP, pictured(frames, LEAP, 1))
    code = (
        "import sys, xarray; d = xarray.open_zarr(sys.argv[1], consolidated=False); "
        "print(int(d.picture[4, 0].values.astype('int64').sum()), 'wxpipe' in sys.modules)"
    )
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, f"{frames.root.url}/{FOLDER}"],
        capture_output=True, text=True, check=True, env={**os.environ},
    )  # fmt: skip
    assert ran.stdout.split() == [str(frames.picture(4, "ir").astype(np.int64).sum()), "False"]


def test_dataset_is_selected_by_time_and_lazy_by_day_and_channel(frames: FrameStore) -> None:
    frames.write_day(LEAP, pictured(frames, LEAP, 1))
    found = frames.dataset()
    assert found.picture.chunks is not None
    assert found.picture.data.chunksize == (4, 1, 12, 10)
    one = found.picture.sel(time="2020-02-29T06:00").sel(channel="wv").values.squeeze()
    np.testing.assert_array_equal(one, frames.picture(5, "wv"))
    day = found.sel(time=slice("2020-02-29", "2020-02-29"))
    assert day.sizes["slot"] == 4
    np.testing.assert_array_equal(day.status.values, Status.GOOD)


# --- writing and reading -----------------------------------------------------------------------------------------


def test_pictures_come_back_bit_for_bit_at_their_true_height(frames: FrameStore) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (12, 10), np.uint8)
    low = picture[:10]
    day = pictured(frames, LEAP, 1)
    day.pictures[1, 0], day.pictures[1, 2] = frames.encode_picture(picture), frames.encode_picture(low)
    frames.write_day(LEAP, day)
    np.testing.assert_array_equal(frames.picture(5, "ir"), picture)
    np.testing.assert_array_equal(frames.picture(5, "vis"), low)
    assert frames.picture(5, "vis").shape == (10, 10)


@pytest.mark.parametrize("rows", [12, 10])
def test_a_picture_is_neither_changed_nor_needs_to_be_writable(frames: FrameStore, rows: int) -> None:
    picture = np.frombuffer(bytes(range(rows * 10)), np.uint8).reshape(rows, 10)
    assert frames.encode_picture(picture) == frames.encode_picture(picture.copy())
    assert frames.encode_picture(np.asfortranarray(picture)) == frames.encode_picture(picture)


@pytest.mark.parametrize(
    "wrong", [np.zeros((13, 10), "u1"), np.zeros((12, 1), "u1"), np.zeros((10, 9), "u1"), np.zeros((10, 10), "u2")]
)
def test_a_picture_that_does_not_fit_is_refused(frames: FrameStore, wrong: np.ndarray[Any, Any]) -> None:
    with pytest.raises(WxpipeError, match="array picture: a chunk is"):
        frames.encode_picture(wrong)


def test_a_reduced_picture_of_the_wrong_shape_is_refused(frames: FrameStore) -> None:
    with pytest.raises(WxpipeError, match="array reduced: a chunk is"):
        frames.encode_reduced(np.zeros((1, 4), np.uint8))


def test_days_may_be_written_in_any_order_and_again(source: Source, tmp_path: Path) -> None:
    def write(url: str, order: list[int]) -> dict[str, np.ndarray[Any, Any]]:
        other = init_root(url)
        other.adopt({"tiny": source.satellite})
        store = FrameStore(other, source)
        store.create()
        for number in order:
            store.write_day(DAYS[number], pictured(store, DAYS[number], number))
        return everything(store)

    straight, crooked = write(f"{tmp_path}/1", [0, 1, 2, 3]), write(f"{tmp_path}/2", [3, 1, 0, 1, 2, 3])
    assert straight.keys() == crooked.keys()
    for name, array in straight.items():
        np.testing.assert_array_equal(array, crooked[name], name)


def test_writing_a_day_touches_no_other(frames: FrameStore) -> None:
    for number, day in enumerate(DAYS):
        frames.write_day(day, pictured(frames, day, number))
    before = everything(frames)
    frames.write_day(DAYS[1], pictured(frames, DAYS[1], 77, slots=(2,)))
    after = everything(frames)
    for name in ("picture", "reduced", "status", "layer", "rows", "time_observed"):
        others = [*range(4), *range(8, 16)]
        np.testing.assert_array_equal(after[name][others], before[name][others], name)
        assert not np.array_equal(after[name][4:8], before[name][4:8]), name


def test_a_day_written_again_with_fewer_pictures_keeps_none_of_the_old(frames: FrameStore) -> None:
    frames.write_day(LEAP, pictured(frames, LEAP, 1))
    frames.write_day(LEAP, pictured(frames, LEAP, 2, slots=(3,)))
    assert frames.day("status", LEAP)[:, 0].tolist() == [Status.MISSING] * 3 + [Status.GOOD]
    assert not everything(frames)["picture"][4:7].any()
    with pytest.raises(NotFoundError, match=r"tiny-sea ir 2020-02-29T00:00Z: no picture is stored"):
        frames.picture(4, "ir")
    frames.write_day(LEAP, DayFrames.empty(4, 3))
    assert not any(frames.root.objects.walk(f"{FOLDER}/picture/c"))


def test_what_was_never_written_is_absent(frames: FrameStore) -> None:
    assert set(frames.day("status", LEAP).ravel()) == {Status.ABSENT}
    assert set(frames.day("time_observed", LEAP).ravel()) == {NEVER}
    assert not frames.good_frames(0, 16).any()
    with pytest.raises(NotFoundError, match="no picture is stored"):
        frames.picture(0, "ir")


def test_the_time_in_the_name_is_kept_to_the_second(frames: FrameStore) -> None:
    frames.write_day(LEAP, pictured(frames, LEAP, 1))
    seconds = int(frames.day("time_observed", LEAP)[1, 0])
    assert datetime.fromtimestamp(seconds, UTC) == datetime(2020, 2, 29, 6, 1, 30, tzinfo=UTC)


def test_an_unknown_channel_is_answered_with_the_channels(frames: FrameStore) -> None:
    with pytest.raises(NotFoundError, match=r"tiny-sea has no channel 'ir02'; it has ir, wv, vis"):
        frames.picture(0, "ir02")


def test_a_day_outside_the_life_span_cannot_be_written(frames: FrameStore) -> None:
    with pytest.raises(ValueError, match="2020-03-03 lies outside 2020-02-28 to 2020-03-02"):
        frames.write_day(date(2020, 3, 3), DayFrames.empty(4, 3))


def test_statuses_are_written_after_everything_that_they_vouch_for(
    frames: FrameStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WXPIPE_WRITE_POINT_LOG", str(tmp_path / "log"))
    frames.write_day(LEAP, pictured(frames, LEAP, 1))
    assert (tmp_path / "log").read_text().splitlines()[-1].endswith(f"after put {FOLDER}/status/c/1/0")


@pytest.mark.parametrize(
    ("statuses", "good"),
    [
        ((Status.GOOD, Status.GOOD, Status.ABSENT), True),  # vis is not required
        ((Status.GOOD, Status.SUSPECT, Status.QUARANTINED), True),
        ((Status.GOOD, Status.MISSING, Status.GOOD), False),
        ((Status.QUARANTINED, Status.GOOD, Status.GOOD), False),
        ((Status.UNSCHEDULED,) * 3, False),
    ],
)
def test_a_frame_is_good_when_every_required_channel_is_usable(
    frames: FrameStore, statuses: tuple[Status, ...], good: bool
) -> None:
    day = DayFrames.empty(4, 3)
    day.status[2] = statuses
    frames.write_day(LEAP, day)
    assert frames.good_frames(4, 8).tolist() == [False, False, good, False]
    assert frames.good_frames(0, 16).nonzero()[0].tolist() == ([6] if good else [])


def test_good_frames_end_with_the_axis(frames: FrameStore) -> None:
    last = DAYS[-1]
    frames.write_day(last, pictured(frames, last, 1))
    assert frames.good_frames(14, 40).tolist() == [True, True]


def test_reduced_pictures_are_read_over_gaps_in_the_order_asked_for(frames: FrameStore) -> None:
    for number, day in enumerate(DAYS):
        frames.write_day(day, pictured(frames, day, number))
    whole = everything(frames)["reduced"]
    for slots in ([5], [3, 4, 5, 9, 12, 13], [9, 2, 3, 3, 0], list(range(16)), []):
        found = frames.reduced(slots, ["wv", "ir"])
        assert found.shape == (len(slots), 2, 2, 2)
        np.testing.assert_array_equal(found, whole[slots][:, [1, 0]])


@given(st.lists(st.integers(0, 30), max_size=20))
def test_runs_cover_the_slots_in_order_by_longest_stretches(slots: list[int]) -> None:
    found = runs(np.asarray(slots, np.int64))
    assert [slot for start, stop, _ in found for slot in range(start, stop)] == slots
    assert [n for *_, where in found for n in range(where.start, where.stop)] == list(range(len(slots)))
    assert all(after[0] != before[1] for before, after in pairwise(found))


def test_a_damaged_shard_is_named_with_the_way_to_mend_it(frames: FrameStore) -> None:
    frames.write_day(LEAP, pictured(frames, LEAP, 1))
    objects = frames.root.objects
    for name, read in [
        ("picture/c/1/0/0/0", lambda: frames.picture(4, "ir")),
        ("reduced/c/1/0/0/0", lambda: frames.reduced([4], ["ir"])),
        ("status/c/1/0", lambda: frames.day("status", LEAP)),
    ]:
        data = bytearray(objects.get(f"{FOLDER}/{name}"))
        data[1] ^= 4
        objects.put(f"{FOLDER}/{name}", bytes(data))
        array = name.partition("/")[0]
        with pytest.raises(WxpipeError, match=rf"{FOLDER}/{array} at .*damaged.*validate --repair.*backfill"):
            read()


# --- layout ------------------------------------------------------------------------------------------------------


def test_laying_out_again_changes_nothing_and_another_satellite_is_refused(frames: FrameStore, source: Source) -> None:
    frames.write_day(LEAP, pictured(frames, LEAP, 1))
    before = everything(frames)
    FrameStore(frames.root, source).create()
    np.testing.assert_array_equal(everything(frames)["picture"], before["picture"])
    longer = source.satellite.model_copy(update={"last_day": date(2020, 3, 3)})
    with pytest.raises(RefusedError, match=r"laid out differently \(shape"):
        FrameStore(frames.root, Source(longer, "sea")).create()


def test_frames_that_were_never_laid_out_are_not_found(root: Root, source: Source) -> None:
    with pytest.raises(NotFoundError, match=rf"{FOLDER}: no such Zarr group"):
        frame_store(root, source).day("status", LEAP)


def test_a_frame_store_is_opened_once_a_process(root: Root, source: Source) -> None:
    assert frame_store(root, source) is frame_store(root, "tiny-sea")


# --- overlay layers ----------------------------------------------------------------------------------------------


def layer(number: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(number).random((12, 10)) < 0.3


def test_a_layer_has_one_id_and_none_is_a_legal_layer(frames: FrameStore) -> None:
    blank = np.zeros((12, 10), bool)
    assert [frames.register_layer(x) for x in (layer(1), blank, layer(1), layer(2), blank)] == [1, 2, 1, 3, 2]
    assert frames.layer_ids() == [1, 2, 3]
    found = frames.layers()
    np.testing.assert_array_equal(found[1], layer(1))
    assert not found[2].any()
    assert all(mask.dtype == bool for mask in found.values())


REGISTER = """
import sys
import numpy as np
from wxpipe.store.frames import frame_store
from wxpipe.store.root import Root
store = frame_store(Root(sys.argv[1]), "tiny-sea")
order = np.random.default_rng(int(sys.argv[2])).permutation(8)
print("ready", flush=True)
sys.stdin.readline()
for number in order:
    print(number, store.register_layer(np.random.default_rng(number).random((12, 10)) < 0.3))
"""


def test_processes_that_register_layers_at_once_agree_on_one_id_each(frames: FrameStore, programs: Any) -> None:
    printed = programs.race(REGISTER, [(frames.root.url, seed) for seed in range(3)])
    answers = [dict(line.split() for line in text.splitlines() if line != "ready") for text in printed]
    assert answers[0] == answers[1] == answers[2]
    assert sorted(map(int, answers[0].values())) == frames.layer_ids() == list(range(1, 9))
    for number, layer_id in answers[0].items():
        np.testing.assert_array_equal(frames.layer(int(layer_id)), layer(int(number)))


# --- digests -----------------------------------------------------------------------------------------------------


def test_a_content_digest_tells_values_types_shapes_and_names_apart() -> None:
    values = np.arange(6, dtype="u1")
    different: list[dict[str, Any]] = [
        {"a": values}, {"b": values}, {"a": values.reshape(2, 3)}, {"a": values.astype("u2")}, {"a": values[::-1]},
        {"a": values.tobytes()}, {"a": values, "b": b""}, {},
    ]  # fmt: skip
    assert len({content_digest(parts) for parts in different}) == len(different)
    assert content_digest({"a": values, "b": b"x"}) == content_digest({"b": b"x", "a": np.asfortranarray(values)})


# --- in a bucket -------------------------------------------------------------------------------------------------


@pytest.fixture
def remote(s3_url: str, source: Source) -> FrameStore:
    root = init_root(s3_url)
    root.adopt({"tiny": source.satellite})
    store = frame_store(root, source)
    store.create()
    return store


def test_frames_in_a_bucket_are_written_and_read_alike(remote: FrameStore, frames: FrameStore) -> None:
    for store in (remote, frames):
        store.write_day(LEAP, pictured(store, LEAP, 1))
        assert store.register_layer(layer(1)) == 1
    np.testing.assert_array_equal(remote.picture(5, "vis"), frames.picture(5, "vis"))
    here, there = everything(frames), everything(remote)
    for name, array in here.items():
        np.testing.assert_array_equal(there[name], array, name)
    np.testing.assert_array_equal(remote.dataset().status.sel(time="2020-02-29T06:00").values.squeeze(), Status.GOOD)
    with pytest.raises(NotFoundError, match="no such Zarr group"):
        remote.root.group("frames/nothing.zarr")
