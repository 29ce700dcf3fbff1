"""A frame's vector depends on the frame and the model only, and a clip's is the mean of its frames'."""

import numpy as np
import pytest
import torch

from wxpipe.embedding import inference
from wxpipe.embedding.channel_linear import ChannelLinear
from wxpipe.embedding.devices import fixed_threads, pick_device
from wxpipe.embedding.inference import clip_vectors, embed_frames
from wxpipe.embedding.pictures import ClipMeans

CHANNELS = ("ir01", "ir02", "swir", "wv")
ROWS, COLUMNS = 45, 51


@pytest.fixture(scope="module")
def model() -> ChannelLinear:
    return ChannelLinear(CHANNELS, ROWS * COLUMNS, 8, seed=9)


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (70, 4, ROWS, COLUMNS), dtype=np.uint8)


def test_vectors_are_those_of_the_encoder(model, frames):
    found = embed_frames(model, frames[:37], device="cpu")
    expected = model.encode(torch.from_numpy(frames[:37]).double().float() / 255).detach().numpy()
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("batch", [16, 64])
@pytest.mark.parametrize("count", [1, 5, 16, 17, 33])
def test_vectors_do_not_depend_on_how_many_frames_came(model, frames, count, batch):
    whole = embed_frames(model, frames[:37], batch, device="cpu")
    part = embed_frames(model, frames[:count], batch, device="cpu")
    assert np.array_equal(part, whole[:count])


def test_vectors_do_not_depend_on_memory_layout(model, frames):
    whole = embed_frames(model, frames[:40:2], device="cpu")
    assert np.array_equal(embed_frames(model, np.ascontiguousarray(frames[:40:2]), device="cpu"), whole)
    shifted = np.empty(frames[:20].size + 1, np.uint8)[1:].reshape(frames[:20].shape)
    shifted[...] = frames[:40:2]
    assert np.array_equal(embed_frames(model, shifted, device="cpu"), whole)


def test_tiles_and_whole_pictures_give_the_same_vectors():
    """Pictures of several tiles, the last one not full; `encode` is what devices other than the CPU use."""
    wide = np.random.default_rng(4).integers(0, 256, (5, 4, 90, 101), dtype=np.uint8)
    model = ChannelLinear(CHANNELS, 90 * 101, 8, seed=2)
    expected = model.encode(torch.from_numpy(wide).double().div(255).float()).detach().numpy()
    np.testing.assert_allclose(embed_frames(model, wide, device="cpu"), expected, rtol=1e-4, atol=1e-5)
    assert np.array_equal(embed_frames(model, wide[:2], device="cpu"), embed_frames(model, wide, device="cpu")[:2])


def test_an_encoder_of_another_kind_gets_whole_pictures(frames):
    class Means:
        channels, width, mean_commutes = CHANNELS, 4, True

        def to(self, device):
            return self

        def encode(self, batch):
            return batch.mean(dim=(2, 3))

    found = embed_frames(Means(), frames, device="cpu")
    np.testing.assert_allclose(found, frames.mean(axis=(2, 3)) / 255, rtol=1e-5)


def test_no_frames_give_no_vectors(model, frames):
    assert embed_frames(model, frames[:0], device="cpu").shape == (0, 32)


def test_threads_are_fixed_inside_and_put_back_even_after_an_error(model, frames, monkeypatch):
    before = torch.get_num_threads()
    seen = []
    monkeypatch.setattr(inference, "_embed_tiled", lambda *_: seen.append(torch.get_num_threads()))
    with fixed_threads(2):
        embed_frames(model, frames[:3], device="cpu")
        assert torch.get_num_threads() == 2
    assert seen == [1]
    assert torch.get_num_threads() == before
    with pytest.raises(ZeroDivisionError), fixed_threads(before + 1):
        raise ZeroDivisionError
    assert torch.get_num_threads() == before


def test_clip_vectors_are_means_of_frame_vectors_and_vectors_of_mean_pictures(model, frames):
    clips = np.array([np.arange(i, i + 20) for i in range(0, 50, 7)])
    frame_vectors = embed_frames(model, frames, device="cpu")
    found = clip_vectors(frame_vectors, clips)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, frame_vectors[clips].astype(float).mean(axis=1), rtol=1e-6)
    means = ClipMeans(frames, clips)[np.arange(len(clips))]
    np.testing.assert_allclose(model.encode(torch.from_numpy(means)).detach().numpy(), found, atol=1e-5)


def test_many_clips_are_averaged_in_parts_without_a_seam(frames):
    del frames
    vectors = np.random.default_rng(2).normal(size=(30, 3)).astype(np.float32)
    clips = np.random.default_rng(3).integers(0, 30, (2500, 4))
    expected = vectors.astype(float)[clips].mean(axis=1).astype(np.float32)
    assert np.array_equal(clip_vectors(vectors, clips), expected)
    assert clip_vectors(vectors, clips[:0]).shape == (0, 3)


def test_what_does_not_fit_is_refused(model, frames):
    with pytest.raises(ValueError, match="uint8"):
        embed_frames(model, frames.astype(np.float32))
    with pytest.raises(ValueError, match="encoder wants"):
        embed_frames(model, frames[:, :3], device="cpu")
    with pytest.raises(ValueError, match="0 to 4, found -1 to 3"):
        clip_vectors(np.zeros((5, 2), np.float32), np.array([[-1, 3]]))
    with pytest.raises(ValueError, match=r"\(frame, width\)"):
        clip_vectors(np.zeros(5, np.float32), np.array([[0]]))


def test_a_named_device_is_taken():
    assert pick_device("cpu").type == "cpu"
    assert pick_device().type == ("cuda" if torch.cuda.is_available() else "cpu")
