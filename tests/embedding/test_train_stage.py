"""A week of pictures is drawn pairs from, trained on and embedded; a day is not, and says so."""

from __future__ import annotations

from base64 import b64decode
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.embedding.conftest import DAY, WEEK, Mapping, backfilled
from tests.mini import FIRST, SOURCE
from wxpipe.archive.png import png_size_mode
from wxpipe.embedding.curves import describe_training, draw_curves, epoch_rows, read_history
from wxpipe.embedding.embed_stage import read_vectors
from wxpipe.embedding.train_stage import UNTRAINED, current_model, read_model_card
from wxpipe.errors import NotFoundError, UsageError
from wxpipe.pipeline.backfill import Job, Report
from wxpipe.pipeline.plan import notes
from wxpipe.pipeline.run import Workers
from wxpipe.similarity.clip_ks import clip_similarities
from wxpipe.similarity.clip_stage import find_clip, read_clips
from wxpipe.similarity.histograms import histogram_store
from wxpipe.similarity.identity import parse_clip_id
from wxpipe.similarity.pairs import Block, PairSettings, block_triples, clip_days, plan_blocks, read_triples
from wxpipe.similarity.splits import SPLITS, split_days
from wxpipe.similarity.strategies import BINS, OWN_SECONDS, draw_triples, get_strategy
from wxpipe.store.frames import frame_store
from wxpipe.store.root import Root


def test_a_week_is_trained_on_and_the_model_says_with_what(week: tuple[Job, Report, Mapping]) -> None:
    job, report, _ = week
    assert report.exit_code == 0
    root = Root(job.root)
    card = read_model_card(root, current_model(root, SOURCE))
    assert card.trained
    assert card.data is not None
    assert sum(card.data.triples.values()) == len(read_triples(root, SOURCE))
    assert card.settings["epochs"] == 3
    assert card.metrics["validation_loss"] <= card.metrics["validation_loss_untrained"]
    assert card.metrics["test_loss"] > 0


