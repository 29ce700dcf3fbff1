"""The kinds of encoder that can be trained and loaded, and what any of them must offer.

An encoder is one entry of `ENCODERS` and one class; its module is imported when it is first asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Literal, Protocol, cast

from wxpipe.errors import UsageError

if TYPE_CHECKING:  # a card and this module must be readable where torch is not wanted
    import torch

    from wxpipe.embedding.cards import ModelCard

UNTRAINED_PROJECTION = "untrained-projection"
"""Name of the model that serves where there is too little to train on: `channel-linear`, trained=False."""


class Encoder(Protocol):
    """What embeds frames: a trained model or a closed form."""

    @property
    def channels(self) -> tuple[str, ...]:
        """The channels that it reads, in the order in which `encode` wants them."""

    @property
    def width(self) -> int:
        """The length of its vectors."""

    @property
    def blocks(self) -> dict[str, tuple[int, int]]:
        """Name to [start, stop) within a vector; a channel's name where it works by channel."""

    @property
    def mean_commutes(self) -> bool:
        """Whether the vector of a mean picture is the mean of the vectors (a linear or affine encoder)."""

    def encode(self, batch: torch.Tensor) -> torch.Tensor:
        """Map pictures, float32 in 0..1 (n, channel, y, x) or (n, channel, pixels), to (n, width)."""

    def state(self) -> dict[str, torch.Tensor]:
        """Return all that defines it besides its card: name to tensor, detached, not copied."""

    def to(self, device: torch.device, /) -> object:
        """Move its tensors to a device, in place."""


class TrainableEncoder(Encoder, Protocol):
    """An encoder whose weights `training.train` can improve."""

    def parameters(self) -> Iterator[torch.nn.Parameter]:
        """Yield the weights that are trained."""

    def load_state(self, state: Mapping[str, torch.Tensor]) -> None:
        """Copy tensors of the names and shapes of `state()` into its own.

        Raises:
            ValueError: names or shapes differ.
        """


class EncoderFactory(Protocol):
    """What an entry of the registry names: the class of a kind of encoder."""

    def from_card(self, card: ModelCard, state: Mapping[str, torch.Tensor] | None = None) -> Encoder:
        """Build an encoder from its card, with `state`, or as drawn by the card's seed where there is none.

        Raises:
            ValueError: the card or the state does not fit this kind.
        """


@dataclass(frozen=True)
class EncoderKind:
    """One kind of encoder.

    Attributes:
        summary: one line for a person.
        reads: what it is given for a frame; `reduced` is the uint8 (channel, y, x) of the store.
        learns: how it is made: from triples, or computed at once.
        factory: ``module:class`` (an `EncoderFactory`).
    """

    summary: str
    reads: Literal["reduced"]
    learns: Literal["triples", "closed-form"]
    factory: str

    def load(self) -> EncoderFactory:
        """Import the class and return it."""
        module, _, name = self.factory.partition(":")
        return cast(EncoderFactory, getattr(import_module(module), name))


ENCODERS: dict[str, EncoderKind] = {
    "channel-linear": EncoderKind(
        summary="one linear map a channel, side by side; a clip is the mean of its frames (as published)",
        reads="reduced",
        learns="triples",
        factory="wxpipe.embedding.channel_linear:ChannelLinear",
    ),
}


def get_encoder(name: str) -> EncoderKind:
    """Return a kind of encoder by name.

    Raises:
        UsageError: there is none of that name; the message lists those that there are.
    """
    if name not in ENCODERS:
        raise UsageError(f"no encoder is called {name!r}; known encoders: {', '.join(sorted(ENCODERS))}")
    return ENCODERS[name]
