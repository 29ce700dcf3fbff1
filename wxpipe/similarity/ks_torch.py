"""The comparison of grid CDFs by torch, on a GPU or on the CPU: the same integers as `ks_kernels` gives.

Imported only by `ks.engine_for`, so that a run without a GPU never loads torch.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from wxpipe.similarity.ks_kernels import tile_order

CountArray = npt.NDArray[np.unsignedinteger[Any]]

# Frames are sent to the device for this many pairs at a time; in tile order that is some 180 frames where all are
# compared with all, and at most twice as many frames as pairs.
PAIRS_AT_ONCE = 8192
TILE_FRAMES = 90
# Memory of one step's differences.
STEP_BYTES = {"cpu": 32 << 20, "cuda": 512 << 20}


def has_cuda() -> bool:
    """Whether torch finds a GPU that it can use."""
    return bool(torch.cuda.is_available())


class TorchEngine:
    """The `ks.Engine` of a torch device, `cpu` or `cuda`."""

    def __init__(self, device: str) -> None:
        self.device = torch.device(device)

    def largest_difference_sums(
        self, cdfs: CountArray, pairs: npt.NDArray[np.int64], members: npt.NDArray[np.bool_]
    ) -> npt.NDArray[np.int64]:
        """As `ks.Engine`."""
        sums = np.empty((len(pairs), cdfs.shape[1], len(members)), np.int64)
        # Products of integers below 2^53 are exact in float64, which has a fast matrix product everywhere.
        groups = torch.from_numpy(members.T.astype(np.float64)).to(self.device)
        width = torch.int32 if cdfs.dtype != np.uint32 else torch.int64
        for chosen, frames, local in self._batches(cdfs, pairs):
            for channel in range(cdfs.shape[1]):
                counts = self._send(cdfs[frames, channel], width)
                for step in self._steps(local, counts[0]):
                    differences = counts[local[step, 0]]
                    differences -= counts[local[step, 1]]
                    largest = differences.abs_().amax(dim=1).to(torch.float64)
                    sums[chosen[step], channel] = (largest @ groups).to(torch.int64).cpu().numpy()
        return sums

    def largest_share_sums(
        self, cdfs: CountArray, pairs: npt.NDArray[np.int64], sizes: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.float64]:
        """As `ks.Engine`; sums agree with the CPU's to rounding, since their order differs."""
        sums = np.empty((len(pairs), cdfs.shape[1]))
        for chosen, frames, local in self._batches(cdfs, pairs):
            size = self._send(sizes[frames], torch.int64)
            for channel in range(cdfs.shape[1]):
                counts = self._send(cdfs[frames, channel], torch.int64)
                for step in self._steps(local, counts[0]):
                    first, second = local[step, 0], local[step, 1]
                    differences = counts[first] * size[second].unsqueeze(1)
                    differences -= counts[second] * size[first].unsqueeze(1)
                    largest = differences.abs_().amax(dim=1).to(torch.float64)
                    shares = largest / (size[first] * size[second]).to(torch.float64)
                    sums[chosen[step], channel] = shares.sum(dim=1).cpu().numpy()
        return sums

    def _batches(
        self, cdfs: CountArray, pairs: npt.NDArray[np.int64]
    ) -> Iterator[tuple[npt.NDArray[np.intp], npt.NDArray[np.int64], torch.Tensor]]:
        """Positions of some pairs (n,), the frames that they name (f,), and the pairs as positions there (n, 2)."""
        if not cdfs.size:
            return
        order = tile_order(pairs, TILE_FRAMES)
        for start in range(0, len(pairs), PAIRS_AT_ONCE):
            chosen = order[start : start + PAIRS_AT_ONCE]
            frames, local = np.unique(pairs[chosen], return_inverse=True)
            yield chosen, frames, torch.from_numpy(local.reshape(-1, 2)).to(self.device)

    def _send(self, array: npt.NDArray[Any], dtype: torch.dtype) -> torch.Tensor:
        # Torch hardly computes in unsigned types; the cast is the device's work where the bytes can be sent as is.
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device).to(dtype)

    def _steps(self, local: torch.Tensor, plane: torch.Tensor) -> Iterator[slice]:
        """Slices of pairs whose differences, plane by plane, fit into the step's memory."""
        length = max(1, STEP_BYTES[self.device.type] // (2 * plane.nelement() * plane.element_size()))
        for start in range(0, len(local), length):
            yield slice(start, start + length)
