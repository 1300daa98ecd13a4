# %% [markdown]
# # Your own cloudy image
#
# You have one file of a satellite: sea surface temperature, with gaps where clouds were. This page looks at it, fills
# it, and asks how far the result is to be trusted. It takes half a minute on one core; nothing is downloaded. Where
# your own file is, put its name in place of `clouds.nc`.
#
# First a file to work with, as awkward as real ones are: kelvin, longitudes from 0 to 360, latitudes from north to
# south, packed as whole numbers.

# %%
import driftfield as df

ocean = df.simulate_ocean(years=0.02, every_days=5, start="2041-05-01", seed=3)[["sst"]].isel(time=[0])
seen = df.observe(ocean, {"sst": "clouds:0.6"}, error=0.1, seed=1)[["sst"]]
awkward = seen.assign(sst=seen["sst"] + 273.15).assign_coords(lon=seen["lon"] % 360).isel(lat=slice(None, None, -1))
awkward["sst"].attrs = {"units": "kelvin", "long_name": "sea surface temperature"}
packed = {"dtype": "int16", "scale_factor": 0.01, "add_offset": 290.0, "_FillValue": -32768}
awkward.to_netcdf("clouds.nc", encoding={"sst": packed})

# %% [markdown]
# ## What is in it?
#
# `driftfield inspect` says what the other commands will see: axes, units, how much is missing, and which commands
# make sense next.

# %%bash
# driftfield inspect clouds.nc

# %% [markdown]
# ## Fill it
#
# `driftfield fill` hides blocks as wide as the clouds, tries what fits the record on them, and fills with the best.
# Here we ask for kriging straight away; leave `--method` out and it decides. A picture and a recipe lie beside the
# field.

# %%bash
# driftfield fill clouds.nc --variable sst --method kriging --noise 0.1 --members 8 --out filled.nc

# %%
filled = df.open("filled.nc")
df.plot(filled, "sst", parts=["mean", "spread"])

# %% [markdown]
# ## How good is it?
#
# The table of the command was made from cells that were hidden on purpose. Here the truth is known, so we can look
# behind the clouds: the error of the hidden cells, and how often the truth lay in the interval of 90 %.

# %%
import numpy as np

truth = ocean["sst"].isel(time=0).values
mean, sd = (filled[name].isel(time=0).sel(lat=ocean["lat"], method="nearest").values for name in ("sst", "sst_sd"))
hidden = np.isnan(seen["sst"].isel(time=0).values) & np.isfinite(truth) & np.isfinite(mean)
error = (mean - truth)[hidden]
print(f"RMSE {np.sqrt((error**2).mean()):.2f} degC, stated {np.sqrt((sd[hidden] ** 2).mean()):.2f} degC")
print(f"inside the interval of 90 %: {100 * np.mean(np.abs(error) < 1.645 * sd[hidden]):.0f} %")

# %% [markdown]
# The mean is the best single guess and smoother than the sea; take the members (`sst_member`) for gradients, fronts
# and everything that is not linear. Several dates of the same place help each other: with four or more of them `fill`
# also tries space-time interpolation.
