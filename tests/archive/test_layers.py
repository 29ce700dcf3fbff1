"""Overlay layers are learned from a sample, once, and no damaged or foreign picture can make one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.archive.trial import FAULTS, Trial, png
from wxpipe.archive.inventory import RawFile, inventory_of, read_month
from wxpipe.archive.layers import SAMPLE, register_layers
from wxpipe.archive.overlay import layer_digest
from wxpipe.archive.scan import Scan
from wxpipe.archive.synthetic.archive import write_archive
from wxpipe.archive.synthetic.source import mini_satellite
from wxpipe.satellites.catalog import Source
from wxpipe.satellites.satellite import Satellite
from wxpipe.store.frames import NO_LAYER, FrameStore, frame_store
from wxpipe.store.objects import open_objects
from wxpipe.store.root import init_root
from wxpipe.store.stage import Context, Partition


def scanned(root: Path, archive: Path, source: str, site: Path | None = None) -> tuple[FrameStore, list[RawFile]]:
    """An empty frame store and the files that are to come into it."""
    context = Context(init_root(str(root)), str(archive), options={"satellites": str(site or "")})
    Scan().run(Partition("", name="archive"), context)
    frames = frame_store(context.root, source)
    frames.create()
    months = inventory_of(context.root, source).months()
    return frames, [file for month in months for file in read_month(context.root, source, month)]


def registered(trial: Trial) -> tuple[FrameStore, list[int]]:
    frames, files = scanned(trial.root, trial.archive, trial.source.id, trial.site)
    return frames, register_layers(frames, open_objects(str(trial.archive)), files)


def test_the_layer_of_one_year_is_that_of_the_other(real_archive: Path, tmp_path: Path) -> None:
    layers = {}
    for name in ("coms", "coms_events"):
        frames, files = scanned(tmp_path / name, real_archive / name, "coms-ea")
        assert register_layers(frames, open_objects(str(real_archive / name)), files) == [1]
        layers[name] = frames.layer(1)
    assert layers["coms"].sum() == 23_929
    assert not layers["coms"][:20].any()
    assert layer_digest(layers["coms"]) == layer_digest(layers["coms_events"])


def test_the_layer_is_the_lines_that_were_drawn_and_is_registered_once(trial: Trial) -> None:
    frames, new = registered(trial)
    assert new == [1]
    top = trial.source.area.title_rows
    assert np.array_equal(frames.layer(1)[top:], (trial.pixels(0, 0) == (255, 255, 0)).all(axis=-1)[top:])
    assert registered(trial)[1] == []
    assert frames.layer_ids() == [1]


def logo_on(*places: tuple[int, int]) -> Callable[[Trial], None]:
    def plant(trial: Trial) -> None:
        for place in places:
            rgb = trial.pixels(*place)
            top = trial.source.area.title_rows + 5
            rgb[top : top + 12, 8:30] = (255, 255, 0)
            trial.put(trial.key(*place), png(rgb))

    return plant


def truncate_most(trial: Trial) -> None:
    for path in sorted(trial.archive.rglob("*.png"))[:-1]:
        path.write_bytes(path.read_bytes()[:500])


def colour_some(trial: Trial) -> None:
    for place in ((0, 0), (5, 1), (11, 1)):
        FAULTS["unknown overlay"].plant(trial, *place)


@pytest.mark.parametrize(
    "spoil",
    [logo_on((0, 0)), logo_on((0, 0), (5, 1), (11, 1)), truncate_most, colour_some],
    ids=["one with a logo", "three with a logo", "all but one truncated", "three with colours"],
)
def test_damaged_and_foreign_pictures_in_the_sample_do_not_change_the_layer(
    trial: Trial, titled: Trial, spoil: Callable[[Trial], None]
) -> None:
    spoil(trial)
    frames, new = registered(trial)
    assert new == [1]
    assert np.array_equal(frames.layer(1), frame_store(titled.opened(), titled.source).layer(1))


def test_one_odd_picture_makes_no_layer_where_layers_are_known(trial: Trial) -> None:
    """It would be the only one left unexplained, and so the whole of the sample."""
    assert registered(trial)[1] == [1]
    for slot, channel in ((0, 0), (4, 0)):
        logo_on((slot, channel))(trial)
        assert registered(trial)[1] == []
        trial.repair()


def test_a_copy_of_the_odd_picture_is_no_second_witness(trial: Trial) -> None:
    assert registered(trial)[1] == [1]
    logo_on((0, 0))(trial)
    for path in sorted(trial.archive.rglob("*.png")):
        path.write_bytes(trial.file(0, 0).read_bytes())
    assert registered(trial)[1] == []


def test_a_new_format_makes_a_second_layer_and_its_pictures_are_good(trial: Trial) -> None:
    assert trial.backfill()[0] == 0
    places = [(slot, channel) for slot in range(2, trial.slots) for channel in (0, 1)]
    logo_on(*places)(trial)
    assert trial.backfill()[0] == 0
    frames = frame_store(trial.opened(), trial.source)
    assert frames.layer_ids() == [1, 2]
    assert trial.all_good_but()
    axis = trial.source.satellite.axis
    at = axis.slot(trial.first)
    assert frames.slots("layer", at, at + trial.slots)[:, 0].tolist() == [1, 1, *[2] * (trial.slots - 2)]


def test_a_few_files_are_sample_enough(trial: Trial) -> None:
    kept = sorted(trial.archive.rglob("*.png"))[: SAMPLE // 2]
    for path in set(trial.archive.rglob("*.png")) - set(kept):
        path.unlink()
    assert registered(trial)[1] == [1]


def without_overlay() -> Satellite:
    document = mini_satellite().model_dump()
    document["areas"]["t"]["overlay_colour"] = None
    return Satellite.model_validate(document)


def test_pictures_that_nothing_is_drawn_on_have_no_layer(tmp_path: Path) -> None:
    satellite = without_overlay()
    first = satellite.axis.first
    made = write_archive(tmp_path, satellite, "t", first, 4, 1)
    source = Source(satellite, "t")
    name = "{time:%Y%m/%d}/mini_{channel}_{area}_{time:%Y%m%d%H%M}.png"
    trial = Trial(source, name, first, 4, made.pictures, made.pictures, tmp_path / "root", made.satellite)
    assert trial.backfill()[0] == 0
    frames = frame_store(trial.opened(), source)
    assert frames.layer_ids() == []
    assert (frames.slots("layer", 0, 4) == NO_LAYER).all()
    assert trial.all_good_but()
    assert np.array_equal(trial.picture(1, 0), trial.pixels(1, 0)[..., 0])
