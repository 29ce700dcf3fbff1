"""A model comes back from its files as it was, and not at all where they do not belong together."""

import json
from datetime import UTC, datetime

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load, save

from wxpipe.embedding.cards import (
    CARD,
    WEIGHTS,
    ClipCard,
    DataCard,
    InputCard,
    ModelCard,
    model_fingerprint,
    read_card,
    weights_digest,
)
from wxpipe.embedding.channel_linear import ChannelLinear
from wxpipe.embedding.models import load_model, save_model
from wxpipe.errors import NotFoundError, RefusedError, UsageError


def make_card(**changes: object) -> ModelCard:
    fields: dict[str, object] = {
        "name": "untrained-projection",
        "kind": "channel-linear",
        "trained": False,
        "source": "coms-ea",
        "channels": ("ir01", "wv"),
        "width": 6,
        "blocks": {"ir01": (0, 3), "wv": (3, 6)},
        "input": InputCard(reduced=(5, 7), crop=(100, 1300, 0, 1500)),
        "clip": ClipCard(frames=20, hours=6, choice="even"),
        "seed": 11,
        "code_version": "0.1.0",
        "created": datetime(2026, 11, 21, tzinfo=UTC),
    }
    return ModelCard.model_validate({**fields, **changes})


TRAINED = {
    "name": "coms",
    "trained": True,
    "settings": {"learning_rate": 1e-5, "batch": 32, "bf16": False},
    "data": DataCard(pairs="week", triples={"train": 400, "valid": 80}, fingerprint="ab12"),
    "metrics": {"validation_loss": 0.125},
}


@pytest.fixture
def files() -> dict[str, bytes]:
    card = make_card()
    return save_model(ChannelLinear.from_card(card), card)


def retouch(files: dict[str, bytes], **changes: object) -> dict[str, bytes]:
    """The same files with fields of the card overwritten, as an editor would."""
    return {**files, CARD: json.dumps({**json.loads(files[CARD]), **changes}).encode()}


@pytest.mark.parametrize("changes", [{}, TRAINED])
def test_a_model_comes_back_as_it_was(changes):
    card = make_card(**changes)
    model = ChannelLinear.from_card(card)
    model.bias += 0.5
    files = save_model(model, card)
    again, found = load_model(files)
    assert found.model_copy(update={"weights": ""}) == card
    for name, tensor in model.state().items():
        assert torch.equal(again.state()[name], tensor)
    assert save_model(again, found) == files


def test_the_untrained_model_is_drawn_from_the_seed_of_its_card():
    drawn = ChannelLinear.from_card(make_card())
    assert torch.equal(drawn.weights["wv"], ChannelLinear(("ir01", "wv"), 35, 3, seed=11).weights["wv"])


def test_one_changed_weight_is_refused_by_both_digests(files):
    state = load(files[WEIGHTS])
    state["weight.wv"][2, 3] += 1e-6
    changed = save(state)
    with pytest.raises(RefusedError) as refusal:
        load_model({**files, WEIGHTS: changed})
    assert weights_digest(changed) in str(refusal.value)
    assert weights_digest(files[WEIGHTS]) in str(refusal.value)


def test_a_renamed_or_reshaped_tensor_is_another_digest():
    ones = torch.ones(2, 3)
    digests = {weights_digest(save({"a": t})) for t in (ones, ones.reshape(3, 2), ones.int())}
    assert len(digests | {weights_digest(save({"b": ones}))}) == 4


def test_the_layout_of_the_weights_file_does_not_matter(files):
    header: dict[str, object] = {"__metadata__": {"note": "written by another program"}}
    data = b""
    for name, tensor in sorted(load(files[WEIGHTS]).items(), reverse=True):
        content = tensor.numpy().tobytes()
        offsets = [len(data), len(data) + len(content)]
        header[name] = {"shape": list(tensor.shape), "dtype": "F32", "data_offsets": offsets}
        data += content
    text = json.dumps(header, indent=1).encode()
    other = len(text).to_bytes(8, "little") + text + data
    assert other != files[WEIGHTS]
    assert weights_digest(other) == weights_digest(files[WEIGHTS])
    load_model({**files, WEIGHTS: other})


