# %% [markdown]
# # Training on an archive that has gaps
#
# A network usually learns from complete fields. You may have none: only years of cloudy images. Then it is shown part
# of what was seen (`own`: under the clouds of another date), learns to complete the rest of what was seen, and never
# needs a cell that nobody measured. This page trains a very small one in seconds, to show how; a useful one takes
# [more steps and more network](../../choose.md). It needs `pip install 'driftfield[train]'`.

# %%
import numpy as np
import pandas as pd
import xarray as xr

import driftfield as df

rng = np.random.default_rng(0)
y, x = np.meshgrid(np.linspace(0, 1, 16), np.linspace(0, 1, 24), indexing="ij")
waves = np.stack([np.sin(np.pi * y) * np.sin(2 * np.pi * x), np.cos(np.pi * y), np.sin(2 * np.pi * (x + y))])
amplitudes = rng.standard_normal((300, 3)) * [1.5, 1.2, 0.8]
axes = {
    "time": pd.date_range("2020-01-01", periods=300),
    "lat": 36 + 0.25 * np.arange(16),
    "lon": 2 + 0.25 * np.arange(24),
}
values = (18 + np.einsum("tk,kyx->tyx", amplitudes, waves) + 0.1 * rng.standard_normal((300, 16, 24))).astype("float32")
truth = xr.Dataset({"sst": (("time", "lat", "lon"), values, {"units": "degC"})}, axes)
clouds = df.observe(truth, {"sst": "clouds:0.4-0.7"}, seed=1)
df.save(clouds[["sst", "domain"]].isel(time=slice(0, 260)), "archive.nc")
test = df.observe(truth.isel(time=slice(260, None)), {"sst": "clouds:0.6"}, seed=2)
df.save(test, "test.nc")
whole = int(clouds["sst"].notnull().all(("lat", "lon")).sum())
missing = float(clouds["sst"].isnull().mean())
print(f"{missing:.0%} of the archive is missing; complete dates: {whole}")

# %% [markdown]
# ## A recipe
#
# `observe` hides, `visible` says what the noisy field knows: all that was seen, or what another date saw.

# %%
from pathlib import Path

recipe = """
driftfield_format: 1
seed: 0
data:
  archive: archive.nc
  targets: [sst]
  split: {class: TimeSplit, validation: 0.1}
reconstructor:
  class: DiffusionReconstructor
  network: {class: ResidualUNet, widths: [8, 16], depths: [1, 1], condition_depths: [1, 1], embedding: 8}
  normalizer: {class: ClimatologicalAnomaly, per: domain}
  observing:
    observe: {sst: ["own", "clouds:0.4-0.8"]}
    visible: {sst: ["all", "own"]}
  sampler: {class: DPMSolverPP2M, evaluations: 12}
  validation_samples: 8
trainer:
  class: LightningTrainer
  steps: 150
  batch_size: 8
  learning_rate: {peak: 2.0e-3, plan: cosine, warm_up: 20}
  ema: 0.98
  validate_every: 150
  accelerator: cpu
  loggers: []
"""
Path("gappy.yaml").write_text(recipe)
Path("dineof.yaml").write_text(recipe[: recipe.index("reconstructor")] + "reconstructor: {class: DINEOF}\n")
# %%bash
# driftfield train gappy.yaml --out runs/gappy --raw
# driftfield train dineof.yaml --out runs/dineof
# driftfield reconstruct runs/gappy test.nc --members 8 --out gappy.nc
# driftfield reconstruct runs/dineof test.nc --out dineof.nc

# %% [markdown]
# ## What it learnt
#
# On dates that no method saw, in cells that were hidden from all. The record is made of three patterns, which is what
# DINEOF is for: the network is not expected to win here.

# %%
scores = df.score(truth.isel(time=slice(260, None)), {"network": "gappy.nc", "DINEOF": "dineof.nc"}, "test.nc").scores
pd.DataFrame({name: scores[name]["sst"] for name in scores}).loc[["rmse", "crps"]].astype(float).round(3)

# %%
df.plot("gappy.nc", "sst", parts=["mean", "spread"])