def test_triples_stay_within_their_split_and_hold_the_ground_truth(week: tuple[Job, Report, Mapping]) -> None:
    root = Root(week[0].root)
    rows = read_triples(root, SOURCE).to_pylist()
    splits = split_days(clip_days(root, SOURCE))
    assert {row["split"] for row in rows} == set(SPLITS)
    for row in rows:
        days = {parse_clip_id(row[name]).time.date() for name in ("x", "y", "z")}
        assert {splits[day] for day in days} == {row["split"]}
        assert len({row["x"], row["y"], row["z"]}) == 3
    store = histogram_store(root, SOURCE)
    for row in rows[:: len(rows) // 12]:
        slots = np.array([find_clip(root, SOURCE, parse_clip_id(row[name]).time) for name in ("x", "y", "z")])
        exact = clip_similarities(
            store.read(slots.ravel()), np.arange(slots.size).reshape(slots.shape), np.array([[0, 1], [0, 2]]),
            store.cell_sizes(),
        )  # fmt: skip
        # The working set is rounded to 1/255 of a cell; cells of 20 pixels are coarse beside real ones.
        np.testing.assert_allclose([row["sim_xy"], row["sim_xz"]], exact, atol=2e-3)


def test_each_day_is_read_by_one_block_only(week: tuple[Job, Report, Mapping]) -> None:
    blocks = [block for block in week[2].blocks if hasattr(block, "split")]
    days = [day for block in blocks for day in block.days]
    assert len(blocks) > len(SPLITS), "the days of the training split fill more than one block"
    assert len(days) == len(set(days))
    assert sum(block.triples for block in blocks) == pytest.approx(600, abs=len(blocks))


def test_a_clips_vector_is_the_mean_of_its_frames(week: tuple[Job, Report, Mapping]) -> None:
    root = Root(week[0].root)
    model = current_model(root, SOURCE)
    axis = root.source(SOURCE).satellite.axis
    vectors: dict[datetime, Any] = {}
    for day in (FIRST.date(), FIRST.replace(day=2).date()):
        rows = read_vectors(root, model, SOURCE, day).to_pylist()
        vectors.update({row["time"]: row["vector"] for row in rows if row["unit"] == "frame"})
        if day == FIRST.date():
            clips = [row for row in rows if row["unit"] == "clip"]
    slots = {row["clip_id"]: row["slots"] for row in read_clips(root, SOURCE, FIRST.date()).to_pylist()}
    assert len(clips) == 96
    for clip in (clips[0], clips[50], clips[-1]):  # the last one reaches into the next day
        mean = np.mean([vectors[axis.time(slot)] for slot in slots[clip["id"]]], axis=0)
        np.testing.assert_allclose(clip["vector"], mean, atol=1e-6)


def test_the_same_week_gives_the_same_model_again(week: tuple[Job, Report, Mapping], tmp_path: Path) -> None:
    job, _ = backfilled(tmp_path, WEEK, Workers())
    first, second = (current_model(Root(j.root), SOURCE) for j in (week[0], job))
    assert first.rpartition("-")[0] == "channel-linear"
    assert first == second


def test_a_day_is_too_little_and_a_named_untrained_projection_serves(tmp_path: Path) -> None:
    job, report = backfilled(tmp_path, DAY, Workers())
    root = Root(job.root)
    model = current_model(root, SOURCE)
    assert report.exit_code == 0
    assert model.startswith(UNTRAINED)
    assert not read_model_card(root, model).trained
    assert "Nothing was learned" in describe_training(root, model)
    assert len(read_triples(root, SOURCE)) == 0
    assert notes(job.context()) == []


def test_newer_days_leave_the_model_alone_and_the_plan_says_so(tmp_path: Path) -> None:
    job, _ = backfilled(tmp_path, DAY, Workers())
    model = current_model(Root(job.root), SOURCE)
    again, report = backfilled(tmp_path, 2 * DAY, Workers())
    assert {r.stage for r in report.results} == {"ingest", "histograms", "clips", "embed"}
    assert current_model(Root(again.root), SOURCE) == model
    assert notes(again.context()) == [f"{SOURCE}: 1 days are newer than its model; `wxpipe train` learns from them too"]


def test_draws_are_three_different_clips_and_the_same_every_time() -> None:
    drawn = draw_triples(5, 400, seed=9)
    assert all(len(set(row)) == 3 for row in drawn.tolist())
    assert set(drawn.ravel().tolist()) == set(range(5))
    np.testing.assert_array_equal(drawn[:100], draw_triples(5, 100, seed=9))


def test_no_day_no_block() -> None:
    assert plan_blocks([], SOURCE, PairSettings()) == []


def test_the_frames_that_training_read_are_the_stores(week: tuple[Job, Report, Mapping]) -> None:
    root = Root(week[0].root)
    frames = frame_store(root, SOURCE)
    start = frames.axis.slot(FIRST)
    reduced = frames.reduced([start, start + 5], ("wv", "ir"))
    assert reduced.shape == (2, 2, 24, 30)
    picture = frames.picture(start + 5, "ir").astype(int)
    np.testing.assert_array_equal(reduced[1, 1], picture.reshape(24, 4, 30, 4).sum(axis=(1, 3)) // 16)


def drawn_by(strategy: Any, root: Root, count: int) -> list[dict[str, Any]]:
    days = tuple(clip_days(root, SOURCE))
    rows: list[dict[str, Any]] = block_triples(root, Block(SOURCE, "train", days, count, 5, strategy)).to_pylist()
    assert all(len({row["x"], row["y"], row["z"]}) == 3 for row in rows)
    return rows


def spread(rows: list[dict[str, Any]]) -> np.ndarray[Any, np.dtype[np.int64]]:
    """How many similarities lie in each bin."""
    values = np.array([[row["sim_xy"], row["sim_xz"]] for row in rows])
    return np.bincount(np.minimum((values * BINS).astype(int), BINS - 1).ravel(), minlength=BINS)


def test_stratified_triples_are_even_over_similarity(week: tuple[Job, Report, Mapping]) -> None:
    root = Root(week[0].root)
    even, plain = spread(drawn_by("stratified", root, 400)), spread(drawn_by("random", root, 400))
    assert even.sum() == plain.sum() == 800
    reached = even[np.flatnonzero(even)[0] : np.flatnonzero(even)[-1] + 1]
    assert len(reached) > BINS / 2, "clips near in time are similar, others are not"
    assert reached[1:-1].max() <= 1.3 * reached[1:-1].min(), reached
    assert plain.max() > 5 * np.median(plain[np.flatnonzero(even)]), "uniform draws are nearly all of one kind"


def test_hard_triples_are_of_other_events_and_as_similar_as_there_are(week: tuple[Job, Report, Mapping]) -> None:
    root = Root(week[0].root)
    hard = drawn_by("hard", root, 200)
    for row in hard:
        x, y, z = (parse_clip_id(row[name]).time for name in ("x", "y", "z"))
        assert min(abs((y - x).total_seconds()), abs((z - x).total_seconds())) >= OWN_SECONDS
        assert row["sim_xy"] >= row["sim_xz"]
    plain = [row for row in drawn_by("random", root, 200) if row["sim_xy"] < 0.5]
    assert np.mean([row["sim_xy"] for row in hard]) > np.mean([row["sim_xy"] for row in plain]) + 0.01
    assert np.mean([row["sim_xy"] - row["sim_xz"] for row in hard]) < 0.02, "close calls"


def test_distant_triples_are_uniform_ones_of_other_events(week: tuple[Job, Report, Mapping]) -> None:
    root = Root(week[0].root)
    distant = drawn_by("distant", root, 200)
    for row in distant:
        x, y, z = (parse_clip_id(row[name]).time for name in ("x", "y", "z"))
        assert min(abs((y - x).total_seconds()), abs((z - x).total_seconds())) >= OWN_SECONDS
    hard = np.mean([row["sim_xy"] for row in drawn_by("hard", root, 200)])
    assert np.mean([row["sim_xy"] for row in distant]) < hard


def test_a_strategy_that_is_not_known_is_answered_with_those_that_are() -> None:
    with pytest.raises(UsageError, match="random, distant, stratified, hard"):
        get_strategy("clever")


def test_how_a_training_went_is_kept_and_drawn(week: tuple[Job, Report, Mapping], tmp_path: Path) -> None:
    root = Root(week[0].root)
    model = current_model(root, SOURCE)
    history = read_history(root, model)
    assert [record.epoch for record in history.records] == [0, 1, 2, 3]
    card = read_model_card(root, model)
    assert history.best.validation_loss == card.metrics["validation_loss"]
    draw_curves(root, model, tmp_path / "curves.png")
    header = png_size_mode((tmp_path / "curves.png").read_bytes(), "curves.png")
    assert (header.rows, header.columns) == (540, 960)
    text = describe_training(root, model)
    facts = (
        "360 train, 120 valid, 120 test",
        f"{card.metrics['test_loss']:.5f}",
        f"epoch {history.best_epoch} of 3",
        "all 3 epochs",
    )
    assert all(fact in text for fact in facts)
    picture = b64decode(text.partition("data:image/png;base64,")[2].partition(")")[0])
    assert png_size_mode(picture, "inline").columns == 960
    rows = epoch_rows(history)
    assert [row["kept"] for row in rows] == ["kept" if n == history.best_epoch else "" for n in range(4)]
    with pytest.raises(NotFoundError, match="nothing was learned"):
        draw_curves(root, f"{UNTRAINED}-0123456789ab", tmp_path / "none.png")
