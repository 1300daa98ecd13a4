# %% [markdown]
# # Many dates on many machines
#
# A decade of daily fields is thousands of dates, and every date can be completed by itself. On a cluster each job
# takes a part of the dates; no job knows of another. What makes that safe: a member of a date depends on the seed,
# its number and the date, and on nothing else - so the parts fit together as if one job had done all. This page does
# it with two jobs on one machine.

# %%
import numpy as np

import driftfield as df

ocean = df.simulate_ocean(years=0.12, every_days=10, start="2041-03-01", seed=7)[["thetao", "sst"]].isel(
    time=slice(0, 4)
)
seen = df.observe(ocean, {"thetao": "profiles:0.95", "sst": "clouds:0.8"}, error=0.05, seed=1)
df.save(seen, "seen.nc")
for number in range(2):
    df.save(seen.isel(time=slice(2 * number, 2 * number + 2)), f"seen_{number}.nc")
print(*(str(date)[:10] for date in seen["time"].values))

# %% [markdown]
# With Slurm one of these lines is the body of `sbatch --array=0-1`, with `$SLURM_ARRAY_TASK_ID` in place of the
# number. A job that was killed goes on at the date where it stood with `--resume`. Machines without a network need
# nothing but the package: `shipped:` runs lie in it.

# %%bash
# driftfield reconstruct shipped:ocean_oi seen_0.nc --members 4 --out part_0.nc
# driftfield reconstruct shipped:ocean_oi seen_1.nc --members 4 --out part_1.nc
# driftfield reconstruct shipped:ocean_oi seen.nc --members 4 --out whole.nc

# %% [markdown]
# A glob is read as one file, here as everywhere:

# %%
parts, whole = df.open("part_*.nc"), df.open("whole.nc")
print(
    parts.sizes["time"],
    "dates;",
    "largest difference of a member:",
    float(np.abs(parts["thetao_member"] - whole["thetao_member"]).max()),
)
df.plot(parts, "thetao", depth=100, time="2041-03-21", parts=["mean", "spread"])

# %% [markdown]
# Fields that are too large for one look are divided in space instead: `--tile 128 --overlap 32`
# ([how](../../scale.md)).
