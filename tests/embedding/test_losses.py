"""The log-ratio loss is the published one, and stays finite where that one is not."""

import math

import numpy as np
import pytest
import torch

from wxpipe.embedding.losses import EPSILON, Floor, log_ratio_loss


def vectors(rows: int, seed: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(rows, 8)).astype(np.float32))


def published(x, y, z, sim_xy, sim_xz):
    """The formula as it stands in the published program."""
    ratio = torch.norm(x - y, dim=1) / torch.norm(x - z, dim=1)
    wanted = torch.log((1 - sim_xy + EPSILON) / (1 - sim_xz + EPSILON))
    return torch.pow(torch.log(ratio) - wanted, 2).mean()


def test_one_triple_by_hand():
    x, y, z = torch.tensor([[0.0, 0.0]]), torch.tensor([[3.0, 4.0]]), torch.tensor([[0.0, 2.0]])
    expected = (math.log(5 / 2) - math.log((0.2 + 1e-6) / (0.4 + 1e-6))) ** 2
    found = log_ratio_loss(x, y, z, torch.tensor([0.8]), torch.tensor([0.6]))
    assert found.item() == pytest.approx(expected, rel=1e-5)


def test_a_floor_is_added_to_both_squares_and_learned():
    x, y, z = torch.tensor([[0.0, 0.0]]), torch.tensor([[3.0, 4.0]]), torch.tensor([[0.0, 2.0]])
    floor = Floor(11.0)
    found = log_ratio_loss(x, y, z, torch.tensor([0.8]), torch.tensor([0.6]), floor)
    expected = (0.5 * math.log((25 + 11) / (4 + 11)) - math.log((0.2 + 1e-6) / (0.4 + 1e-6))) ** 2
    assert found.item() == pytest.approx(expected, rel=1e-5)
    found.backward()
    assert floor.logarithm.grad is not None
    assert floor.logarithm.grad.item() != 0


@pytest.mark.parametrize("scale", [1e-8, 1.0, 1e8])
def test_value_and_gradient_are_the_published_ones(scale):
    sims = torch.linspace(0, 1, 20), torch.linspace(0.9, 0.1, 20)
    results = []
    for loss in (log_ratio_loss, published):
        x, y, z = (torch.nn.Parameter(vectors(20, i) * scale) for i in range(3))
        value = loss(x, y, z, *sims)
        value.backward()
        results.append((value.item(), x.grad * scale, y.grad * scale))
    assert results[0][0] == pytest.approx(results[1][0], rel=1e-5)
    torch.testing.assert_close(results[0][1], results[1][1], rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(results[0][2], results[1][2], rtol=1e-4, atol=1e-6)


def test_equal_vectors_give_a_finite_loss_and_gradient():
    x, z = torch.nn.Parameter(vectors(3, 0)), torch.nn.Parameter(vectors(3, 1))
    loss = log_ratio_loss(x, x.detach().clone(), z, torch.ones(3), torch.full((3,), 0.5))
    loss.backward()
    assert math.isfinite(loss.item())
    assert torch.isfinite(x.grad).all()
    assert torch.isfinite(z.grad).all()


def test_an_encoder_that_collapses_is_not_rewarded():
    same = torch.zeros(4, 8)
    sims = torch.tensor([0.9, 0.8, 0.7, 0.3]), torch.tensor([0.2, 0.5, 0.1, 0.9])
    target = torch.log((1 - sims[0] + EPSILON) / (1 - sims[1] + EPSILON)).square().mean()
    assert log_ratio_loss(same, same, same, *sims).item() == pytest.approx(target.item())


def test_neither_scale_nor_shift_of_vectors_matters():
    x, y, z = (vectors(10, i) for i in range(3))
    sims = torch.linspace(0.1, 0.9, 10), torch.linspace(0.9, 0.3, 10)
    moved = [255 * v + 3 for v in (x, y, z)]
    assert log_ratio_loss(*moved, *sims).item() == pytest.approx(log_ratio_loss(x, y, z, *sims).item(), rel=1e-4)
