"""Scores of a small ensemble while its network is trained.

fixed samples -> members in network units -> RMSE, MAE, PSNR, SSIM of the mean, CRPS of the members, over the held-out cells
"""

__all__ = ["validation_scores"]


import numpy as np
import torch
import xarray as xr

from driftfield.evaluate.scores.deterministic import mae, psnr, rmse, ssim
from driftfield.evaluate.scores.ensembles import crps_fair
from driftfield.fields import FieldBatch
from driftfield.reconstruction.draws import DatedWindow, Estimator

DIMS = ("time", "channel", "lat", "lon")


def validation_scores(estimate: Estimator, batch: FieldBatch, scale: np.ndarray) -> dict[str, float]:
    """Scores of every sample's ensemble, physical units up to the mean field.

    Arguments:
        estimate: Batch of one sample and its window -> the estimate.
        batch: Fixed samples.
        scale: (channel, 1, 1) standard deviation of a network unit in physical units.

    Returns:
        "validation_rmse", ..., "validation_crps"; a score is left out where nothing is held out.
    """
    rows, columns = np.arange(batch.target.shape[-2]), np.arange(batch.target.shape[-1])
    answers = [estimate(batch[i : i + 1], DatedWindow(str(i), rows, columns)) for i in range(len(batch))]
    truth = xr.DataArray(batch.target.cpu().numpy() * scale, dims=DIMS)
    mask = xr.DataArray(batch.held_out.cpu().numpy(), dims=DIMS)
    ensemble = xr.DataArray(
        torch.stack([answer.members for answer in answers], dim=1).cpu().numpy() * scale, dims=("member", *DIMS)
    )
    stated = [answer.mean for answer in answers if answer.mean is not None]
    mean = xr.DataArray(torch.stack(stated).cpu().numpy() * scale, dims=DIMS) if stated else ensemble.mean("member")
    scores = {"rmse": rmse, "mae": mae, "psnr": psnr, "ssim": ssim}
    figures = {f"validation_{name}": float(score(mean, truth, mask=mask)) for name, score in scores.items()}
    figures["validation_crps"] = float(crps_fair(ensemble, truth, mask=mask))
    # a gappy archive can leave nothing to hide in these samples
    return {name: value for name, value in figures.items() if np.isfinite(value)}
