"""What the service answers is what the command line answers, and what the store holds."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image, ImageSequence
from prometheus_client.parser import text_string_to_metric_families
from typer.testing import CliRunner

from tests.service.running import Running, running
from tests.vectors.tiny_root import SOURCE, TinyRoot, cloud, vector
from wxpipe.cli.app import app
from wxpipe.store.root import Root
from wxpipe.vectors.sql import run_sql
from wxpipe.vectors.sql_rows import format_rows
from wxpipe.vectors.times import parse_time

AT = "2011-03-03T08:00Z"
FRAME, CLIP = f"{SOURCE}/20110303T0800Z", f"{SOURCE}/20110303T0800Z/6h20"
SEARCHES: tuple[dict[str, Any], ...] = (
    {"at": AT},
    {"at": "2011-03-03T17:00+09:00", "k": 3, "episodes": "off", "exclude_hours": 0},
    {"at": "latest", "unit": "frame", "k": 4, "hours": "8-12", "season": "own"},
    {"at": AT, "where": "hour IN (8, 9) AND coverage > .5", "coverage": 0.9, "rerank": "ground-truth"},
    {"at": AT, "years": "2011-2012", "season": "03-05", "events_within": 12, "events_where": "type = 'heavy rain'"},
)


def cli(*arguments: object) -> Any:
    """What the command line prints for programs."""
    said = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert said.exit_code == 0, said.output
    return json.loads(said.stdout)


def same(found: dict[str, Any], expected: dict[str, Any]) -> None:
    """Equal but for the last digits of distances, which are worked out in memory here and by LanceDB there."""
    for ours, theirs in zip(found["analogs"], expected["analogs"], strict=True):
        assert ours.pop("distance") == pytest.approx(theirs.pop("distance"), rel=1e-5, abs=1e-6)
    assert found == expected


def image(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


@pytest.mark.parametrize("words", SEARCHES, ids=" ".join)
def test_a_search_is_what_the_command_line_prints(service: Running, tiny: TinyRoot, words: dict[str, Any]) -> None:
    options = [part for name, value in words.items() for part in (f"--{name.replace('_', '-')}", value)]
    expected = cli("search", "--root", tiny.root.url, "--satellite", "tiny", "--json", *options)
    assert expected["analogs"]
    same(service.json("/v1/search", satellite="tiny", **words), json.loads(json.dumps(expected)))
    answer = service.client.post("/v1/search", json={"source": SOURCE, **words})
    assert answer.headers["wxpipe-release"] == "1"
    same(answer.json(), expected)


def test_a_vector_is_looked_for(service: Running) -> None:
    found = service.client.post("/v1/search", json={"source": SOURCE, "vector": vector(CLIP, 0), "k": 2}).json()
    assert found["query"] == {"clip_id": None, "start": None, "end": None}
    assert found["analogs"][0]["clip_id"] == CLIP
    assert found["analogs"][0]["distance"] == pytest.approx(0, abs=1e-3)


def test_several_examples_are_what_the_command_line_prints(service: Running, tiny: TinyRoot) -> None:
    words = {"at": AT, "more": ["2011-03-04T09:00Z*2", "2011-03-06T07:00Z"], "less": ["2011-03-04T11:00Z*.5"], "k": 4}
    options = [part for name in ("more", "less") for value in words[name] for part in (f"--{name}", value)]  # type: ignore[attr-defined]
    expected = cli("search", "--root", tiny.root.url, "--satellite", "tiny", "--json", "--at", AT, "--k", 4, *options)
    assert [one["weight"] for one in expected["query"]["examples"]] == [1, 2, 1, -0.5]
    same(service.json("/v1/search", satellite="tiny", **words), json.loads(json.dumps(expected)))
    same(service.client.post("/v1/search", json={"source": SOURCE, **words}).json(), expected)


@pytest.mark.parametrize("name", ["mse", "hist-bhattacharyya"])
def test_candidates_are_ordered_by_a_measure(service: Running, tiny: TinyRoot, name: str) -> None:
    expected = cli("search", "--root", tiny.root.url, "--satellite", "tiny", "--json", "--at", AT, "--rerank", name)
    found = service.json("/v1/search", satellite="tiny", at=AT, rerank=name)
    assert all(analog["score"] > 0 for analog in found["analogs"])
    same(found, expected)


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        ({}, 400, "name the satellite"),
        ({"satellite": "tiny"}, 400, "by its time or by a vector"),
        ({"satellite": "goes", "at": AT}, 400, "sources: tiny-ea"),
        ({"satellite": "tiny", "at": "noon"}, 400, "expected a time such as"),
        ({"satellite": "tiny", "at": "2011-03-03T03:00Z"}, 404, "the nearest begin at 2011-03-03T06:00:00Z"),
        ({"satellite": "tiny", "at": "1950-01-01"}, 400, "lies outside"),
        ({"satellite": "tiny", "at": AT, "where": "moon = 3"}, 400, "columns: clip_id"),
        ({"satellite": "tiny", "at": AT, "where": "1=1) OR (1=1"}, 400, "brackets do not match"),
        ({"satellite": "tiny", "at": AT, "where": "repeat('a', 2000000000) = 'b'"}, 400, "repeat is not offered"),
        ({"satellite": "tiny", "at": AT, "less": [AT]}, 400, "must outweigh"),
        ({"satellite": "tiny", "at": AT, "more": ["yesterday"]}, 400, "expected a time such as"),
        ({"satellite": "tiny", "at": AT, "more": [f"{AT}*nan"]}, 400, "choose above 0"),
        ({"satellite": "tiny", "at": AT, "more": ["2011-03-03T03:00Z"]}, 404, "the nearest begin"),
        ({"satellite": "tiny", "at": AT, "more": [AT] * 33}, 422, "at most 32 items"),
        ({"satellite": "tiny", "at": AT, "less": ["2" * 65]}, 422, "at most 64 characters"),
        ({"satellite": "tiny", "more": [AT]}, 400, "by its time or by a vector"),
        ({"satellite": "tiny", "at": AT, "rerank": "taste"}, 400, "known measures: ground-truth"),
        ({"satellite": "tiny", "at": AT, "k": 0}, 422, "query.k: Input should be greater than or equal to 1"),
        ({"satellite": "tiny", "at": AT, "monht": 3}, 422, "query.monht: Extra inputs are not permitted"),
    ],
)
def test_what_cannot_be_asked_is_told_in_words(
    service: Running, tiny: TinyRoot, words: dict[str, Any], status: int, told: str
) -> None:
    answer = service.get("/v1/search", **words)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    assert told in problem["detail"]
    assert problem["request"] == answer.headers["wxpipe-request"]
    assert tiny.root.url not in answer.text
    assert "--" not in problem["detail"]


def test_a_frame_tells_what_became_of_its_pictures(service: Running) -> None:
    found = service.json(f"/v1/frames/{FRAME}")
    assert (found["frame_id"], found["time"], found["good"]) == (FRAME, "2011-03-03T08:00:00Z", True)
    assert found["channels"]["ir01"] == {
        "band": "ir", "status": "good", "rows": 48, "overlay": "none", "observed": None,
        "picture": f"/v1/frames/{FRAME}/ir01.png",
    }  # fmt: skip
    bad = service.json(f"/v1/frames/{SOURCE}/20110303T0545Z")
    assert not bad["good"]
    assert bad["channels"]["ir01"] | {"band": ""} == {
        "band": "", "status": "quarantined", "rows": 0, "overlay": None, "observed": None, "picture": None
    }  # fmt: skip


def test_a_picture_has_the_pixels_that_are_stored(service: Running, tiny: TinyRoot) -> None:
    slot = tiny.source.satellite.axis.slot(parse_time(AT))
    expected = cloud(slot, 1)
    plain = service.get(f"/v1/frames/{FRAME}/wv.png")
    assert plain.headers["content-type"] == "image/png"
    assert np.array_equal(np.asarray(image(plain.content)), expected)
    drawn = np.asarray(image(service.get(f"/v1/frames/{FRAME}/wv.png", overlay="on").content))
    assert np.array_equal(drawn, np.stack([expected] * 3, -1))
    small = np.asarray(image(service.get(f"/v1/frames/{FRAME}/wv.png", width=30).content))
    assert np.array_equal(small, expected[::2, ::2]), "the reduced picture, as this root's are"
    some = np.asarray(image(service.get(f"/v1/frames/{FRAME}/wv.png", width=40).content))
    assert np.array_equal(some, cv2.resize(expected, (40, 32), interpolation=cv2.INTER_AREA))
    near = np.asarray(image(service.get(f"/v1/frames/{FRAME}/wv.webp").content).convert("L"))
    assert np.abs(near.astype(int) - expected).mean() < 4


def test_a_client_that_has_a_picture_is_not_sent_it_again(service: Running) -> None:
    path = f"/v1/frames/{FRAME}/ir01.webp"
    first = service.get(path)
    assert "max-age" in first.headers["cache-control"]
    again = service.client.get(path, headers={"If-None-Match": f'"other", W/{first.headers["etag"]}'})
    assert (again.status_code, again.content) == (304, b"")
    tags = {service.get(path, **words).headers["etag"] for words in ({}, {"overlay": "on"}, {"width": 20})}
    assert len(tags) == 3
    assert service.get(f"/v1/frames/{FRAME}/ir01.png").headers["etag"] not in tags


@pytest.mark.parametrize(("form", "overlay"), [("webp", "off"), ("webp", "on"), ("png", "off")])
def test_a_clip_loops(service: Running, tiny: TinyRoot, form: str, overlay: str) -> None:
    found = service.json(f"/v1/clips/{CLIP}")
    assert (found["clip_id"], found["start"], found["end"]) == (CLIP, "2011-03-03T08:00:00Z", "2011-03-03T14:00:00Z")
    assert len(found["frames"]) == 20
    assert found["frames"][0]["frame_id"] == FRAME
    answer = service.get(f"/v1/clips/{CLIP}/ir01.{form}", overlay=overlay, width=40, milliseconds=100)
    assert answer.headers["content-type"] == f"image/{form}"
    loop: Any = image(answer.content)
    assert (loop.n_frames, loop.size, loop.info["loop"]) == (20, (40, 32), 0)
    assert [part.load() and part.info["duration"] for part in ImageSequence.Iterator(loop)] == [100] * 20
    shown = [np.asarray(part.convert("L")).astype(int) for part in ImageSequence.Iterator(loop)]
    for frame, picture in zip(found["frames"], shown, strict=True):
        slot = tiny.source.satellite.axis.slot(parse_time(frame["time"]))
        assert np.abs(picture - cv2.resize(cloud(slot, 0), (40, 32), interpolation=cv2.INTER_AREA)).mean() < 4


def test_a_strip_has_the_frames_below_each_other(service: Running, tiny: TinyRoot) -> None:
    frames = [frame["time"] for frame in service.json(f"/v1/clips/{CLIP}")["frames"]]
    strip = np.asarray(image(service.get(f"/v1/clips/{CLIP}/wv.png", layout="strip", width=30).content))
    slots = [tiny.source.satellite.axis.slot(parse_time(time)) for time in frames]
    assert np.array_equal(strip, np.concatenate([cloud(slot, 1)[::2, ::2] for slot in slots]))


@pytest.mark.parametrize(
    ("path", "told"),
    [
        (f"/v1/frames/{SOURCE}/20110303T0807Z", "the nearest is tiny-ea/20110303T0800Z"),
        (f"/v1/frames/{SOURCE}/20190303T0800Z", "lies outside"),
        (f"/v1/frames/{SOURCE}/yesterday", "names no frame"),
        ("/v1/frames/goes-x/20110303T0800Z", "sources: tiny-ea"),
        (f"/v1/frames/{SOURCE}/20110303T0200Z/ir01.png", "no picture is stored"),
        (f"/v1/frames/{FRAME}/vis.png", "it has ir01, wv"),
        (f"/v1/clips/{SOURCE}/20110303T0500Z/6h20", "the nearest are tiny-ea/20110303T0600Z/6h20"),
        (f"/v1/clips/{SOURCE}/20110303T0800Z/3h10", "named like tiny-ea/20110303T0800Z/6h20"),
        (f"/v1/clips/{CLIP}/vis.webp", "it has ir01, wv"),
        ("/v1/releases/7", "releases: 1"),
        ("/v1/nothing", "openapi.json"),
    ],
)
def test_what_is_not_there_is_not_found(service: Running, path: str, told: str) -> None:
    answer = service.get(path)
    assert answer.status_code == 404
    assert told in answer.json()["detail"]
    assert answer.json()["title"] == "Not Found"


def test_sql_answers_rows(service: Running, tiny: TinyRoot) -> None:
    query = f"SELECT rank, clip_id, start FROM analogs('{CLIP}', 3) ORDER BY rank"
    expected = run_sql(tiny.root, query)
    assert service.json("/v1/sql", query=query) == json.loads(format_rows(expected, "json"))
    csv = service.client.post("/v1/sql", json={"query": query, "format": "csv"})
    assert csv.headers["content-type"] == "text/csv; charset=utf-8"
    assert csv.text == format_rows(expected, "csv")
    refused = service.get("/v1/sql", query="COPY clips TO '/tmp/clips.csv'")
    assert refused.status_code == 400
    assert "SQL" in refused.json()["detail"]
    rows = service.get("/v1/sql", query="SELECT 1 FROM frames a, frames b, frames c")
    assert "row limit: the answer has more than 100,000 rows" in rows.json()["detail"]


def test_coverage_is_what_status_prints(service: Running, tiny: TinyRoot) -> None:
    found = service.json("/v1/coverage")
    said = CliRunner().invoke(app, ["status", "--root", tiny.root.url, "--json"])
    expected = json.loads(said.stdout)
    assert found.pop("counted").endswith("Z")
    assert found.pop("root") == "ROOT"
    expected.pop("root")
    for document in (found, expected):
        for source in document["sources"].values():
            source.pop("lag_seconds")
    assert found == expected


def test_holdings(service: Running) -> None:
    listed = service.json("/v1/releases")
    assert (listed["current"], listed["serving"]) == (1, 1)
    (release,) = listed["releases"]
    assert (release["number"], release["clips"], release["frames"]) == (1, 3 * 29, 3 * 48)
    assert service.json("/v1/releases/1")["parts"][0]["tables"]["clips"]["rows"] == 3 * 29
    (source,) = service.json("/v1/sources")["sources"]
    assert (source["source"], source["channels"], source["trained"]) == (SOURCE, {"ir01": "ir", "wv": "wv"}, False)
    assert source["clip"] == {"hours": 6, "frames": 20}
    events = service.json("/v1/events")
    assert [event["type"] for event in events["events"]] == ["heavy rain", "gale"]
    assert events["events"][0] | {"event_id": ""} == {
        "event_id": "", "start": "2011-03-04T15:00:00Z", "end": "2011-03-04T18:00:00Z", "type": "heavy rain",
        "region": "Seoul", "value": 31.5, "source": "KMA", "lat": None, "lon": None, "imported_from": "warnings.csv",
    }  # fmt: skip
    for words, types in (({"type": "gale"}, ["gale"]), ({"region": "Seoul"}, ["heavy rain"]), ({"limit": 1}, [
        "heavy rain"]), ({"start": "2011-03-05"}, ["gale"]), ({"end": "2011-03-05"}, ["heavy rain"])):  # fmt: skip
        assert [event["type"] for event in service.json("/v1/events", **words)["events"]] == types


def test_metrics_count_requests_and_tell_of_the_root(service: Running) -> None:
    service.json("/v1/coverage")
    service.get("/v1/nothing")
    families = {f.name: f for f in text_string_to_metric_families(service.get("/metrics").text)}
    counts = {(s.labels["route"], s.labels["status"]): s.value for s in families["wxpipe_requests"].samples
              if s.name.endswith("_total")}  # fmt: skip
    assert counts["/v1/coverage", "200"] >= 1
    assert counts["none", "404"] >= 1
    assert {s.labels["le"] for s in families["wxpipe_request_duration_seconds"].samples if s.labels.get("le")}
    assert families["wxpipe_release_number"].samples[0].value == 1
    assert families["wxpipe_survey_success"].samples[0].value == 1


def test_every_address_has_an_example_and_says_what_may_go_wrong(service: Running) -> None:
    document = service.json("/v1/openapi.json")
    operations = [(path, operation) for path, item in document["paths"].items() for operation in item.values()]
    assert len(operations) >= 20
    for path, operation in operations:
        assert operation["summary"], path
        (media, content), *_ = operation["responses"]["200"]["content"].items()
        assert "example" in content or media.startswith("image/"), path
        assert "application/problem+json" in operation["responses"]["404"]["content"], path
        for parameter in operation.get("parameters", ()):
            assert parameter.get("description") or parameter["schema"].get("description"), (path, parameter["name"])


def test_each_request_is_a_line_of_the_log(service: Running) -> None:
    number = service.get("/v1/sources").headers["wxpipe-request"]
    (line,) = [line for line in service.lines() if line.get("request") == number]
    assert (line["event"], line["path"], line["status"], line["release"]) == ("request", "/v1/sources", 200, 1)
    assert line["seconds"] > 0


def test_answers_let_a_browser_load_nothing_else(service: Running) -> None:
    headers = service.get("/v1/sources").headers
    assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert headers["x-content-type-options"] == "nosniff"
    assert "server" not in headers


def test_a_real_picture_comes_back_pixel_by_pixel(
    real_archive: Path, tmp_path: Path, ingested: Callable[..., Root]
) -> None:
    """Of seven times, since an overlay is learned from several pictures."""
    files = sorted((real_archive / "coms").rglob("coms_mi_le1b_*.png"))
    times = sorted({file.stem.rpartition("_")[2] for file in files})[:7]
    archive = tmp_path / "archive"
    archive.mkdir()
    kept = [file for file in files if file.stem.rpartition("_")[2] in times]
    for file in kept:
        (archive / file.name).symlink_to(file)
    ingested(tmp_path / "root", archive)
    with running(tmp_path / "root", ready=False) as server:
        for file in (file for file in kept if file.stem.endswith(times[3])):
            channel, time = file.stem.split("_")[3], datetime.strptime(times[3], "%Y%m%d%H%M")
            answer = server.get(f"/v1/frames/coms-ea/{time:%Y%m%dT%H%MZ}/{channel}.png", overlay="on")
            assert answer.status_code == 200, answer.text
            assert np.array_equal(np.asarray(image(answer.content)), np.asarray(Image.open(file).convert("RGB")))


def test_what_came_next_is_served(service: Running) -> None:
    words = {"satellite": "tiny", "at": "2011-03-03T08:00Z", "exclude_hours": 1, "ahead": 2, "step": 1}
    found = service.json("/v1/ahead", **words)
    assert [moment["hours"] for moment in found["steps"]] == [1, 2]
    assert len(found["steps"][0]["usual"]) == found["grid"] ** 2
    assert found["query"]["clip_id"].startswith("tiny-ea/20110303T0800Z")
    assert service.get("/v1/ahead", **words | {"ahead": 25}).status_code == 422
    assert service.get("/v1/ahead", **words | {"step": 9}).status_code == 200, "a step beyond the end is the end"
