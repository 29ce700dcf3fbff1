"""Model cards: all that is known of a model besides its weights, readable without torch.

A model is named by a fingerprint of its decoded weights and its card, so that what vectors were made with can be told
exactly.
"""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, JsonValue, ValidationError, model_validator

from wxpipe.errors import RefusedError

WEIGHTS, CARD = "weights.safetensors", "card.json"

Count = Annotated[int, Field(ge=0)]
Size = Annotated[int, Field(ge=1)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class InputCard(_Frozen):
    """What a frame was when the encoder read it.

    Attributes:
        reduced: rows and columns of a reduced picture.
        scale: what a grey value is multiplied by.
        crop: first row, end row, first column, end column of the picture that was reduced.
    """

    reduced: tuple[Size, Size]
    scale: FiniteFloat = 1 / 255
    crop: tuple[Count, Count, Count, Count]


class ClipCard(_Frozen):
    """What a clip was: how many frames, of how many hours, chosen how (``even``, ``published``)."""

    frames: Size
    hours: FiniteFloat
    choice: str


class DataCard(_Frozen):
    """What the encoder learned from: the pairs' name, how many triples of each split, their fingerprint."""

    pairs: str
    triples: dict[str, Count]
    fingerprint: str


class ModelCard(_Frozen):
    """All that is known of a model besides its weights.

    Attributes:
        name: of the model; ``untrained-projection`` for the one that stands in.
        kind: of encoder, a key of `registry.ENCODERS`.
        source: satellite and area, e.g. ``coms-ea``.
        channels: in the order of its input.
        width: length of a vector.
        blocks: name to [start, stop) of a vector; they cover it, in order, without gaps.
        parameters: of the encoder, what its kind has beyond these fields.
        settings: of the training, as it was run.
        data: None where nothing was learned.
        metrics: what it reached, by name.
        seed: of its first weights.
        code_version: of wxpipe.
        weights: SHA-256 of the decoded weights; `save_model` writes it.
        created: for people; part of no digest.
    """

    name: str
    kind: str
    trained: bool
    source: str
    channels: tuple[str, ...]
    width: Size
    blocks: dict[str, tuple[Count, Size]]
    input: InputCard
    clip: ClipCard
    parameters: dict[str, JsonValue] = {}
    settings: dict[str, JsonValue] = {}
    data: DataCard | None = None
    metrics: dict[str, FiniteFloat] = {}
    seed: int
    code_version: str
    weights: str = ""
    created: datetime
    format: Literal[1] = 1

    @model_validator(mode="after")
    def _check(self) -> ModelCard:
        if not self.channels or len(set(self.channels)) != len(self.channels):
            raise ValueError(f"channels must be named, each once; found {list(self.channels)}")
        edge = 0
        for name, (start, stop) in sorted(self.blocks.items(), key=lambda block: block[1]):
            if start != edge or stop <= start:
                raise ValueError(f"block {name}: expected to begin at {edge}, found [{start}, {stop})")
            edge = stop
        if edge != self.width:
            raise ValueError(f"blocks expected to end at the width {self.width}, found {edge}")
        return self

    def content(self) -> dict[str, JsonValue]:
        """Return the card as JSON values without the date: what digests are taken of."""
        return self.model_dump(mode="json", exclude={"created"})


def weights_digest(weights: bytes) -> str:
    """Return the SHA-256 of a safetensors file's content: name, dtype, shape and bytes of each tensor.

    Neither the order of the tensors in the file nor its header's layout matters.

    Raises:
        RefusedError: the bytes are not a sound safetensors file.

    Source of the layout: the safetensors format (length of the header, JSON header, tensors). It is read
    here since the library's own names of types have changed between versions, and a digest may not.
    """
    digest = hashlib.sha256()
    try:
        begin = 8 + int.from_bytes(weights[:8], "little")
        header = json.loads(weights[8:begin])
        header.pop("__metadata__", None)
        for name, tensor in sorted(header.items()):
            start, stop = tensor["data_offsets"]
            if not 0 <= start <= stop <= len(weights) - begin:
                raise ValueError(f"{name}: bytes {start} to {stop} of {len(weights) - begin}")
            # JSON, so that no two lists of names, types and shapes run together into the same bytes.
            digest.update(_canonical([name, tensor["dtype"], tensor["shape"], stop - start]))
            digest.update(memoryview(weights)[begin + start : begin + stop])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RefusedError(f"{WEIGHTS} cannot be read ({error!r}); copy the model again") from error
    return digest.hexdigest()


def model_fingerprint(card: ModelCard) -> str:
    """Return the first 12 hexadecimal digits of the SHA-256 of a saved model: its weights and its card.

    The card holds the weights' digest, which `load_model` has compared with the weights.

    Raises:
        ValueError: the card is of no saved model yet.
    """
    if not card.weights:
        raise ValueError(f"card {card.name} has no weights' digest; `save_model` gives it one")
    return hashlib.sha256(_canonical(card.content())).hexdigest()[:12]


def read_card(content: bytes) -> ModelCard:
    """Return a card from the bytes of `card.json`; loads no torch.

    Raises:
        RefusedError: it is no card, or one of another format.
    """
    try:
        return ModelCard.model_validate_json(content)
    except ValidationError as error:
        raise RefusedError(f"{CARD} is not a model card: {error}") from error


def _canonical(value: JsonValue) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
