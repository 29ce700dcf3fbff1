"""Mean pictures are exact sums of uint8 frames, computed once a clip while the cache lasts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wxpipe.embedding import pictures
from wxpipe.embedding.pictures import ClipMeans, aligned, aligned_empty, scale_pixels, sum_frames


def make_frames(n: int = 30, shape: tuple[int, ...] = (4, 5, 7)) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, *shape), dtype=np.uint8)


CLIP_FRAMES = np.array([np.arange(i, i + 20) for i in range(10)])


def test_a_mean_picture_is_the_mean_of_the_frames_in_0_to_1():
    frames = make_frames()
    found = ClipMeans(frames, CLIP_FRAMES)[np.array([3, 0, 3])]
    expected = frames[CLIP_FRAMES[[3, 0, 3]]].mean(axis=1) / 255
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected.reshape(3, 4, 35), rtol=1e-6)


@given(st.integers(1, 257), st.integers(0, 255))
def test_sums_do_not_overflow(count, grey):
    out = np.empty(9, np.uint16)
    sum_frames(np.full((2, 9), grey, np.uint8), np.arange(count) % 2, out)
    assert out.tolist() == [count * grey] * 9


def test_sums_are_whole_across_tiles():
    frames = make_frames(5, (3 * pictures._TILE + 11,))
    out = np.empty(frames.shape[1], np.uint16)
    sum_frames(frames, np.array([4, 0, 2]), out)
    assert np.array_equal(out, frames[[4, 0, 2]].sum(axis=0))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_scaling_is_one_float32_product(dtype):
    values = np.arange(256, dtype=dtype)
    out = np.empty(256, np.float32)
    scale_pixels(values, np.float32(1 / 255), out)
    assert np.array_equal(out, values.astype(np.float32) * np.float32(1 / 255))


def test_a_mean_is_computed_once_and_the_cache_keeps_its_bound(monkeypatch):
    computed = []

    def counting(frames, members, out):
        computed.append(int(members[0]))
        sum_frames(frames, members, out)

    monkeypatch.setattr(pictures, "sum_frames", counting)
    roomy = ClipMeans(make_frames(), CLIP_FRAMES)
    first = roomy[np.array([1, 2])]
    assert np.array_equal(roomy[np.array([2, 1])], first[::-1])
    assert computed == [1, 2]
    computed.clear()
    small = ClipMeans(make_frames(), CLIP_FRAMES, cache_bytes=2 * 2 * 4 * 35)  # two clips
    for clip in (0, 1, 0, 2, 0, 1):  # 1 is the least recently used when 2 comes
        small[np.array([clip])]
    assert computed == [0, 1, 2, 1]
    computed.clear()
    none = ClipMeans(make_frames(), CLIP_FRAMES, cache_bytes=0)
    assert np.array_equal(none[np.array([1, 2])], first)


@pytest.mark.parametrize(
    ("frames", "clips", "message"),
    [
        (make_frames().astype(np.float32), CLIP_FRAMES, "uint8"),
        (make_frames()[:, 0], CLIP_FRAMES, "uint8"),
        (make_frames(), CLIP_FRAMES - 1, "0 to 29, found -1"),
        (make_frames(), CLIP_FRAMES + 2, "0 to 29, found 2 to 30"),
        (make_frames(), CLIP_FRAMES.astype(float), "integer"),
        (make_frames(), CLIP_FRAMES[:, :0], "integer"),
        (make_frames(), np.zeros((2, 258), int), "257 frames, found 258"),
    ],
)
def test_what_does_not_fit_is_refused(frames, clips, message):
    with pytest.raises(ValueError, match=message):
        ClipMeans(frames, clips)


def test_memory_is_aligned_whatever_it_came_from():
    assert all(aligned_empty((n, 3)).ctypes.data % 64 == 0 for n in range(1, 50))
    base = aligned_empty((40,))
    assert aligned(base) is base
    for moved in (base[1:], base[::2]):
        moved[:] = 1
        assert aligned(moved).ctypes.data % 64 == 0
        assert np.array_equal(aligned(moved), moved)
