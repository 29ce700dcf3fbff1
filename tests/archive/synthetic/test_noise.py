"""Noise on a plane: one noise, whatever window one looks through, and of unit spread."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from wxpipe.archive.synthetic.noise import Blend, Window, add_noise, between

ONE = Blend((7,), (1.0,))


def noise(window: Window, nodes: int = 8, blend: Blend = ONE, moved: tuple[float, float] = (0, 0)) -> np.ndarray:
    out = window.blank()
    add_noise(out, window, nodes, blend, moved)
    return out


@given(st.floats(-40, 40), st.floats(-40, 40), st.integers(1, 12), st.integers(1, 12))
def test_a_window_shows_a_part_of_what_a_larger_one_shows(top: float, left: float, down: int, right: int) -> None:
    large = Window(24, 30, top, left, 0.3)
    part = Window(10, 12, top + down * large.pixel, left + right * large.pixel, 12 * large.pixel)
    assert np.allclose(noise(part), noise(large)[down : down + 10, right : right + 12], atol=1e-4)


def test_what_moved_is_found_where_it_moved_to() -> None:
    window = Window(40, 50, 0.2, 0.1, 1.0)
    away = Window(40, 50, 0.2 - 0.05, 0.1 + 0.1, 1.0)
    assert np.allclose(noise(window), noise(away, moved=(-0.05, 0.1)), atol=1e-4)


def test_noise_has_unit_spread_at_any_time_between_two_draws() -> None:
    window = Window(200, 200, 0, 0, 12.0)
    for time in (0.0, 0.3, 0.5, 1.0, 77.25):
        assert 0.94 < noise(window, 4, between(3, time)).std() < 1.06


def test_noise_changes_smoothly_into_another() -> None:
    window = Window(60, 60, 0, 0, 6.0)
    base = noise(window, 4, between(3, 5.0))

    def alike(time: float) -> float:
        return float(np.corrcoef(base.ravel(), noise(window, 4, between(3, time)).ravel())[0, 1])

    assert alike(5.0) > 0.999
    assert alike(5.02) > 0.98
    assert 0.5 < alike(5.5) < 0.85
    assert abs(alike(6.0)) < 0.15
    assert abs(alike(65.0)) < 0.15


def test_seeds_and_sizes_are_independent() -> None:
    window = Window(80, 80, 0, 0, 6.0)
    fields = [noise(window, nodes, Blend((seed,), (1.0,))).ravel() for nodes in (4, 5) for seed in (1, 2)]
    assert np.abs(np.corrcoef(fields) - np.eye(4)).max() < 0.2


def test_a_padded_window_is_the_window_with_a_margin() -> None:
    window = Window(20, 30, 0.4, 0.2, 0.5)
    wide = window.padded(4)
    assert (wide.rows, wide.columns) == (28, 38)
    assert np.allclose(wide.down[4:-4], window.down)
    assert np.allclose(wide.right[4:-4], window.right)
    coarse = window.coarse(3)
    assert np.isclose(coarse.pixel, 3 * window.pixel)
    assert coarse.rows * 3 >= window.rows
    assert coarse.columns * 3 >= window.columns
