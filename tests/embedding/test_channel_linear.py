"""The published encoder: a linear map a channel, blocks side by side, weights drawn by position."""

import math

import numpy as np
import pytest
import torch

from wxpipe.embedding.channel_linear import ChannelLinear

CHANNELS = ("ir01", "ir02", "swir", "wv")


def batch(n: int, pixels: int = 30, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).random((n, 4, pixels), dtype=np.float32))


def test_first_weights_are_the_hash_of_seed_and_position(integer_uniform):
    model = ChannelLinear(CHANNELS, pixels=30, width_per_channel=3, seed=2011)
    for c, channel in enumerate(CHANNELS):
        for row, pixel in [(0, 0), (0, 1), (1, 0), (2, 29)]:
            expected = integer_uniform(2011, (c * 3 + row) * 30 + pixel, 1 / math.sqrt(30))
            assert model.weights[channel][row, pixel].item() == expected
    assert not model.bias.any()


def test_each_block_reads_its_own_channel_only():
    model = ChannelLinear(CHANNELS, 30, 3, seed=1)
    assert model.width == 12
    assert model.blocks == {"ir01": (0, 3), "ir02": (3, 6), "swir": (6, 9), "wv": (9, 12)}
    before = batch(2)
    after = before.clone()
    after[:, 2] += 0.5
    changed = (model.encode(before) != model.encode(after)).any(dim=0)
    assert changed.tolist() == [6 <= i < 9 for i in range(12)]


def test_a_block_is_the_product_of_its_weights_and_pixels():
    model = ChannelLinear(CHANNELS, 30, 3, seed=1)
    x = batch(5)
    model.bias += 0.25
    expected = torch.einsum("np,wp->nw", x[:, 3], model.weights["wv"]) + 0.25
    torch.testing.assert_close(model.encode(x)[:, 9:], expected)


def test_pictures_may_come_with_rows_and_columns():
    model = ChannelLinear(CHANNELS, 30, 3, seed=1)
    assert torch.equal(model.encode(batch(5).reshape(5, 4, 5, 6)), model.encode(batch(5)))


def test_the_mean_commutes():
    model = ChannelLinear(CHANNELS, 30, 3, seed=1)
    frames = batch(20)
    assert model.mean_commutes
    torch.testing.assert_close(model.encode(frames.mean(0, keepdim=True))[0], model.encode(frames).mean(0))


def test_a_bias_cancels_in_distances_and_is_not_trained():
    model = ChannelLinear(CHANNELS, 30, 3, seed=1)
    before = torch.cdist(model.encode(batch(4)), model.encode(batch(4, seed=1)))
    model.bias += 5
    torch.testing.assert_close(torch.cdist(model.encode(batch(4)), model.encode(batch(4, seed=1))), before)
    assert [tuple(p.shape) for p in model.parameters()] == [(3, 30)] * 4


def test_a_random_projection_nearly_keeps_distances():
    model = ChannelLinear(CHANNELS, 3000, 128, seed=4)
    x = batch(12, 3000)
    kept = torch.nn.functional.pdist(model.encode(x)) / torch.nn.functional.pdist(x.flatten(1))
    assert (kept.std() / kept.mean()).item() < 0.1


def test_wrong_pictures_names_and_weights_are_refused():
    model = ChannelLinear(CHANNELS, 30, 3, seed=1)
    with pytest.raises(ValueError, match=r"wants \(n, 4, 30 pixels\), found \(2, 4, 31\)"):
        model.encode(batch(2, 31))
    with pytest.raises(ValueError, match="each once"):
        ChannelLinear(("wv", "wv"), 30, 3, seed=1)
    with pytest.raises(ValueError, match="at least 1"):
        ChannelLinear(CHANNELS, 0, 3, seed=1)
    with pytest.raises(ValueError, match="weights expected"):
        model.load_state({"bias": torch.zeros(12)})
