"""Weights as arrays with names.

arrays[prefix + NAME]  ->  parameter NAME of the model, where the shapes agree
"""

__all__ = ["copy_weights", "restore_weights", "weight_arrays"]

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import nn

from driftfield.errors import FileFormatError


def weight_arrays(model: nn.Module, *, prefix: str = "weights.") -> dict[str, np.ndarray]:
    """Every parameter as an array under its name."""
    return {prefix + name: parameter.detach().cpu().numpy() for name, parameter in model.named_parameters()}


@torch.no_grad()
def copy_weights(model: nn.Module, arrays: Mapping[str, np.ndarray], *, prefix: str = "weights.") -> list[str]:
    """Copies arrays of any precision into the parameters of the same name and shape.

    Returns:
        Names and shapes of the parameters that no array fits, such as "head.weight of shape (4, 8)"; they are left alone.
    """
    missing = []
    for name, parameter in model.named_parameters():
        array = arrays.get(prefix + name)
        if array is None or array.shape != tuple(parameter.shape):
            missing.append(f"{name} of shape {tuple(parameter.shape)}")
        else:
            parameter.copy_(torch.from_numpy(array.astype(np.float32)))
    return missing


def restore_weights(model: nn.Module, arrays: Mapping[str, np.ndarray], folder: Path) -> None:
    """Copies the weights of a run; all of them have to be there.

    Raises:
        FileFormatError: a parameter that no array fits; names `folder`.
    """
    if missing := copy_weights(model, arrays):
        raise FileFormatError(f"{folder} has no weights {missing[0]}: damaged run.")
