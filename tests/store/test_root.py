"""A root keeps what its data were made with, and refuses to be contradicted."""

from __future__ import annotations

import pickle
import tomllib
from datetime import date
from typing import Any

import pytest

from wxpipe.config import FORMAT, DataSettings
from wxpipe.errors import NotFoundError, RefusedError, UsageError, WxpipeError
from wxpipe.satellites.catalog import shipped_satellites
from wxpipe.satellites.satellite import Area, Satellite
from wxpipe.store.objects import open_objects
from wxpipe.store.root import SETTINGS, Root, init_root, require_root

PUBLISHED = DataSettings(histograms=("24x20-exact", "24x20-reference"), clip_choice="published")


def full(satellite: Satellite) -> Satellite:
    """A satellite that uses every field, with nothing at its default."""
    return Satellite.model_validate(
        {
            **satellite.model_dump(),
            "clip": {"frames": 3, "hours": 12},
            "schedule": [
                {"since": date(2020, 2, 28), "every_minutes": 360},
                {"since": date(2020, 3, 1), "every_minutes": 720, "offset_minutes": 360},
            ],
            "areas": {
                "sea": {
                    **satellite.areas["sea"].model_dump(),
                    "overlay_colour": (255, 255, 0),
                    "title_bar": {"font": "f", "text": "{channel} {time:%H}"},
                    "learn_overlay": True,
                    "modes": ["GIF", "8-bit PGM in gzip"],
                    "full_disk": True, "middle": (38.0, 126.0),
                }
            },
            "names": [
                {"pattern": r"(?P<time>\d+)", "time": "%Y", "area": "sea", "channel": "ir", "channels": {"I": "ir"},
                 "areas": {"s": "sea"}, "unverified": True, "time_from": "{time}0", "path": "{time}"},
            ],
            "unverified": True,
            "geography": {
                "sea": {
                    "projection": {"size": (10, 20), "pole": (-5.0, 9.5), "scale": 30.0, "meridian": 127.0},
                    "regions": {"bay": {"title": "Bay", "outline": [(30, 120), (31, 121), (30, 121)]},
                                "corner": {"title": "Corner", "cells": ["0.0"], "grid": 4}},
                }
            },
        }
    )  # fmt: skip


def test_a_root_is_made_once_and_opened_after(place: str) -> None:
    with pytest.raises(NotFoundError, match=r"not a wxpipe root \(it has no wxpipe.toml\); `wxpipe backfill` makes"):
        Root(place)
    with pytest.raises(UsageError, match="not a wxpipe root"):
        require_root(place)
    assert init_root(place).settings == DataSettings()
    document = open_objects(place).get(SETTINGS)
    assert init_root(place).settings == init_root(place, DataSettings()).settings == DataSettings()
    assert require_root(place).url == place
    assert open_objects(place).get(SETTINGS) == document


def test_a_root_keeps_its_settings_when_none_are_asked_for(place: str) -> None:
    init_root(place, PUBLISHED)
    assert init_root(place).settings == init_root(place, PUBLISHED).settings == PUBLISHED


def test_other_settings_are_refused_by_name(place: str) -> None:
    init_root(place)
    with pytest.raises(RefusedError) as refused:
        init_root(place, PUBLISHED)
    said = str(refused.value)
    assert "clip_choice: asked for published, the root has even" in said
    assert "histograms: asked for ('24x20-exact', '24x20-reference'), the root has ('24x20-exact',)" in said
    assert said.endswith("use another root")
    assert Root(place).settings == DataSettings()


@pytest.mark.parametrize(
    ("wrong", "remedy"),
    [
        (FORMAT - 1, "`wxpipe migrate --root .* leads to it"),
        *((form, "use the version") for form in (FORMAT + 1, 0, "1")),
    ],
)
def test_another_format_is_refused_before_anything_else_is_read(place: str, wrong: object, remedy: str) -> None:
    text = f'format = {wrong!r}\n[data]\nof_the_future = 1\n[satellites.x]\nname = "x"\n'
    open_objects(place).put(SETTINGS, text.encode())
    with pytest.raises(RefusedError, match=rf"has format {wrong}, this version reads {FORMAT}; {remedy}"):
        Root(place)


@pytest.mark.parametrize(
    "text",
    [b"format = = 1", b"\xff\xfe", f"format = {FORMAT}".encode(), f"format = {FORMAT}\n[data]\ncolour = 1".encode()],
)
def test_damaged_settings_are_told_with_their_file(place: str, text: bytes) -> None:
    open_objects(place).put(SETTINGS, text)
    with pytest.raises(WxpipeError, match=r"wxpipe\.toml is damaged: "):
        Root(place)


@pytest.mark.parametrize("fields", ["plain", "full"])
def test_a_satellite_comes_back_with_every_field(place: str, satellite: Satellite, fields: str) -> None:
    wanted = full(satellite) if fields == "full" else satellite
    if fields == "plain":
        assert wanted.clip is None
    else:
        assert all(
            getattr(model, name) != field.get_default(call_default_factory=True)
            for model in (wanted, wanted.areas["sea"], wanted.names[0], wanted.clip)
            for name, field in type(model).model_fields.items()
        )
    init_root(place).adopt({"tiny": wanted})
    assert Root(place).satellites == {"tiny": wanted}
    assert isinstance(Root(place).satellites["tiny"].areas["sea"].reduce, tuple)


