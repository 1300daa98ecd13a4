"""Weights as arrays with names.

arrays[prefix + NAME]  ->  parameter NAME of the model, where the shapes agree
"""

__all__ = ["copy_weights"]

from collections.abc import Mapping

import numpy as np
import torch
from torch import nn


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
