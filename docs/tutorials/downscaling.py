# %% [markdown]
# # Two files, coarse and fine
#
# You have coarse fields of many dates and fine ones of some of them, and want fine fields for the rest. This page
# trains two methods on the dates that both files have, and scores them on dates that they did not see. Seconds on one
# core. [The options](../../user-guide.md#downscaling), and [what the methods reach on real
# data](../../comparison/index.md).

# %%
import numpy as np
import pandas as pd
import xarray as xr

import driftfield as df
from driftfield.gaussian.random_fields import Matern, PeriodicField

rng, side, days = np.random.default_rng(0), (32, 48), 240
hills = np.abs(PeriodicField(Matern(3.0, 1.0), side, side).sample(rng, 1)[0]) * 800
large = PeriodicField(Matern(12.0, 2.5), side, side).sample(rng, days) * 5
small = PeriodicField(Matern(1.5, 1.0), side, side).sample(rng, days) * 0.4
axes = {
    "time": pd.date_range("2001-01-01", periods=days),
    "lat": 44 + 0.1 * np.arange(32),
    "lon": 5 + 0.1 * np.arange(48),
}
values = (12 + large - 0.006 * hills * (1 + 0.1 * large) + small).astype("float32")
fine = xr.Dataset(
    {"tas": (("time", "lat", "lon"), values, {"units": "degC", "standard_name": "air_temperature"})}, axes
)
df.save(fine.isel(time=slice(0, 200)), "fine.nc")
df.save(fine.isel(time=slice(200, None)), "truth.nc")
df.save(df.coarsen(fine, factor=8), "coarse.nc")

# %% [markdown]
# ## Train
#
# A recipe names the two files and a method; `driftfield recipes` has some to start from. Regression on principal
# components, and every member projected on the coarse means that it was given:

# %%
from pathlib import Path

recipe = """
driftfield_format: 1
data:
  archive: fine.nc
  targets: [tas]
  coarse: {archive: coarse.nc}
  split: {class: TimeSplit, validation: 0.1}
downscaler:
  class: Conserving
  downscaler: {class: PrincipalComponentRegression, components: 20}
  how: {tas: additive}
"""
Path("downscale.yaml").write_text(recipe)
# %%bash
# driftfield train downscale.yaml --out runs/regression
# driftfield downscale runs/regression coarse.nc --members 10 --time 2001-07-20:2001-08-28 --out downscaled.nc

# %%
made = df.open("downscaled.nc")
truth = df.open("truth.nc")
df.plot(made, "tas", parts=["mean", "spread"])

# %% [markdown]
# ## Score
#
# Temperature of the air is read in kelvin, whatever the file has. The forty dates were in no file that the method
# saw. Beside it, what plain interpolation of the coarse field gives:

# %%
coarse = df.open("coarse.nc").sel(time=truth["time"])
interpolated = coarse.interp(lat=fine["lat"], lon=fine["lon"], kwargs={"fill_value": "extrapolate"})
for name, fields in {"interpolation": interpolated, "regression": made}.items():
    error = fields["tas"].transpose("time", "lat", "lon").values - truth["tas"].values
    print(f"{name}: RMSE {np.sqrt(np.mean(error**2)):.2f} K")
means = df.coarsen(made[["tas"]], factor=8)["tas"].values - coarse["tas"].values
print(f"coarse means are kept to {np.abs(means).max():.0e} K")
