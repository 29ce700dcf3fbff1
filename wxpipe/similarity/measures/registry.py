"""The registry of measures: what each is called, which way it points, what it needs, and where it is computed.

A measure compares pairs of frames, channel by channel. That clips are means over their frames, i-th with i-th, and that
channels are means too, is the same for all of them and their callers' to do.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from math import inf
from typing import Any, Literal, Protocol, cast

import numpy as np
import numpy.typing as npt

from wxpipe.errors import UsageError

Direction = Literal["higher", "lower"]
Needs = Literal["cdfs", "pictures"]
Ints = npt.NDArray[np.integer[Any]]
Floats = npt.NDArray[np.float64]


class Score(Protocol):
    """What a measure computes."""

    def __call__(self, material: npt.NDArray[Any], pairs: Ints, sizes: Ints | None = None) -> Floats:
        """Scores of pairs of frames.

        Args:
            material: by what the measure needs, grid CDFs (frame, channel, bin, cell) as `ks` takes them, or reduced
                pictures, uint8 (frame, channel, y, x).
            pairs: (n, 2) positions on the first axis of `material`.
            sizes: of the cells, as `ks` takes them; pictures have none.

        Returns:
            (n, channel) float64.
        """


@dataclass(frozen=True)
class Measure:
    """An entry.

    Attributes:
        direction: which scores are of frames that are more alike.
        range: least and largest score, both inside.
        symmetric: whether the order of a pair says nothing.
        needs: what is read of the frames.
        cost: of a pair of 300 x 375 pictures (24 x 24 cells of 20 bins), one thread.
        where: ``module:function``, imported when it is first asked for.
    """

    name: str
    direction: Direction
    range: tuple[float, float]
    symmetric: bool
    needs: Needs
    cost: str
    where: str

    @property
    def score(self) -> Score:
        module, _, function = self.where.partition(":")
        return cast(Score, getattr(import_module(f"wxpipe.similarity.{module}"), function))

    def best_first(self, score: float | None) -> float:
        """What sorts scores from alike to unlike; what is not known comes last."""
        if score is None:
            return inf
        return -score if self.direction == "higher" else score


GROUND_TRUTH = "ground-truth"

MEASURES = (
    Measure(GROUND_TRUTH, "higher", (0, 1), True, "cdfs", "20 us", "ks:frame_pair_channel_similarities"),
    Measure("hist-correlation", "higher", (-1, 1), True, "cdfs", "2 us", "measures.whole_histograms:correlation"),
    Measure("hist-intersection", "higher", (0, 1), True, "cdfs", "2 us", "measures.whole_histograms:intersection"),
    Measure("hist-chi-square", "lower", (0, inf), False, "cdfs", "2 us", "measures.whole_histograms:chi_square"),
    Measure("hist-bhattacharyya", "lower", (0, 1), True, "cdfs", "2 us", "measures.whole_histograms:bhattacharyya"),
    Measure("mse", "lower", (0, 255.0**2), True, "pictures", "12 us", "measures.pixels:mse"),
    Measure("psnr", "higher", (0, 100), True, "pictures", "12 us", "measures.pixels:psnr"),
    Measure("ssim", "higher", (-1, 1), True, "pictures", "1.3 ms", "measures.structure:ssim"),
)


def get_measure(name: str) -> Measure:
    """A measure by name.

    Raises:
        UsageError: there is none; names those that there are.
    """
    for measure in MEASURES:
        if measure.name == name:
            return measure
    raise UsageError(f"no measure is called {name!r}; known measures: {', '.join(measure_names())}")


def measure_names() -> list[str]:
    return sorted(measure.name for measure in MEASURES)
