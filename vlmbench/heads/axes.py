"""Features in their principal axes: centred, rotated, and without directions of zero variance.

The intercept of a logistic probe is free, so centring changes no prediction; its penalty is a sum of squares, so
neither does a rotation. In these axes the curvature is nearly diagonal, and with fewer images than features there are
only as many axes as images. One rotation serves every strength of a search.

Rotated features are held where they are few; else they stay where they are, are centred a block at a time, and the
coefficients are rotated instead, which costs one product of `[C, D]` and `[D, D]` a gradient.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from vlmbench.foundations.errors import InputError

_ROWS = 16_384
HELD = 2**26
"""Bytes of rotated features that are held in memory; on a GPU half of what is free there."""


@dataclass(frozen=True)
class Axes:
    """`z = (x - mean) @ basis`.

    Attributes:
        x: the features `[N, D]`, not centred.
        z: `[N, K]` float32, or none: they are not held.
        mean: `[D]` float64; of float32 numbers if z is not held.
        basis: `[D, K]` float64, orthonormal columns; the directions left out have no variance.
        variance: `[K]` float64, mean of z² over the images, falling.
    """

    x: Any
    z: torch.Tensor | None
    mean: torch.Tensor
    basis: torch.Tensor
    variance: torch.Tensor

    def rows(self, first: int, last: int, dtype: torch.dtype) -> torch.Tensor:
        """Rows of z; of `x - mean` if z is not held."""
        if self.z is not None:
            return self.z[first:last].to(dtype)
        rows = torch.as_tensor(np.asarray(self.x[first:last])).to(self.mean.device)
        return (rows - self.mean.to(rows.dtype)).to(dtype)

    def outwards(self, inner: torch.Tensor) -> torch.Tensor:
        """Coefficients `[C, K]` in the axes as those that `rows` are multiplied by."""
        return inner if self.z is not None else inner @ self.basis.T

    def inwards(self, outer: torch.Tensor) -> torch.Tensor:
        """The gradient by those as the gradient by coefficients in the axes."""
        return outer if self.z is not None else outer @ self.basis


def principal_axes(x: Any, device: str = "cpu") -> Axes:
    """Centres and rotates features. Raises `InputError`, with the image's row, where a feature is NaN or infinite. `x`
    is an array or a `Table` `[N, D]`, N at least 1."""
    if x.ndim != 2 or not x.shape[0]:
        raise InputError(f"features must be a table of images by features, not of shape {tuple(x.shape)}")
    mean = _mean(x).to(device)
    count, width = x.shape
    held = 4 * count * min(count, width) <= _held(device)
    if not held:
        mean = mean.float().double()
    if width <= count:
        scatter = torch.zeros(width, width, dtype=torch.float64, device=device)
        for first in range(0, count, _ROWS):
            centred = _block(x, first).to(device, torch.float64) - mean
            scatter.addmm_(centred.T, centred)
        squares, basis = torch.linalg.eigh(scatter)
        squares, basis = _kept(squares, basis, count)
    else:
        centred = torch.as_tensor(np.asarray(x)).to(device, torch.float64) - mean
        squares, left = torch.linalg.eigh(centred @ centred.T)
        squares, left = _kept(squares, left, width)
        basis = centred.T @ (left / squares.sqrt())
    if not held:
        return Axes(x, None, mean, basis, squares / count)
    z = torch.empty(count, len(squares), dtype=torch.float32, device=device)
    for start in range(0, count, _ROWS):
        z[start : start + _ROWS] = (_block(x, start).to(device, torch.float64) - mean) @ basis
    return Axes(x, z, mean, basis, squares / count)


def _held(device: str) -> float:
    """Bytes of rotated features that there is memory for."""
    return torch.cuda.mem_get_info(torch.device(device).index)[0] / 2 if device.startswith("cuda") else HELD


def _block(x: Any, first: int) -> torch.Tensor:
    return torch.as_tensor(np.asarray(x[first : first + _ROWS]))


def _mean(x: Any) -> torch.Tensor:
    total = torch.zeros(x.shape[1], dtype=torch.float64)
    for first in range(0, len(x), _ROWS):
        rows = _block(x, first)
        finite = torch.isfinite(rows).all(dim=1)
        if not bool(finite.all()):
            row = first + int(finite.to(torch.int8).argmin())
            raise InputError(
                "a feature is NaN or infinite",
                where=f"image {row} (counted from 0)",
                fix="encode again, with --precision fp32 if the model overflows in half precision",
            )
        total += rows.sum(dim=0, dtype=torch.float64)
    return total / len(x)


def _kept(squares: torch.Tensor, vectors: torch.Tensor, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The directions that vary beyond rounding, the widest first; at least one, so that no shape is empty."""
    order = torch.argsort(squares, descending=True)
    squares, vectors = squares[order].clamp_min(0), vectors[:, order]
    bound = float(squares[0]) * size * torch.finfo(torch.float64).eps
    count = max(1, int((squares > bound).sum()))
    return squares[:count].clamp_min(torch.finfo(torch.float64).tiny), vectors[:, :count]
