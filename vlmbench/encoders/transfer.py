"""Between this process's memory and the device's: beside a GPU, copies go on while other work does."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch


def to_device(batch: np.ndarray, device: torch.device) -> torch.Tensor:
    """An array on the device; beside a GPU from pinned memory, without waiting until it is there."""
    tensor = torch.from_numpy(np.ascontiguousarray(batch))
    if device.type != "cuda":
        return tensor.to(device)
    return (tensor if tensor.is_pinned() else tensor.pin_memory()).to(device, non_blocking=True)


def stack(items: Sequence[np.ndarray], device: torch.device) -> np.ndarray:
    """Arrays of one shape as a batch; beside a GPU in pinned memory."""
    if device.type != "cuda":
        return np.stack(items)
    shape, dtype = (len(items), *items[0].shape), torch.from_numpy(items[0][:0]).dtype
    return np.stack(items, out=torch.empty(shape, dtype=dtype, pin_memory=True).numpy())


def from_device(layers: Mapping[str, torch.Tensor]) -> Callable[[], dict[str, np.ndarray]]:
    """Starts to copy a model's outputs; what is returned waits for them and gives them as float32 arrays."""
    if any(values.device.type != "cuda" for values in layers.values()):
        arrays = {name: values.float().cpu().numpy() for name, values in layers.items()}
        return lambda: arrays
    pinned = {name: torch.empty(values.shape, pin_memory=True) for name, values in layers.items()}
    for name, values in layers.items():
        pinned[name].copy_(values.float(), non_blocking=True)
    copied = torch.cuda.Event()  # type: ignore[no-untyped-call, unused-ignore]
    copied.record()

    def wait() -> dict[str, np.ndarray]:
        copied.synchronize()
        return {name: values.numpy().copy() for name, values in pinned.items()}

    return wait
