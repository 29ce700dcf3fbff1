"""A model as files: safetensors beside a card, each checked against the other. Where they lie, callers know."""

from __future__ import annotations

from collections.abc import Mapping

from wxpipe.embedding.cards import CARD, WEIGHTS, ModelCard, read_card, weights_digest
from wxpipe.embedding.registry import Encoder, get_encoder
from wxpipe.errors import NotFoundError, RefusedError


def save_model(model: Encoder, card: ModelCard) -> dict[str, bytes]:
    """Return the files of a model by name, for the caller to write.

    Raises:
        ValueError: the model is not of the channels, width and blocks that the card says.
    """
    from safetensors.torch import save

    for what in ("channels", "width", "blocks"):
        expected, found = getattr(card, what), getattr(model, what)
        if expected != found:
            raise ValueError(f"card {card.name}: {what} expected {expected}, found {found}")
    weights = save({name: tensor.cpu().contiguous() for name, tensor in model.state().items()})
    signed = card.model_copy(update={"weights": weights_digest(weights)})
    return {WEIGHTS: weights, CARD: (signed.model_dump_json(indent=2) + "\n").encode()}


def load_model(files: Mapping[str, bytes]) -> tuple[Encoder, ModelCard]:
    """Build a model from its files.

    Raises:
        NotFoundError: a file is missing.
        RefusedError: a file cannot be read, or the weights are not the card's.
        UsageError: the card's kind of encoder is not known.
    """
    from safetensors.torch import load

    missing = [name for name in (WEIGHTS, CARD) if name not in files]
    if missing:
        raise NotFoundError(f"model has no {' and no '.join(missing)}; found {sorted(files)}")
    card = read_card(files[CARD])
    found = weights_digest(files[WEIGHTS])
    if found != card.weights:
        raise RefusedError(
            f"model {card.name}: its card expects weights {card.weights or 'of no digest'}, found {found};"
            " one of the two files is another model's, or was changed: copy or train it again"
        )
    return get_encoder(card.kind).load().from_card(card, load(files[WEIGHTS])), card
