"""A clip against many, straight from the store: what reading everything and comparing it gives."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.vectors.tiny_root import DAYS, SOURCE, TinyRoot, make_root
from wxpipe.errors import NotFoundError
from wxpipe.similarity.clip_ks import clip_similarities
from wxpipe.similarity.histograms import histogram_store
from wxpipe.similarity.one_to_many import one_to_many


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> TinyRoot:
    return make_root(tmp_path_factory.mktemp("one-to-many") / "root")


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10_000), clips=st.integers(1, 30), one=st.booleans(), varying=st.booleans())
def test_it_is_what_comparing_all_of_them_gives(
    tiny: TinyRoot, seed: int, clips: int, one: bool, varying: bool
) -> None:
    """Slots repeat, are in any order, and some have no picture: then nothing is known."""
    rng = np.random.default_rng(seed)
    store = histogram_store(tiny.root, SOURCE)
    first = store.axis.day_start(DAYS[0])
    good = first + rng.integers(24, 72, 5)
    others = first + rng.choice([*range(24, 72), *range(120, 168), 3, 200], (clips, 5))
    members = np.concatenate([good[None], others])
    sizes = store.cell_sizes()
    if varying:  # a slot has one height, and so have the cells of its pictures
        sizes = sizes * (1 + members % 3)[..., None]
    channels = [1] if one else None
    found = one_to_many(store, good, others, sizes, channels)
    cdfs = store.read(members.ravel())[:, [1] if one else slice(None)]
    place = np.arange(members.size).reshape(members.shape)
    pairs = np.stack([np.zeros(clips, np.int64), np.arange(1, clips + 1)], axis=1)
    flat = sizes if sizes.ndim == 1 else sizes.reshape(-1, sizes.shape[-1])
    expected = clip_similarities(cdfs, place, pairs, flat)
    there = cdfs.any(axis=(2, 3)).all(axis=1)[place].all(axis=1)[1:]
    assert (np.isnan(found) == ~there).all()
    assert found[there] == pytest.approx(expected[there], abs=1e-12)


def test_a_query_without_pictures_is_like_nothing(tiny: TinyRoot) -> None:
    store = histogram_store(tiny.root, SOURCE)
    first = store.axis.day_start(DAYS[0])
    others = np.array([[first + 30, first + 31]])
    assert np.isnan(one_to_many(store, np.array([first, first + 30]), others, store.cell_sizes())).all()
    assert one_to_many(store, others[0], np.zeros((0, 2), np.int64), store.cell_sizes()).shape == (0,)


def test_a_layout_that_was_never_made_is_said(tiny: TinyRoot) -> None:
    store = histogram_store(tiny.root, SOURCE, "12x10-exact")
    with pytest.raises(NotFoundError):
        one_to_many(store, np.array([1, 2]), np.array([[3, 4]]), store.cell_sizes())
