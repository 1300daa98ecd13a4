# %% [markdown]
# # From profiles to maps
#
# You have profiles - Argo floats, CTD casts - and want maps of temperature at some depths, with a spread that can be
# trusted at places where no float was. No archive, no training. Your own files go straight in: `driftfield map
# argo/*.nc --variable thetao=TEMP --box ... --out map.nc` ([all options](../../mapping.md)); `driftfield download
# argo` fetches them.
#
# Here the floats swim in a simulated ocean, so that the truth is known: 25 profiles every five days for two months.

# %%
import json

import numpy as np
import pandas as pd

import driftfield as df

ocean = df.simulate_ocean(years=0.17, every_days=5, start="2041-03-01", seed=5)[["thetao"]]
rng = np.random.default_rng(0)
sea = np.argwhere(np.isfinite(ocean["thetao"].isel(time=0, depth=5).values))
rows = []
for number, date in enumerate(ocean["time"].values):
    for cast in range(25):
        lat, lon = sea[rng.integers(len(sea))]
        for depth in (2, 5):
            value = float(ocean["thetao"][number, depth, lat, lon]) + 0.05 * rng.standard_normal()
            place = float(ocean["lat"][lat]), float(ocean["lon"][lon]), float(ocean["depth"][depth])
            rows.append((date, *place, value, f"float {number}-{cast}"))
columns = ["time", "latitude", "longitude", "depth", "thetao", "platform"]
profiles = pd.DataFrame(rows, columns=columns)
profiles.head()

# %% [markdown]
# ## Keep some back
#
# A score is honest where a method has not looked: one float in five is kept back, whole.

# %%
kept_back = profiles.index // 2 % 5 == 0  # two depths a float
given, withheld = profiles[~kept_back], profiles[kept_back]
print(len(given), "values are mapped,", len(withheld), "are kept back")

# %% [markdown]
# ## Map
#
# `df.map` tries regressions on season and position and several krigings on profiles that it leaves out itself, and
# takes the best. A grid, or a box and a step, say where.

# %%
depths = sorted(set(profiles["depth"]))
fields = df.map(given, ocean.isel(time=slice(5, 7)), levels=depths, variables={"thetao": "thetao"})
tried = pd.DataFrame(json.loads(fields.attrs["driftfield_tried"])["thetao"])
tried[["name", "rmse", "crps", "coverage"]].round(2)

# %%
df.plot(fields, "thetao", depth=depths[1], parts=["mean", "spread"])

# %% [markdown]
# ## Ask at places
#
# `df.map_at` answers at places of one's own, not by what lies in the cells around. At the floats that were kept back:

# %%
answers = df.map_at(given, withheld.drop(columns="thetao"), variables={"thetao": "thetao"})
error = answers["thetao"].values - withheld["thetao"].values
inside = np.abs(error) < 1.645 * answers["thetao_sd"].values
print(f"RMSE {np.sqrt(np.mean(error**2)):.2f} degC; {100 * inside.mean():.0f} % inside the interval of 90 %")
print(f"the mean of the box instead: {np.sqrt(np.mean((withheld['thetao'] - given['thetao'].mean()) ** 2)):.2f} degC")
