"""The published encoder: one linear map a channel, their outputs side by side, a clip the mean of its frames.

Its untrained form is a random projection: it nearly keeps the distances between pictures, which is what can
be had where there is nothing to train on.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from wxpipe.draws import uniform

if TYPE_CHECKING:
    from wxpipe.embedding.cards import ModelCard


class ChannelLinear(nn.Module):
    """One linear map from the pixels of each channel to `width_per_channel` numbers.

    A vector holds the channels' blocks in the order of `channels`, each contiguous. For COMS: 4 channels of
    300 * 375 = 112,500 pixels to 32 numbers each, 128 together.

    Weights begin uniform within +-1/sqrt(pixels), as those of `torch.nn.Linear` do, but drawn by
    `draws.uniform` from the seed: number (c * width_per_channel + row) * pixels + pixel belongs to channel
    c. The bias is zero and is not trained: it cancels in every distance between vectors, so that the loss
    says nothing of it. It is kept so that weights that have one can be loaded.

    Args:
        channels: names, in the order of the pictures' channel axis.
        pixels: pixels of a reduced picture.
        width_per_channel: numbers a channel is mapped to.
        seed: of the first weights; None leaves them uninitialised, for a caller that loads others.

    Raises:
        ValueError: no channel, or a name twice, or a size below 1.
    """

    bias: torch.Tensor
    mean_commutes = True

    def __init__(self, channels: Sequence[str], pixels: int, width_per_channel: int, *, seed: int | None) -> None:
        super().__init__()
        if not channels or len(set(channels)) != len(channels):
            raise ValueError(f"channels must be named, each once; found {list(channels)}")
        if pixels < 1 or width_per_channel < 1:
            raise ValueError(f"pixels and width must be at least 1; found {pixels} and {width_per_channel}")
        self.channels = tuple(channels)
        self.pixels = pixels
        self.width_per_channel = width_per_channel
        shape = (width_per_channel, pixels)
        self.weights = nn.ParameterDict({name: torch.empty(shape) for name in self.channels})
        self.register_buffer("bias", torch.zeros(self.width))
        if seed is not None:
            self._draw(seed)

    @classmethod
    def from_card(cls, card: ModelCard, state: Mapping[str, torch.Tensor] | None = None) -> ChannelLinear:
        """Build the encoder that a card describes, with `state` or with weights drawn by the card's seed.

        Raises:
            ValueError: the card's blocks are not its channels' in equal parts, or the state does not fit.
        """
        rows, columns = card.input.reduced
        width = card.width // len(card.channels)
        model = cls(card.channels, rows * columns, width, seed=card.seed if state is None else None)
        if card.blocks != model.blocks:
            raise ValueError(f"card {card.name}: blocks expected {model.blocks}, found {card.blocks}")
        if state is not None:
            model.load_state(state)
        return model

    @property
    def width(self) -> int:
        """The length of a vector: all channels' blocks together."""
        return len(self.channels) * self.width_per_channel

    @property
    def blocks(self) -> dict[str, tuple[int, int]]:
        """Channel to the [start, stop) of its block in a vector."""
        return channel_blocks(self.channels, self.width_per_channel)

    def encode(self, batch: torch.Tensor) -> torch.Tensor:
        """Map pictures to vectors.

        Args:
            batch: float32 in 0..1, (n, channel, y, x) or (n, channel, pixels): frames or mean pictures.

        Returns:
            float32 (n, width).

        Raises:
            ValueError: the batch has other channels or pixels.
        """
        pictures = batch.flatten(2)
        if pictures.shape[1:] != (len(self.channels), self.pixels):
            raise ValueError(
                f"encoder wants (n, {len(self.channels)}, {self.pixels} pixels), found {tuple(batch.shape)}"
            )
        # A parameter a channel, and not one stacked tensor: the gradient of a slice is padded with zeros to
        # the whole, which costs more than the products.
        maps = [functional.linear(pictures[:, i], self.weights[c]) for i, c in enumerate(self.channels)]
        return torch.cat(maps, dim=1).float() + self.bias

    def state(self) -> dict[str, torch.Tensor]:
        """Return ``weight.<channel>`` float32 (width_per_channel, pixels) and ``bias`` float32 (width,)."""
        weights = {f"weight.{name}": self.weights[name].detach() for name in self.channels}
        return {**weights, "bias": self.bias.detach()}

    def load_state(self, state: Mapping[str, torch.Tensor]) -> None:
        """Copy weights in.

        Raises:
            ValueError: names or shapes are not those of `state()`.
        """
        own = self.state()
        expected = {name: tuple(tensor.shape) for name, tensor in own.items()}
        found = {name: tuple(tensor.shape) for name, tensor in state.items()}
        if expected != found:
            raise ValueError(f"weights expected {expected}, found {found}")
        for name, tensor in own.items():
            tensor.copy_(state[name])

    def _draw(self, seed: int) -> None:
        count, bound = self.width_per_channel * self.pixels, 1 / math.sqrt(self.pixels)
        for i, name in enumerate(self.channels):
            drawn = torch.from_numpy(uniform(seed, i * count, count, bound))
            self.weights[name].detach().copy_(drawn.view(self.width_per_channel, self.pixels))


def channel_blocks(channels: Sequence[str], width_per_channel: int) -> dict[str, tuple[int, int]]:
    """Return the [start, stop) of each channel's block, in order and without gaps."""
    return {c: (i * width_per_channel, (i + 1) * width_per_channel) for i, c in enumerate(channels)}
