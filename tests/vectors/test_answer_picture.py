"""The picture of an answer: it is drawn for every kind of answer, and shows the pictures that it speaks of."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.vectors.tiny_root import SOURCE, TinyRoot, vector
from wxpipe.vectors.answer_picture import draw_answer
from wxpipe.vectors.answers import SearchRequest
from wxpipe.vectors.search import search

At = Callable[..., datetime]


@pytest.mark.parametrize("unit", ["clip", "frame"])
def test_an_answer_is_drawn(served: TinyRoot, at: At, tmp_path: Path, unit: str) -> None:
    request = SearchRequest(SOURCE, at(3, 8), unit=unit, k=4, episodes=False)  # type: ignore[arg-type]
    draw_answer(served.root, search(served.root, request), tmp_path / "answer.png")
    image = np.asarray(Image.open(tmp_path / "answer.png").convert("L"))
    assert image.shape[1] >= 1000
    assert (image < 60).mean() > 0.01  # the dark of the sky and the ink of the labels


def test_more_analogs_are_a_taller_picture(served: TinyRoot, at: At, tmp_path: Path) -> None:
    heights = []
    for k in (1, 3):
        answer = search(served.root, SearchRequest(SOURCE, at(3, 8), k=k, episodes=False))
        draw_answer(served.root, answer, tmp_path / f"{k}.png")
        heights.append(Image.open(tmp_path / f"{k}.png").height)
    assert heights[0] < heights[1]


def test_an_answer_without_analogs_or_without_a_time_is_drawn(served: TinyRoot, at: At, tmp_path: Path) -> None:
    for name, request in {
        "none": SearchRequest(SOURCE, at(3, 8), where="year = 1999"),
        "vector": SearchRequest(SOURCE, vector=vector("x", 0), k=2),
    }.items():
        draw_answer(served.root, search(served.root, request), tmp_path / f"{name}.png")
        assert (tmp_path / f"{name}.png").stat().st_size > 1000
