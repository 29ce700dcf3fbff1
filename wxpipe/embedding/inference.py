"""From frames to vectors: each frame is embedded once, in batches of one size, and clips are means of them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from wxpipe.embedding.channel_linear import ChannelLinear
from wxpipe.embedding.devices import fixed_threads, mixed_precision, pick_device
from wxpipe.embedding.pictures import GREY_SCALE, aligned_empty, check_clip_frames, check_frames, scale_pixels
from wxpipe.embedding.registry import Encoder
from wxpipe.kernels import kernel

CPU_THREADS = 1
"""Threads of torch while it embeds: workers run beside each other, and any other number changes digits."""

_CLIPS_AT_ONCE = 1024
_TILE = 3072  # pixels whose floats, 768 kB in a batch of 64 frames, stay in the second-level cache for the product


def embed_frames(
    encoder: Encoder,
    frames: npt.NDArray[np.uint8],
    batch: int = 64,
    *,
    device: str | None = None,
    threads: int = CPU_THREADS,
    bf16: bool = True,
) -> npt.NDArray[np.float32]:
    """Return the vector of each frame.

    Every product has the same shape: the last batch is filled up with black frames, so that a frame's
    vector does not depend on how many frames came with it. Vectors are equal bit for bit on one machine for
    one `batch` and `threads`, and within 1e-5 on others; bf16 on a GPU keeps about 3 digits.

    Args:
        encoder: is moved to the device and stays there.
        frames: reduced frames, uint8 (frame, channel, y, x), channels in the encoder's order.
        batch: frames a product.
        device: where to compute; None takes the GPU where there is one.
        threads: of the CPU; the process's number is put back afterwards.
        bf16: on a GPU, compute in bf16 autocast.

    Returns:
        float32 (frame, width).

    Raises:
        ValueError: the frames are not uint8 (frame, channel, y, x) or do not fit the encoder.
    """
    check_frames(frames)
    target = pick_device(device)
    encoder.to(target)
    vectors = np.empty((len(frames), encoder.width), np.float32)
    if target.type == "cpu" and isinstance(encoder, ChannelLinear):
        with torch.inference_mode(), fixed_threads(threads):
            _embed_tiled(encoder, frames, batch, vectors)
        return vectors
    pictures = torch.from_numpy(aligned_empty((batch, *frames.shape[1:]))).to(target)
    with torch.inference_mode(), fixed_threads(threads), mixed_precision(target, bf16):
        for begin in range(0, len(frames), batch):
            part = frames[begin : begin + batch]
            _fill(pictures[: len(part)], part)
            pictures[len(part) :] = 0
            vectors[begin : begin + len(part)] = encoder.encode(pictures)[: len(part)].float().cpu().numpy()
    return vectors


def clip_vectors(
    frame_vectors: npt.NDArray[np.float32], clip_frames: npt.NDArray[np.integer]
) -> npt.NDArray[np.float32]:
    """Return the vector of each clip, the mean of its frames' vectors, added up in float64.

    Args:
        frame_vectors: float32 (frame, width).
        clip_frames: integer (clip, frames a clip), indexes into `frame_vectors`.

    Returns:
        float32 (clip, width).

    Raises:
        ValueError: an index is out of range, or shapes are others.
    """
    if frame_vectors.ndim != 2:
        raise ValueError(f"frame vectors expected (frame, width), found {frame_vectors.shape}")
    check_clip_frames(clip_frames, len(frame_vectors))
    vectors = np.empty((len(clip_frames), frame_vectors.shape[1]), np.float32)
    for begin in range(0, len(clip_frames), _CLIPS_AT_ONCE):
        part = slice(begin, begin + _CLIPS_AT_ONCE)
        vectors[part] = frame_vectors[clip_frames[part]].mean(axis=1, dtype=np.float64)
    return vectors


def _embed_tiled(
    encoder: ChannelLinear, frames: npt.NDArray[np.uint8], batch: int, vectors: npt.NDArray[np.float32]
) -> None:
    """Write the vectors of linear maps, tile by tile of pixels: half the time of making all floats first.

    Products have one shape whatever frames come, as those of whole pictures have.
    """
    rows = frames.reshape(*frames.shape[:2], frames.shape[2] * frames.shape[3])
    if rows.shape[1:] != (len(encoder.channels), encoder.pixels):
        raise ValueError(
            f"encoder wants (n, {len(encoder.channels)}, {encoder.pixels} pixels), found {tuple(frames.shape)}"
        )
    tile = aligned_empty((batch, _TILE))
    block = torch.from_numpy(tile)
    for begin in range(0, len(rows), batch):
        part = rows[begin : begin + batch]
        tile[len(part) :] = 0
        sums = [torch.zeros((batch, encoder.width_per_channel)) for _ in encoder.channels]
        for c, name in enumerate(encoder.channels):
            for left in range(0, encoder.pixels, _TILE):
                right = min(left + _TILE, encoder.pixels)
                _to_floats(part[:, c, left:right], tile)
                weights = encoder.weights[name][:, left:right]
                torch.addmm(sums[c], block[:, : right - left], weights.t(), out=sums[c])
        found = torch.cat(sums, dim=1) * GREY_SCALE + encoder.bias
        vectors[begin : begin + len(part)] = found[: len(part)].numpy()


@kernel
def _to_floats(values: npt.NDArray[np.uint8], out: npt.NDArray[np.float32]) -> None:
    """Write `values` (n, m) into the upper left of `out`."""
    for i in range(values.shape[0]):
        source, target = values[i], out[i]
        for j in range(source.size):
            target[j] = np.float32(source[j])


def _fill(pictures: torch.Tensor, frames: npt.NDArray[np.uint8]) -> None:
    """Write grey values as 0..1, float32; a GPU gets the bytes and scales them itself."""
    if pictures.device.type == "cpu":
        scale_pixels(np.ascontiguousarray(frames).reshape(-1), np.float32(GREY_SCALE), pictures.numpy().reshape(-1))
    else:
        pictures.copy_(torch.from_numpy(np.ascontiguousarray(frames)).to(pictures.device)).mul_(GREY_SCALE)
