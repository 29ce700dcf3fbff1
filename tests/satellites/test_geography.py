"""Where pictures lie and what a region is: COMS against its own coastline and graticule, grids, old roots."""

from __future__ import annotations

import tomllib
from datetime import date
from pathlib import Path

import numpy as np
import pytest
import tomli_w
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pydantic import ValidationError

from wxpipe.archive.ingest_day import satellite_digest
from wxpipe.archive.synthetic.source import mini_satellite
from wxpipe.errors import RefusedError, UsageError
from wxpipe.satellites.catalog import Source, shipped_satellites
from wxpipe.satellites.geography import Geography, GridEdges, Region, parse_cells
from wxpipe.satellites.satellite import Satellite
from wxpipe.similarity.layout import GridSpec, cell_edges
from wxpipe.store.root import Root, init_root

COMS = shipped_satellites()["coms"]
EA = Source(COMS, "ea").geography
SIZE = (1300, 1500)


def edges(grid: int) -> GridEdges:
    return GridEdges(*cell_edges(GridSpec(grid), *SIZE, 20), SIZE)


def cell_at(latitude: float, longitude: float, grid: int = 24) -> tuple[int, int]:
    assert EA.projection is not None
    y, x = (float(value) for value in EA.projection.place(latitude, longitude))
    there = edges(grid)
    return int(np.searchsorted(there.rows, y)) - 1, int(np.searchsorted(there.columns, x)) - 1


@pytest.mark.parametrize(
    ("region", "inside", "outside"),
    [
        ("korea", [(37.57, 126.98), (36.35, 127.38)], [(35.68, 139.77), (35.0, 123.0)]),
        ("yellow-sea", [(36.0, 123.5), (34.5, 124.0)], [(38.0, 132.0), (37.3, 128.8)]),
        ("east-sea", [(39.0, 133.0), (37.5, 131.0), (42.0, 137.0)], [(36.0, 123.5), (35.68, 139.77)]),
        ("east-china-sea", [(29.0, 125.0), (27.0, 123.0)], [(36.0, 123.5), (22.0, 118.0)]),
        ("south-sea", [(33.9, 127.0)], [(37.57, 126.98), (29.0, 125.0)]),
        ("japan", [(35.68, 139.77), (43.06, 141.35), (33.0, 131.0)], [(37.57, 126.98), (39.0, 133.0)]),
    ],
)
def test_places_lie_in_the_cells_of_their_region(
    region: str, inside: list[tuple[float, float]], outside: list[tuple[float, float]]
) -> None:
    cells = EA.region_cells(region, edges(24))
    assert {cell_at(*place) for place in inside} <= set(cells)
    assert not {cell_at(*place) for place in outside} & set(cells)
    fine = EA.region_cells(region, edges(96))
    assert len(fine) == pytest.approx(16 * len(cells), rel=0.45)


def test_the_graticule_on_real_pictures_is_where_the_projection_puts_it(real_archive: Path) -> None:
    """Its dots every five degrees: nine of ten are within 2 pixels of a line that is computed."""
    from scipy.ndimage import distance_transform_edt, label

    file = next((real_archive / "coms").glob("*/*/*_ir01_*.png"))
    pixels = np.asarray(Image.open(file).convert("RGB"))
    drawn = (pixels == (255, 255, 0)).all(axis=2)
    drawn[:20] = False
    parts, _ = label(drawn, structure=np.ones((3, 3)))
    small = np.bincount(parts.ravel()) <= 4  # dots; coasts are longer
    small[0] = False
    fine_latitude, fine_longitude = np.arange(10, 65, 0.1), np.arange(80, 176, 0.1)
    latitudes = [np.repeat(np.arange(10, 66, 5), len(fine_longitude)), np.tile(fine_latitude, 20)]
    longitudes = [np.tile(fine_longitude, 12), np.repeat(np.arange(80, 180, 5), len(fine_latitude))]
    assert EA.projection is not None
    y, x = EA.projection.place(np.concatenate(latitudes), np.concatenate(longitudes))
    row, column = np.round(y * SIZE[0]).astype(int), np.round(x * SIZE[1]).astype(int)
    there = (row >= 0) & (row < SIZE[0]) & (column >= 0) & (column < SIZE[1])
    lines = np.ones(SIZE, np.bool_)
    lines[row[there], column[there]] = False
    assert np.quantile(distance_transform_edt(lines)[small[parts]], 0.9) <= 2


