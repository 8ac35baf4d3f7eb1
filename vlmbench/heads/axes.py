"""Features in their principal axes: centred, rotated, and without directions of zero variance.

The intercept of a logistic probe is free, so centring changes no prediction; its penalty is a sum of squares, so
neither does a rotation. In these axes the curvature is nearly diagonal, and with fewer images than features there are
only as many axes as images. One rotation serves every strength of a search.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from vlmbench.foundations.errors import InputError

_ROWS = 16_384


@dataclass(frozen=True)
class Axes:
    """`z = (x - mean) @ basis`, stored in float32; the directions left out have no variance.

    Attributes:
        z: `[N, K]` float32.
        mean: `[D]` float64.
        basis: `[D, K]` float64, orthonormal columns.
        variance: `[K]` float64, mean of z² over the images, falling.
    """

    z: torch.Tensor
    mean: torch.Tensor
    basis: torch.Tensor
    variance: torch.Tensor


def principal_axes(x: NDArray[np.floating] | torch.Tensor, device: str = "cpu") -> Axes:
    """Centres and rotates features.

    Args:
        x: `[N, D]`, N at least 1.
        device: where the axes and the rotated features are stored.

    Raises:
        InputError: a feature is NaN or infinite (the image's row is named), or there are none.
    """
    features = torch.as_tensor(x)
    if features.ndim != 2 or not features.shape[0]:
        raise InputError(f"features must be a table of images by features, not of shape {tuple(features.shape)}")
    mean = _mean(features).to(device)
    count, width = features.shape
    if width <= count:
        scatter = torch.zeros(width, width, dtype=torch.float64, device=device)
        for first in range(0, count, _ROWS):
            centred = features[first : first + _ROWS].to(device, torch.float64) - mean
            scatter.addmm_(centred.T, centred)
        squares, basis = torch.linalg.eigh(scatter)
        squares, basis = _kept(squares, basis, count)
    else:
        centred = features.to(device, torch.float64) - mean
        squares, left = torch.linalg.eigh(centred @ centred.T)
        squares, left = _kept(squares, left, width)
        basis = centred.T @ (left / squares.sqrt())
    z = torch.empty(count, len(squares), dtype=torch.float32, device=device)
    for start in range(0, count, _ROWS):
        rows = features[start : start + _ROWS].to(device, torch.float64)
        z[start : start + _ROWS] = (rows - mean) @ basis
    return Axes(z, mean, basis, squares / count)


def _mean(features: torch.Tensor) -> torch.Tensor:
    total = torch.zeros(features.shape[1], dtype=torch.float64)
    for first in range(0, len(features), _ROWS):
        rows = features[first : first + _ROWS]
        finite = torch.isfinite(rows).all(dim=1)
        if not bool(finite.all()):
            row = first + int(finite.to(torch.int8).argmin())
            raise InputError(
                "a feature is NaN or infinite",
                where=f"image {row} (counted from 0)",
                fix="encode again, with --precision fp32 if the model overflows in half precision",
            )
        total += rows.sum(dim=0, dtype=torch.float64).cpu()
    return total / len(features)


def _kept(squares: torch.Tensor, vectors: torch.Tensor, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The directions that vary beyond rounding, the widest first; at least one, so that no shape is empty."""
    order = torch.argsort(squares, descending=True)
    squares, vectors = squares[order].clamp_min(0), vectors[:, order]
    bound = float(squares[0]) * size * torch.finfo(torch.float64).eps
    count = max(1, int((squares > bound).sum()))
    return squares[:count].clamp_min(torch.finfo(torch.float64).tiny), vectors[:, :count]
