"""`loss_over` of the regression network: which cells teach it, kept in its run."""

from dataclasses import replace

import pytest
import torch

from driftfield.errors import ConfigurationError
from driftfield.models.noisy_regression import NoisyRegressionModel
from driftfield.registry import build
from driftfield.testing import tiny_training_data

NETWORK = {"class": "ResidualUNet", "widths": [4, 8], "depths": [1, 1], "condition_depths": [1, 1]}
OBSERVE = {"observe": {"thetao": "random:0.7", "sst": "random:0.5"}}


def made(**options: object) -> object:
    return build(
        "reconstructor", {"class": "RegressionReconstructor", "network": NETWORK, "observing": OBSERVE, **options}
    )


@pytest.mark.parametrize("noise", [{}, {"output_noise": "gaussian"}])
def test_observed_cells_teach_nothing_where_only_the_others_shall(noise: dict[str, str]) -> None:
    from driftfield.data.codec import FieldCodec
    from driftfield.data.dataset import ObservingSystem, TwinDataset
    from driftfield.data.patches import Window

    data = tiny_training_data()
    codec = FieldCodec.fit(data.archive, data.train, data.targets, data.covariates, {"class": "ZScore"})
    system = ObservingSystem(**OBSERVE)  # type: ignore[arg-type]
    batch = TwinDataset(
        data.archive, codec, system, times=data.train, windows=[Window(0, 0, 8, 12)], samples=2, seed=0
    )[0]
    moved = torch.where(batch.seen.where, batch.target + 3, batch.target)
    for where, changes in (("domain", True), ("unobserved", False)):
        learner = made(loss_over=where, **noise)
        torch.manual_seed(0)
        model = learner.build_model(codec).eval()  # type: ignore[attr-defined]
        assert isinstance(model, NoisyRegressionModel) == bool(noise)
        losses = []
        for target in (batch.target, moved):
            given = replace(batch, target=target)
            losses.append(float(model.loss(given, torch.Generator().manual_seed(0))))
        assert (losses[0] != losses[1]) == changes


def test_it_is_an_argument_of_the_run_and_is_checked() -> None:
    assert made(loss_over="unobserved").arguments()["loss_over"] == "unobserved"  # type: ignore[attr-defined]
    assert "loss_over" not in made().arguments()  # type: ignore[attr-defined]
    with pytest.raises(ConfigurationError, match="'domain', 'unobserved'"):
        made(loss_over="observed")
