"""The benchmarks keep running and keep comparing equal results: each once, small, without looking at times."""

from __future__ import annotations

import sys
from pathlib import Path

import numba
import numpy as np
import pytest

from tests.benchmarks import (
    all_pairs,
    cells,
    clip_pair,
    encoder,
    event_odds,
    growing_day,
    knn_graph,
    loader,
    orchestration,
    pictures,
    prediction,
    scale,
    scaling,
    search_peers,
    search_speed,
    service,
    weather_series,
)
from tests.benchmarks.report import Row, Seconds, Skipped, machine, table
from wxpipe.archive.synthetic.source import scaled, site_satellites
from wxpipe.pipeline import stages
from wxpipe.satellites.catalog import Source, find_source, shipped_satellites
from wxpipe.similarity.layout import GridSpec, cell_sizes

pytestmark = pytest.mark.benchmark


def test_pairs_of_clips_are_those_of_the_formula() -> None:
    spec = GridSpec(4, 6)
    sizes = cell_sizes(spec, 41, 50, 1)
    rng = np.random.default_rng(0)
    counts = np.sort(rng.integers(0, 120, (7, 2, 5, 16)), axis=2).astype(np.uint16)
    cdfs = all_pairs.perturbed(counts, 30)
    assert (np.diff(cdfs.astype(int), axis=2) >= 0).all()
    clips = np.arange(12)[:, np.newaxis] + np.arange(5)
    row = all_pairs.all_pairs(cdfs, clips, sizes, 1, Seconds(2, 1))
    assert row.peer == Seconds(2 * 66, 66)
    with pytest.raises(AssertionError, match="by formula"):
        all_pairs.check_matrix(np.zeros((12, 12)), cdfs, clips, sizes)


def test_steps_and_vectors_equal_those_of_the_published_way() -> None:
    clips = 12 * np.arange(11)[:, np.newaxis] + np.arange(20)
    week = encoder.Week(encoder.moving_frames(140, 60, 66), clips)
    rows = [*encoder.training(week, 4, 1), *encoder.embedding(week, 3, 1)]
    assert [row.goal for row in rows] == ["6", "6", "20", "20"]


def test_batches_from_the_store_train_as_those_in_memory_do(tmp_path: Path) -> None:
    frames = loader.make_store(tmp_path, 2, 24, (12, 14))
    clips = loader.make_clips(frames, 2, 24, 10)
    rows = [row for limit in (0, 1 << 20) for row in loader.compare(frames, clips, 1, limit)]
    assert [row.goal for row in rows] == [".9 of the wall"] * 4


def test_a_day_that_grows_is_measured_against_one_that_is_made_again(tmp_path: Path) -> None:
    pictures = growing_day.make_archive(tmp_path / "archive", 6, scale=8)
    rows = growing_day.compare(pictures, tmp_path / "archive", tmp_path, 1)
    assert [row.goal for row in rows] == ["10", "10"]
    assert "4 files more" in rows[0].what


def test_searches_by_cells_are_timed_against_equal_results() -> None:
    assert [row.what for row in cells.measure_memory(1, [(1, 0), (1, 1)], 1)] == [
        "1 cells, 1 shifts, 2,976 clips in memory", "1 cells, 9 shifts, 2,976 clips in memory"
    ]  # fmt: skip


def test_event_odds_are_counted_alike_by_both_ways() -> None:
    assert len(event_odds.measure(2_000, 60, 3, 1)) == 2


