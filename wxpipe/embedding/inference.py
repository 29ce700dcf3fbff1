"""From frames to vectors: each frame is embedded once, in batches of one size, and clips are means of them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from wxpipe.embedding.devices import fixed_threads, mixed_precision, pick_device
from wxpipe.embedding.pictures import GREY_SCALE, aligned_empty, check_clip_frames, check_frames, scale_pixels
from wxpipe.embedding.registry import Encoder

CPU_THREADS = 1
"""Threads of torch while it embeds: workers run beside each other, and any other number changes digits."""

_CLIPS_AT_ONCE = 1024


def embed_frames(
    encoder: Encoder,
    frames: npt.NDArray[np.uint8],
    batch: int = 32,
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


def _fill(pictures: torch.Tensor, frames: npt.NDArray[np.uint8]) -> None:
    """Write grey values as 0..1, float32; a GPU gets the bytes and scales them itself."""
    if pictures.device.type == "cpu":
        scale_pixels(np.ascontiguousarray(frames).reshape(-1), np.float32(GREY_SCALE), pictures.numpy().reshape(-1))
    else:
        pictures.copy_(torch.from_numpy(np.ascontiguousarray(frames)).to(pictures.device)).mul_(GREY_SCALE)
