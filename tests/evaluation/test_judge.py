"""A judgement of a small real root: its rows are what they say, its figures those of the pairs, its clips held out."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import pearsonr, spearmanr

from tests.evaluation.conftest import REGIMES, SOURCE, VISIT_HOURS
from wxpipe.archive.truth import read_truth
from wxpipe.embedding.embed_stage import read_vectors, vector_key
from wxpipe.embedding.train_stage import current_model, read_model_card
from wxpipe.errors import NotFoundError, RefusedError, UsageError
from wxpipe.evaluation.events import events_of
from wxpipe.evaluation.judge import Evaluation, EvaluationSettings, evaluate
from wxpipe.evaluation.judged import draw_evenly, held_out
from wxpipe.similarity.clip_ks import clip_similarity_matrix
from wxpipe.similarity.clip_stage import read_clips
from wxpipe.similarity.histograms import histogram_store
from wxpipe.similarity.identity import parse_clip_id
from wxpipe.similarity.pairs import clip_days, read_triples
from wxpipe.similarity.splits import split_days
from wxpipe.store.frames import frame_store
from wxpipe.store.ledger import Ledger
from wxpipe.store.root import Root
from wxpipe.store.tables import put_table

HOURS = 3600


def judge(root: Root, truth: Path | None = None, **settings: Any) -> Evaluation:
    return evaluate(root, root.source(SOURCE), EvaluationSettings(**settings), truth)


@pytest.fixture(scope="module")
def judged(root: Root) -> Evaluation:
    """Every clip of the test split."""
    return judge(root)


@pytest.fixture(scope="module")
def some(root: Root, truth_file: Path) -> Evaluation:
    """Forty clips of the test split, with their regimes."""
    return judge(root, truth_file, clips=40)


@pytest.fixture
def copied(root: Root, tmp_path: Path) -> Root:
    shutil.copytree(str(root.url).removeprefix("file://"), tmp_path / "root")
    return Root(str(tmp_path / "root"))


def value(judged: Evaluation, row: str, figure: str) -> float:
    found = judged.rows[row].figures[figure].value
    assert found is not None
    return found


def test_only_clips_of_the_test_split_are_judged(judged: Evaluation, root: Root) -> None:
    splits = split_days(clip_days(root, SOURCE))
    days = {parse_clip_id(name).time.date() for name in judged.clips.ids}
    assert {splits[day] for day in days} == {"test"}
    learned = {parse_clip_id(name).time.date() for row in read_triples(root, SOURCE).to_pylist()
               if row["split"] != "test" for name in (row["x"], row["y"], row["z"])}  # fmt: skip
    assert min(abs((a - b).days) for a in days for b in learned) > 1
    assert judged.held.seen == "no"
    assert len(judged.clips) == judged.clips.of
    assert sorted(judged.clips.ids) == list(judged.clips.ids)


def test_the_oracle_is_perfect_and_random_vectors_know_nothing(judged: Evaluation) -> None:
    for figure in judged.rows["oracle"].figures.values():
        assert (figure.value, figure.low, figure.high) == (1.0, 1.0, 1.0)
    for name in ("pearson_all", "spearman_all", "pearson_distant", "spearman_distant"):
        assert abs(value(judged, "random", name)) < 0.1
    assert value(judged, "random", "recall_at_10") == pytest.approx(judged.by_chance[9], abs=0.05)
    assert value(judged, "random", "top_10_similarity") < min(
        value(judged, row, "top_10_similarity") for row in judged.rows if row != "random"
    )


def test_measures_that_see_pixels_are_between_the_two(judged: Evaluation) -> None:
    assert set(judged.rows) == {"oracle", "random", "untrained", "pixel L2", "histogram L1", "trained"}
    for row in ("untrained", "pixel L2", "histogram L1"):
        assert 0.3 < value(judged, row, "pearson_all") < 1
        assert value(judged, row, "recall_at_10") > 2 * judged.by_chance[9]
    assert value(judged, "histogram L1", "pearson_distant") > value(judged, "pixel L2", "pearson_distant")


def test_intervals_hold_their_figures(judged: Evaluation) -> None:
    assert judged.events.by == "UTC day"
    for row in judged.rows.values():
        for figure in row.figures.values():
            assert figure.low is not None
            assert figure.high is not None
            assert figure.value is not None
            assert figure.low - 0.05 <= figure.value <= figure.high + 0.05
            assert figure.low < figure.high or row.name == "oracle"


def literal_truth(root: Root, judged: Evaluation) -> Any:
    store = histogram_store(root, SOURCE)
    positions = np.arange(judged.clips.slots.size).reshape(judged.clips.slots.shape)
    return 1 - clip_similarity_matrix(store.read(judged.clips.slots.ravel()), positions, store.cell_sizes())


def literal_vectors(root: Root, judged: Evaluation) -> Any:
    found = {}
    for day in {parse_clip_id(name).time.date() for name in judged.clips.ids}:
        rows = read_vectors(root, judged.model, SOURCE, day).to_pylist()
        found.update({row["id"]: row["vector"] for row in rows if row["unit"] == "clip"})
    return np.array([found[name] for name in judged.clips.ids])


def test_figures_are_those_of_a_plain_computation(some: Evaluation, root: Root, truth_file: Path) -> None:
    truth, vectors = literal_truth(root, some), literal_vectors(root, some)
    regimes = read_truth(truth_file)
    times = [parse_clip_id(name).time for name in some.clips.ids]
    far = [abs(a - b) >= timedelta(hours=24) and regimes.regime_at(a) != regimes.regime_at(b)
           for a, b in combinations(times, 2)]  # fmt: skip
    first, second = np.array(list(combinations(range(40), 2))).T
    x = np.sqrt(((vectors[first] - vectors[second]) ** 2).sum(axis=1))
    y = truth[first, second]
    for scope, chosen in (("all", np.ones(len(x), bool)), ("distant", np.array(far))):
        assert some.pairs[scope] == chosen.sum()
        assert value(some, "trained", f"pearson_{scope}") == pytest.approx(pearsonr(x[chosen], y[chosen])[0], abs=1e-5)
        assert value(some, "trained", f"spearman_{scope}") == pytest.approx(
            spearmanr(x[chosen], y[chosen])[0], abs=1e-4
        )
    hits, alike, best, queries = 0.0, 0.0, 0.0, 0
    for query in range(40):
        others = [n for n in range(40) if abs(times[n] - times[query]) >= timedelta(hours=24)]
        if len(others) < 10:
            continue
        queries += 1
        found = sorted(others, key=lambda n: (float(np.linalg.norm(vectors[n] - vectors[query])), n))[:10]
        truly = sorted(others, key=lambda n: (truth[query, n], n))[:10]
        hits += len(set(found) & set(truly)) / 10
        alike += float(np.sum(1 - truth[query, found]))
        best += float(np.sum(1 - truth[query, truly]))
    assert some.queries == queries > 0
    assert value(some, "trained", "recall_at_10") == pytest.approx(hits / queries, abs=1e-9)
    assert value(some, "trained", "top_10_similarity") == pytest.approx(alike / best, abs=1e-6)


def test_pairs_of_one_regime_are_not_distant_where_a_truth_file_says_so(some: Evaluation, root: Root) -> None:
    by_time = judge(root, clips=40)
    assert by_time.clips.ids == some.clips.ids
    assert 0 < some.pairs["distant"] < by_time.pairs["distant"]
    assert (some.events.by, by_time.events.by) == ("visit", "UTC day")
    starts = [parse_clip_id(name).time for name in some.clips.ids]
    visits = [int((start - datetime(2020, 3, 1, tzinfo=UTC)) / timedelta(hours=VISIT_HOURS)) for start in starts]
    assert some.events.count == len(set(visits))
    assert some.events.regimes is not None
    assert some.events.regimes.tolist() == [visit % REGIMES for visit in visits]


def test_pixel_and_histogram_rows_are_literal_norms(some: Evaluation, root: Root) -> None:
    frames, store = frame_store(root, SOURCE), histogram_store(root, SOURCE)
    slots = some.clips.slots
    pictures = frames.reduced(slots.ravel(), frames.channels).reshape(*slots.shape, -1).astype(np.float64)
    cdfs = store.read(slots.ravel()).astype(np.float64)
    whole = np.concatenate([cdfs, np.broadcast_to(store.cell_sizes(), (*cdfs.shape[:2], 1, cdfs.shape[3]))], axis=2)
    shares = np.diff(whole, axis=2, prepend=0) / store.cell_sizes()
    shares = shares.reshape(*slots.shape, *shares.shape[1:])
    for a, b in ((0, 1), (3, 30), (39, 12), (20, 20)):
        norm = np.sqrt(((pictures[a] - pictures[b]) ** 2).sum())
        assert some.rows["pixel L2"].distances[a, b] == pytest.approx(norm, rel=1e-6)
        apart = 0.5 * np.abs(shares[a] - shares[b]).sum(axis=2).mean()
        assert some.rows["histogram L1"].distances[a, b] == pytest.approx(apart, abs=1e-6)


def test_the_untrained_row_is_the_same_encoder_before_training(some: Evaluation, root: Root) -> None:
    from wxpipe.embedding.channel_linear import ChannelLinear

    card = read_model_card(root, some.model)
    fresh = ChannelLinear(card.channels, 24 * 30, card.width // 2, seed=card.seed)
    slots = some.clips.slots
    pictures = frame_store(root, SOURCE).reduced(slots.ravel(), card.channels) / 255
    means = pictures.reshape(*slots.shape, 2, 720).mean(axis=1)
    weights = [fresh.weights[name].detach().numpy().astype(np.float64) for name in card.channels]
    vectors = np.concatenate([means[:, n] @ matrix.T for n, matrix in enumerate(weights)], axis=1)
    literal = np.sqrt(((vectors[:, None] - vectors[None]) ** 2).sum(axis=2))
    np.testing.assert_allclose(some.rows["untrained"].distances, literal, atol=2e-5)
    assert (some.rows["trained"].distances != some.rows["untrained"].distances).any()


def test_vectors_that_are_not_stored_are_made(some: Evaluation, copied: Root, truth_file: Path) -> None:
    days = sorted({parse_clip_id(name).time.date() for name in some.clips.ids})
    for day in days[::2]:
        copied.objects.delete(vector_key(some.model, SOURCE, day))
    again = judge(copied, truth_file, clips=40)
    np.testing.assert_allclose(again.rows["trained"].distances, some.rows["trained"].distances, atol=1e-5)


def test_the_same_judgement_twice_and_another_by_another_seed(some: Evaluation, root: Root, truth_file: Path) -> None:
    again, other = judge(root, truth_file, clips=40), judge(root, truth_file, clips=40, seed=2)
    assert json.dumps(again.document()) == json.dumps(some.document())
    assert other.clips.ids != some.clips.ids
    assert other.document()["fingerprint"] != some.document()["fingerprint"]
    depends = some.document()["depends_on"]
    assert depends["settings"] == {"model": some.model, "clips": 40, "seed": 1, "split": "test", "resamples": 200}
    assert depends["truth_file"]["path"] == str(truth_file)
    assert depends["histograms"] == "24x20-exact"


def test_a_split_that_was_learned_from_says_so(root: Root) -> None:
    for split in ("train", "valid", "all"):
        found = judge(root, clips=60, split=split)
        assert found.held.seen == "yes"
        assert any(f"--split {split}" in note for note in found.notes)


def test_days_that_the_model_learned_from_are_left_out(copied: Root) -> None:
    source, triples = copied.source(SOURCE), read_triples(copied, SOURCE)
    card = read_model_card(copied, current_model(copied, SOURCE))
    before = held_out(copied, source, "test", card)
    rows = triples.to_pylist()
    of_test = next(row for row in rows if row["split"] == "test")
    day = parse_clip_id(of_test["x"]).time.date()
    rows.append({**of_test, "y": of_test["x"], "z": of_test["x"], "split": "train"})
    put_table(copied.objects, f"pairs/{SOURCE}/triples.parquet", type(triples).from_pylist(rows, triples.schema))
    found = held_out(copied, source, "test", card)
    assert set(found.days) == {d for d in before.days if abs((d - day).days) > 1}
    assert found.left_out == len(before.days) - len(found.days) > 0
    every = [{**row, "split": "train"} for row in rows]
    put_table(copied.objects, f"pairs/{SOURCE}/triples.parquet", type(triples).from_pylist(every, triples.schema))
    with pytest.raises(RefusedError, match="wxpipe train"):
        held_out(copied, source, "test", card)


def test_where_the_triples_are_gone_nobody_knows(copied: Root) -> None:
    entry = copied.ledger.get("pairs", SOURCE)
    assert entry is not None
    Ledger(copied.objects).put(replace(entry, output="others"))
    found = judge(copied, clips=40)
    assert found.held.seen == "unknown"
    assert any("may flatter" in note for note in found.notes)


def test_a_short_archive_is_refused_and_judged_on_request_with_its_untrained_model(short_root: Root) -> None:
    with pytest.raises(RefusedError, match="--split all"):
        judge(short_root)
    found = judge(short_root, split="all")
    assert found.model_row == "untrained-projection"
    assert "untrained-projection" in found.rows
    assert not {"trained", "untrained"} & set(found.rows)
    assert found.gains == {}
    assert found.document()["gain"] is None
    assert any("not trained" in note for note in found.notes)
    assert found.events.count < 5
    assert all(figure.low is None for row in found.rows.values() for figure in row.figures.values())
    assert any("too few for intervals" in note for note in found.notes)


def test_a_model_by_name(root: Root) -> None:
    named = judge(root, clips=40, model=current_model(root, SOURCE))
    assert named.model == current_model(root, SOURCE)
    with pytest.raises(NotFoundError, match="no model 'channel-linear-0'"):
        judge(root, model="channel-linear-0")


def test_a_truth_file_of_other_weather_is_refused(root: Root, truth_file: Path, tmp_path: Path) -> None:
    truth = read_truth(truth_file)
    truth.model_copy(update={"sources": ("coms-ea",)}).save(tmp_path / "other.json")
    with pytest.raises(UsageError, match="expected one of mini-t"):
        judge(root, tmp_path / "other.json", clips=40)
    truth.model_copy(update={"visits": truth.visits[:5]}).save(tmp_path / "brief.json")
    with pytest.raises(UsageError, match="do not cover"):
        judge(root, tmp_path / "brief.json", clips=40)


def test_events_are_runs_of_one_visit_or_of_one_day(truth_file: Path) -> None:
    starts = 1583020800 + np.array([0, 1, 14, 15, 29, 44, 60]) * HOURS  # hours from 2020-03-01T00:00Z
    assert events_of(starts, SOURCE, read_truth(truth_file)).of.tolist() == [0, 0, 0, 1, 1, 2, 3]
    assert events_of(starts, SOURCE, None).of.tolist() == [0, 0, 0, 0, 1, 1, 2]


@given(st.integers(1, 400), st.integers(1, 400), st.integers(0, 2**64 - 1))
def test_clips_are_drawn_one_from_each_stretch(count: int, wanted: int, seed: int) -> None:
    drawn = draw_evenly(count, wanted, seed).tolist()
    assert len(drawn) == min(count, wanted)
    assert sorted(set(drawn)) == drawn
    if wanted < count:
        assert all(n * count // wanted <= at < (n + 1) * count // wanted for n, at in enumerate(drawn))
    np.testing.assert_array_equal(drawn, draw_evenly(count, wanted, seed))


def test_the_days_of_the_test_split_have_clips(root: Root) -> None:
    """What the other tests rest on: the split is not empty, and a missing hour is among its days."""
    days = [day for day, split in split_days(clip_days(root, SOURCE)).items() if split == "test"]
    assert date(2020, 4, 24) in days
    assert 0 < len(read_clips(root, SOURCE, date(2020, 4, 24))) < 22
