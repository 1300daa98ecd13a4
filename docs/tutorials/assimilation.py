# %% [markdown]
# # Observations of any kind, held to a trained model
#
# A trained diffusion model knows what the fields of a region look like. Observations that it was never trained for -
# between its cells, at a few depths, from instruments of other errors - can still constrain it, while it samples.
# Here a run that comes with the package is given clouds of surface temperature as its condition, and five profiles as
# a table. [More](../../assimilation.md): footprints, means, functions of several variables, times.

# %%
import numpy as np
import pandas as pd

import driftfield as df

ocean = df.simulate_ocean(years=0.02, every_days=5, start="2041-03-01", seed=7)[["thetao", "sst"]].isel(time=[0])
seen = df.observe(ocean, {"thetao": "none", "sst": "clouds:0.8"}, error=0.05, seed=1)
places = [(34.2, -66.4), (35.6, -62.1), (36.4, -65.2), (37.3, -60.2), (34.6, -59.3)]
rows = []
for number, (lat, lon) in enumerate(places):
    column = ocean["thetao"].isel(time=0).interp(lat=lat, lon=lon)
    for depth in (10, 50, 100, 200, 300):
        value = float(column.interp(depth=depth, kwargs={"fill_value": "extrapolate"}))
        rows.append((ocean["time"].values[0], lat, lon, depth, "thetao", value, 0.1, f"float {number}"))
table = pd.DataFrame(rows, columns="time latitude longitude depth variable value error platform".split())
table.to_csv("profiles.csv", index=False)
df.save(seen, "surface.nc")
table.head()

# %% [markdown]
# ## Without and with the profiles
#
# The same noise, so that what differs is what the profiles say. `mmps` costs a few products with the network's
# Jacobian at every step.

# %%bash
# driftfield reconstruct shipped:ocean_diffusion surface.nc --members 4 --out without.nc
# driftfield assimilate shipped:ocean_diffusion surface.nc --points profiles.csv --method mmps --members 4 --out guided.nc

# %%
without, guided = df.open("without.nc"), df.open("guided.nc")
df.plot(guided, "thetao", depth=100, parts=["mean", "spread"])

# %% [markdown]
# At the profiles the guided members agree with the observations to their errors:

# %%
import xarray as xr


def misfit(fields):
    """Mean of the members minus observation, over the error, root mean square."""
    names = {"lat": "latitude", "lon": "longitude", "depth": "depth"}
    at = {axis: xr.DataArray(table[column].values, dims="row") for axis, column in names.items()}
    predicted = fields["thetao"].isel(time=0).interp(at)
    return float(np.sqrt(np.nanmean(((predicted.values - table["value"]) / table["error"]) ** 2)))


print(f"misfit in errors: {misfit(without):.1f} without, {misfit(guided):.1f} with the profiles")
