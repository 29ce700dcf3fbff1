"""The hash that weights and shuffles are drawn with gives the same numbers everywhere."""

import numpy as np
import pytest

from wxpipe.draws import derived_seed, permutation, splitmix64, uniform

WORD = (1 << 64) - 1


def test_hash_is_splitmix64_as_published(integer_splitmix64):
    # First outputs of the reference C program for seed 1234567.
    published = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    assert [integer_splitmix64(1234567, i) for i in range(3)] == published
    assert splitmix64(1234567, np.arange(3, dtype=np.uint64)).tolist() == published


@pytest.mark.parametrize("seed", [0, 1, 2011, -1, WORD, 1 << 70])
def test_hash_agrees_with_whole_integers(seed, integer_splitmix64):
    index = [0, 1, 2, 1000, 450_000 * 32, WORD - 1, WORD]
    found = splitmix64(seed, np.array(index, np.uint64)).tolist()
    assert found == [integer_splitmix64(seed & WORD, i) for i in index]


def test_uniform_numbers_are_pinned_to_their_position(integer_uniform):
    found = uniform(seed=7, start=0, count=300_000, bound=0.25)
    for i in (0, 1, 2, 262_143, 262_144, 299_999):  # the edge of a block among them
        assert float(found[i]) == integer_uniform(7, i, 0.25)
    assert np.array_equal(uniform(7, 1000, 50, 0.25), found[1000:1050])


def test_uniform_numbers_fill_their_range():
    found = uniform(seed=3, start=0, count=100_000, bound=2.0).astype(float)
    assert found.min() >= -2
    assert found.max() <= 2
    assert abs(found.mean()) < 0.02
    assert found.var() == pytest.approx(4 / 3, rel=0.02)


def test_permutation_holds_each_number_once_and_follows_the_seed(integer_splitmix64):
    drawn = permutation(5, 1000)
    assert sorted(drawn.tolist()) == list(range(1000))
    assert drawn.tolist() == sorted(range(1000), key=lambda i: integer_splitmix64(5, i))
    assert drawn.tolist() != permutation(6, 1000).tolist()


def test_derived_seeds_depend_on_the_whole_path():
    seeds = {derived_seed(1, *path) for path in [(), (0,), (1,), (0, 0), (0, 1), (1, 0)]}
    assert len(seeds) == 6