def test_a_row_without_its_peer_is_skipped_and_no_result(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(clip_pair.BINARY, raising=False)
    rows, a_pair = clip_pair.cold_pair(tmp_path, tmp_path, 1)
    assert a_pair is None
    assert all(isinstance(row, Skipped) for row in rows)
    assert "skipped: WXPIPE_REFERENCE_BINARY is not set" in table(rows)


def test_the_table_tells_both_ratios() -> None:
    rows = [
        Row("work", Seconds(2, 1), Seconds(3, 4), "peer", "3"),
        Row("step", Seconds(0.3, 0.1), Seconds(0.1, 0.2), "peer", "at most 1", faster=False),
    ]
    assert "4.00 (1.50) times faster" in table(rows)
    assert "0.50 (3.00) times its time" in table(rows)
    assert "load" in machine()


@pytest.fixture
def real(real_archive: Path) -> Path:
    if numba.config.DISABLE_JIT:
        pytest.skip("real pictures take hours without compiled kernels")
    return real_archive


def test_real_pictures_are_timed_on_their_way_to_the_store(real: Path, tmp_path: Path) -> None:
    source = find_source(shipped_satellites(), "coms")
    found = pictures.read_pictures(source, [real / "coms_events" / "201212"])
    row = pictures.picture_to_frame(source, found, tmp_path, 1)
    assert "20 pictures" in row.what
    assert row.ours.cpu > 0


def test_a_real_pair_is_compared_with_what_the_program_prints(
    real: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "program"
    program.write_text(f"#!{sys.executable}\nprint('0.805279')\n")
    program.chmod(0o755)
    monkeypatch.setenv(clip_pair.BINARY, str(program))
    rows, a_pair = clip_pair.cold_pair(real, tmp_path / "clips", 1)
    assert a_pair is not None
    assert all(isinstance(row, Row) for row in rows)


@pytest.mark.slow
def test_a_small_share_of_the_whole_archive_is_planned_and_scanned(tmp_path: Path) -> None:
    rows = scale.measure(tmp_path, 8_000_000, days=2)
    assert list(rows) == ["plan, nothing done", "scan into a new root", "scan that finds nothing new",
                          "plan, everything done", "status, everything done"]  # fmt: skip


def test_empty_days_are_orchestrated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages, "STAGES", stages.STAGES)
    monkeypatch.setattr(stages, "NAMES", stages.NAMES)
    costs = orchestration.measure(tmp_path, 40, workers=0)
    stages.get_stage.cache_clear()
    assert [cost.what for cost in costs] == ["direct", "planned again, direct"]


def test_the_second_half_of_a_run_is_compared_with_its_plan(tmp_path: Path) -> None:
    mini = Source(scaled(site_satellites()["mini"], 4), "t")
    rows = prediction.measure(tmp_path, mini, 4)
    assert [row.stage for row in rows] == ["ingest", "histograms", "clips", "embed"]
    for row in rows:
        assert row.partitions[0] == row.partitions[1], row.stage
        assert row.bytes_written[0] == pytest.approx(row.bytes_written[1], rel=0.3), row.stage
        assert row.units[0] == pytest.approx(row.units[1], rel=0.3), row.stage


def test_growth_is_told_by_a_line() -> None:
    a, b, off = scaling.residuals({1: 3.0, 2: 5.0, 4: 9.0, 8: 17.0})
    assert (a, b) == (pytest.approx(1), pytest.approx(2))
    assert all(abs(share) < 1e-6 for share in off.values())


def test_weather_series_are_as_alike_as_they_say() -> None:
    vectors = weather_series.series(20_000).astype(float)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    for steps, expected in ((1, 0.95), (4, 0.84), (9, 0.70), (1_000, 0.35)):
        alike = np.einsum("ij,ij->i", vectors[steps:], vectors[:-steps]).mean()
        assert alike == pytest.approx(expected, abs=0.06), steps


def test_methods_of_search_are_compared_at_equal_recall(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("faiss")
    archive = search_peers.Archive.make(12_000, 10)
    found = search_speed.methods(archive, ["BLAS", "faiss IVF"])
    result = search_speed.compare(archive, found, 5, {}, ["1 %", "100 %", "hour"])
    assert list(result) == ["1 %", "100 %", "hour"]
    for name, timed in result.items():
        assert timed["planner, exact"].recall == timed["BLAS"].recall == 1, name
        assert len(timed["planner"].took) == 10
    assert "| always this |" in search_speed.summary(result)
    search_speed.episodes(archive, found, {"faiss IVF": 64})
    assert "| planner, exact | 0 | 1.000 |" in capsys.readouterr().out


def test_the_graph_is_compared_with_its_peers(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("faiss")
    found = knn_graph.measure(2_500, ["brute", "faiss brute", "hnsw"], 1_200)
    assert found["ours"].recall >= 0.98
    assert found["update"].recall >= found["ours"].recall - 0.01
    assert found["faiss brute"].recall >= 0.95  # of so many neighbours nearly all episodes can be told
    assert "times ours" in capsys.readouterr().out


@pytest.mark.slow
def test_the_service_answers_as_a_search_without_it(tmp_path: Path) -> None:
    service.make_root(tmp_path / "root", 4_000, truth=True)
    words = service.questions(4_000, service.WARM + 3, 0)
    with service.served(tmp_path / "root") as (port, _):
        assert len(service.ask(port, words, 0)) == 3
    assert len(service.without_http(tmp_path / "root", words)) == 3
