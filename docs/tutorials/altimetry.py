# %% [markdown]
# # Sea level from the tracks of altimeters
#
# An altimeter sees a line of points under its orbit, and nothing between the lines. Here three days of passes over a
# simulated ocean become a daily map of sea level with its spread. With your own files: `driftfield map altika_*.nc
# --variable sla=sla_filtered --box 41,46.5,28,42 --step .125 --every 1D --out sla.nc`.

# %%
import numpy as np
import pandas as pd

import driftfield as df

ocean = df.simulate_ocean(years=0.02, every_days=1, start="2041-05-01", seed=3)[["zos"]].isel(time=slice(0, 3))
seen = df.observe(ocean, {"zos": "tracks:0.93,width=1"}, error=0.03, seed=4)
table = seen["zos"].to_dataframe(name="zos").dropna().reset_index()
table = table.rename(columns={"lat": "latitude", "lon": "longitude"})
table.describe().loc[["count", "min", "max"]]

# %% [markdown]
# ## Map
#
# Distances of a hundred kilometres and a few days are what tracks tell of each other. The covariance comes from the
# values themselves; say `length_km`, `days` and `noise` where you know better.

# %%
fields = df.map(table, ocean, variables={"zos": "zos"}, noise=0.03)
df.plot(fields, "zos", parts=["mean", "spread"], time="2041-05-02")

# %% [markdown]
# ## Between the tracks
#
# The error against the truth, and the spread that was stated, by distance from the nearest track of the day:

# %%
from scipy.ndimage import distance_transform_edt

day = {"time": 1}
error = (fields["zos"] - ocean["zos"]).isel(day).values
sd = fields["zos_sd"].isel(day).values
distance = distance_transform_edt(np.isnan(seen["zos"].isel(day).values))
sea = np.isfinite(error)
bands = pd.cut(distance[sea], [-1, 0.5, 2, 4, 8, 40], labels=["on a track", "1-2 cells", "3-4", "5-8", "farther"])
rms = pd.DataFrame({"cells": 1, "error [m]": error[sea] ** 2, "spread [m]": sd[sea] ** 2}).groupby(bands, observed=True)
table = rms.mean() ** 0.5
table["cells"] = rms["cells"].count()
table.round(3)