def test_the_fingerprint_covers_weights_and_card_but_not_the_date(files):
    card = read_card(files[CARD])
    fingerprint = model_fingerprint(card)
    assert len(fingerprint) == 12
    assert int(fingerprint, 16) >= 0
    later = card.model_copy(update={"created": datetime(2030, 1, 1, tzinfo=UTC)})
    assert model_fingerprint(later) == fingerprint
    for change in ({"seed": 12}, {"weights": "0" * 64}, {"metrics": {"loss": 1.0}}, {"trained": True}):
        assert model_fingerprint(card.model_copy(update=change)) != fingerprint
    with pytest.raises(ValueError, match="save_model"):
        model_fingerprint(make_card())


def test_a_card_may_be_written_again_with_its_keys_in_another_order(files):
    card = json.loads(files[CARD])
    card["blocks"] = dict(reversed(card["blocks"].items()))
    _, found = load_model({**files, CARD: json.dumps(card, sort_keys=True).encode()})
    assert model_fingerprint(found) == model_fingerprint(read_card(files[CARD]))


def test_damaged_and_missing_files_are_named(files):
    with pytest.raises(NotFoundError, match=r"no weights\.safetensors"):
        load_model({CARD: files[CARD]})
    with pytest.raises(RefusedError, match=r"weights\.safetensors cannot be read"):
        load_model({**files, WEIGHTS: files[WEIGHTS][:-5]})
    for damaged in (b"", b"\xff" * 40, b"\x02" + bytes(7) + b"[]", b"<html></html>"):
        with pytest.raises(RefusedError, match=r"weights\.safetensors cannot be read"):
            load_model({**files, WEIGHTS: damaged})
    with pytest.raises(RefusedError, match=r"card\.json is not a model card"):
        load_model({**files, CARD: files[CARD][:-20]})
    with pytest.raises(RefusedError, match="invented"):
        load_model(retouch(files, invented=1))
    with pytest.raises(RefusedError, match="format"):
        load_model(retouch(files, format=2))
    with pytest.raises(UsageError, match="known encoders: channel-linear"):
        load_model(retouch(files, kind="other"))
    with pytest.raises(RefusedError, match="of no digest"):
        load_model(retouch(files, weights=""))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"blocks": {"ir01": (0, 3), "wv": (4, 6)}}, "expected to begin at 3"),
        ({"blocks": {"ir01": (0, 3)}}, "end at the width 6, found 3"),
        ({"channels": ("wv", "wv")}, "each once"),
        ({"metrics": {"loss": float("nan")}}, "finite"),
        ({"width": 0}, "greater than or equal to 1"),
    ],
)
def test_a_card_that_contradicts_itself_is_refused(changes, message):
    with pytest.raises(ValidationError, match=message):
        make_card(**changes)


def test_a_model_is_not_saved_under_the_card_of_another():
    model = ChannelLinear.from_card(make_card())
    wide = make_card(width=8, blocks={"ir01": (0, 4), "wv": (4, 8)})
    with pytest.raises(ValueError, match="width expected 8, found 6"):
        save_model(model, wide)
    with pytest.raises(ValueError, match="blocks expected"):
        ChannelLinear.from_card(make_card(blocks={"ir01": (0, 2), "wv": (2, 6)}))


def test_weights_that_no_kind_can_hold_are_refused_on_loading(files):
    state = {name: tensor for name, tensor in load(files[WEIGHTS]).items() if name != "bias"}
    weights = save(state)
    with pytest.raises(ValueError, match="weights expected"):
        load_model(retouch({**files, WEIGHTS: weights}, weights=weights_digest(weights)))
    assert np.isfinite(load_model(files)[0].state()["bias"].numpy()).all()