def test_the_defaults_of_the_day_are_written_down(place: str) -> None:
    """A later version with other defaults must not change what this root's data were made with."""
    init_root(place).adopt(shipped_satellites())
    document = tomllib.loads(open_objects(place).get(SETTINGS).decode())
    assert document["satellites"]["coms"]["clip"] == {"frames": 20, "hours": 6}
    assert document["satellites"]["coms"]["channels"]["ir01"]["required"] is True
    assert document["data"].keys() == DataSettings.model_fields.keys() - DataSettings.gained


def test_adopting_again_changes_nothing_and_another_satellite_is_added(place: str, satellite: Satellite) -> None:
    root = init_root(place, PUBLISHED)
    root.adopt({"tiny": satellite})
    document = root.objects.get(SETTINGS)
    Root(place).adopt({"tiny": satellite})
    Root(place).adopt({})
    assert root.objects.get(SETTINGS) == document
    Root(place).adopt({"coms": shipped_satellites()["coms"]})
    again = Root(place)
    assert sorted(again.satellites) == ["coms", "tiny"]
    assert again.settings == PUBLISHED
    assert again.source("tiny").id == "tiny-sea"
    with pytest.raises(UsageError, match="sources: coms-ea, tiny-sea"):
        again.source("gk2a")


def test_a_satellite_may_be_called_verified_later(place: str, satellite: Satellite) -> None:
    root = init_root(place)
    root.adopt({"tiny": satellite.model_copy(update={"unverified": True})})
    Root(place).adopt({"tiny": satellite})
    assert Root(place).satellites == {"tiny": satellite}


def with_area(satellite: Satellite, **changes: Any) -> dict[str, Area]:
    return {"sea": Area.model_validate({**satellite.areas["sea"].model_dump(), **changes})}


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("cadence_minutes", lambda _: 720),
        ("first_day", lambda _: date(2020, 2, 27)),
        ("channels", lambda s: {name: s.channels[name] for name in ("wv", "ir", "vis")}),
        ("channels", lambda s: {**s.channels, "vis": s.channels["ir"]}),
        ("areas", lambda s: with_area(s, title_rows=3)),
        ("areas", lambda s: with_area(s, overlay_colour=(1, 2, 3))),
        ("clip", lambda s: full(s).clip),
        ("schedule", lambda s: full(s).schedule),
    ],
)
def test_a_satellite_that_would_change_the_data_is_refused_by_field(
    root: Root, satellite: Satellite, field: str, change: Any
) -> None:
    with pytest.raises(RefusedError, match=rf"satellite tiny: {field} differ.*\({field}: .* there, .* now\)"):
        root.adopt({"tiny": satellite.model_copy(update={field: change(satellite)})})
    assert Root(root.url).satellites == {"tiny": satellite}


def test_a_later_last_day_leads_to_extend(root: Root, satellite: Satellite) -> None:
    with pytest.raises(RefusedError, match=r"last_day is 2020-03-02 in the root and 2020-03-03 now.*wxpipe extend"):
        root.adopt({"tiny": satellite.model_copy(update={"last_day": date(2020, 3, 3)})})


def test_a_definition_from_before_an_extension_leaves_the_axis_long(root: Root, satellite: Satellite) -> None:
    root.adopt({"tiny": satellite.model_copy(update={"last_day": date(2020, 3, 1), "title": "New"})})
    assert Root(root.url).satellites == {"tiny": satellite.model_copy(update={"title": "New"})}


def test_how_files_are_named_may_change(root: Root, satellite: Satellite) -> None:
    changed = satellite.model_copy(update={"names": full(satellite).names, "title": "New", "imagery": "someone"})
    root.adopt({"tiny": changed})
    assert Root(root.url).satellites == {"tiny": changed}


def test_a_root_travels_to_another_process_by_its_url(place: str, programs: Any, satellite: Satellite) -> None:
    root = init_root(place, PUBLISHED)
    root.adopt({"tiny": satellite})
    root.memo["something"] = lambda: "that cannot be pickled"  # type: ignore[index]
    sent = pickle.dumps(root)
    assert len(sent) < 300
    code = "import pickle, sys; r = pickle.loads(bytes.fromhex(sys.argv[1])); print(r.settings.clip_choice, r.memo)"
    assert programs.run(code, sent.hex()) == (0, "published {}")
    assert pickle.loads(sent).satellites == root.satellites


def test_sources_are_those_with_an_inventory(root: Root) -> None:
    assert root.sources == []
    root.objects.put("inventory/unparsed.parquet", b"")
    root.objects.put("inventory/tiny-sea/2020-02.parquet", b"")
    assert [source.id for source in root.sources] == ["tiny-sea"]