@settings(deadline=None)
@given(st.sets(st.tuples(st.integers(0, 23), st.integers(0, 23)), min_size=1, max_size=30))
def test_cells_are_read_as_they_are_written(cells: set[tuple[int, int]]) -> None:
    assert parse_cells(", ".join(f"{row}.{column}" for row, column in cells), 24) == tuple(sorted(cells))


def test_a_range_of_cells_is_all_between_its_corners() -> None:
    assert parse_cells("3.9-4.11 0.0", 24) == ((0, 0), (3, 9), (3, 10), (3, 11), (4, 9), (4, 10), (4, 11))


@pytest.mark.parametrize("text", ["", "3", "3.9-", "-3.9", "3.9-6", "a.b", "3.24", "24.3", "6.14-3.9", "3.9-4.9-5.9",
                                  "3.-9", "٣.٩", "3.9.1", "9" * 9 + ".1"])  # fmt: skip
def test_what_is_no_cells_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="cells"):
        parse_cells(text, 24)


@settings(deadline=None, max_examples=20)
@given(st.integers(2, 40))
def test_cells_of_another_grid_cover_the_same_part(grid: int) -> None:
    half = Geography(regions={"left": Region(title="Left half", cells=("0.0-3.1",), grid=4)})
    there = GridEdges(np.arange(grid + 1), np.arange(grid + 1), (grid, grid))
    found = half.region_cells("left", there)
    assert {column for _, column in found} == set(range((grid + 1) // 2))
    assert len(found) == grid * ((grid + 1) // 2)


@pytest.mark.parametrize(
    "faulty",
    [
        {"title": "x"},
        {"title": "x", "outline": [[1, 2], [3, 4]]},
        {"title": "x", "cells": ["1.1"]},
        {"title": "x", "cells": ["9.9"], "grid": 4},
        {"title": "x", "cells": ["1.1"], "grid": 4, "outline": [[1, 2], [3, 4], [5, 6]]},
    ],
)
def test_a_region_is_given_one_way_and_whole(faulty: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match="region 'x'"):
        Region.model_validate(faulty)


def test_an_outline_without_a_projection_lies_nowhere() -> None:
    with pytest.raises(ValidationError, match="no projection"):
        Geography(regions={"x": Region(title="x", outline=((1, 2), (3, 4), (5, 6)))})
    with pytest.raises(ValidationError, match="no such area"):
        Satellite.model_validate({**COMS.model_dump(), "geography": {"moon": {}}})


def without_regions(satellite: Satellite) -> Satellite:
    return satellite.model_copy(update={"geography": {}})


def test_a_root_of_before_there_were_regions_opens_stays_what_it_is_and_knows_those_that_are_shipped(
    tmp_path: Path,
) -> None:
    root = init_root(str(tmp_path))
    root.adopt({"coms": without_regions(COMS)})
    document = tomllib.loads((tmp_path / "wxpipe.toml").read_text())
    assert "geography" not in document["satellites"]["coms"]
    opened = Root(str(tmp_path))
    assert "yellow-sea" in opened.source("coms").geography.regions
    before = satellite_digest(opened, "coms-ea")
    opened.adopt({"coms": COMS})
    again = Root(str(tmp_path))
    assert again.satellites["coms"] == COMS
    assert satellite_digest(again, "coms-ea") == before  # nothing is ingested anew


def test_regions_of_other_pictures_are_not_taken_over(tmp_path: Path) -> None:
    area = COMS.areas["ea"].model_copy(update={"rows": 660, "crop_rows": 60, "columns": 752})
    root = init_root(str(tmp_path))
    root.adopt({"coms": without_regions(COMS).model_copy(update={"areas": {"ea": area}})})
    assert root.source("coms").geography == Geography()


def test_what_a_region_is_may_change_under_a_root_and_what_the_data_is_may_not(tmp_path: Path) -> None:
    mini = mini_satellite()
    root = init_root(str(tmp_path))
    root.adopt({"mini": mini})
    moved = Geography(regions={"middle": Region(title="Elsewhere", cells=("0.0",), grid=4)})
    root.adopt({"mini": mini.model_copy(update={"geography": {"t": moved}})})
    assert Root(str(tmp_path)).source("mini").geography == moved
    with pytest.raises(RefusedError, match="first_day"):
        root.adopt({"mini": mini.model_copy(update={"first_day": date(2020, 1, 2)})})


def test_regions_survive_the_toml() -> None:
    text = tomli_w.dumps(COMS.model_dump(mode="json", exclude_none=True))
    assert Satellite.model_validate(tomllib.loads(text)) == COMS
