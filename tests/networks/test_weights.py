"""Weights come back as they were; what does not fit is named and left alone."""

import numpy as np
import torch
from torch import nn

from driftfield.networks.weights import copy_weights


def arrays_of(model: nn.Module) -> dict[str, np.ndarray]:
    return {f"weights.{name}": parameter.detach().numpy().copy() for name, parameter in model.named_parameters()}


def test_copied_weights_are_those_of_the_other_model() -> None:
    torch.manual_seed(0)
    ours, theirs = (nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2)) for _ in range(2))
    arrays = {name: array.astype(np.float16) for name, array in arrays_of(theirs).items()}
    assert copy_weights(ours, arrays) == []
    for name, parameter in ours.named_parameters():
        assert parameter.requires_grad
        np.testing.assert_array_equal(parameter.detach().numpy(), arrays[f"weights.{name}"].astype(np.float32))


def test_what_does_not_fit_is_named_and_left_alone() -> None:
    ours = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    before = arrays_of(ours)
    arrays = {name: array + 1 for name, array in before.items()}
    del arrays["weights.0.bias"]
    arrays["weights.1.weight"] = np.zeros((2, 5), dtype=np.float32)
    assert copy_weights(ours, arrays) == ["0.bias of shape (4,)", "1.weight of shape (2, 4)"]
    after = arrays_of(ours)
    for name in ("weights.0.bias", "weights.1.weight"):
        np.testing.assert_array_equal(after[name], before[name])
    np.testing.assert_array_equal(after["weights.0.weight"], arrays["weights.0.weight"])
