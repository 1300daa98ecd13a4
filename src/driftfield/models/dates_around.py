"""What a first guess sees of the dates around the analysed one, while a network learns what it leaves.

    sample (its own frames, some of it hidden)  +  the other dates of the record, as they were seen  ->  observations of the peer

A file that is reconstructed later holds all its dates, and a peer in space and time uses them; a guess from the frames of a
sample alone would be worse than the one that the network meets.
"""

__all__ = ["among_others"]

import numpy as np
import xarray as xr

from driftfield.interfaces import TrainingData


def among_others(sample: xr.Dataset, only: int, data: TrainingData, time: int, around: int) -> tuple[xr.Dataset, int]:
    """A sample among the dates of the archive around it, and where its analysed date lies among them.

    Arguments:
        sample: Observations of the frames of a sample.
        only: The index of its analysed date.
        data: Archive and splits; test times are never shown.
        time: The time index of that date in the archive.
        around: Dates before and after that are shown.
    """
    known = np.union1d(data.train, data.validation).astype(int)
    place = int(np.searchsorted(known, time))
    near = known[max(0, place - around) : place + around + 1]
    stamps = data.archive.times.values
    near = near[~np.isin(stamps[near], sample["time"].values)]
    if not near.size:
        return sample, only
    fields = data.archive.dataset.isel(time=near)
    frames: dict[str, xr.DataArray] = {}
    names = [str(n) for n in sample.data_vars]
    for name in (n for n in names if f"{n}_error" in names):
        places = {key: axis for key, axis in sample[name].coords.items() if "time" not in axis.dims}
        values = fields[name].transpose(*sample[name].dims).assign_coords({**places, "time": stamps[near]})
        stated = fields.get(f"{name}_error")
        error = xr.zeros_like(values) if stated is None else stated.transpose(*values.dims).assign_coords(values.coords)
        frames |= {name: values, f"{name}_error": error.where(values.notnull())}
    joined: xr.Dataset = xr.concat([sample[list(frames)], xr.Dataset(frames)], dim="time", join="override")
    joined = joined.assign({n: sample[n] for n in names if "time" not in sample[n].dims}).sortby("time")
    return joined, int(np.flatnonzero(joined["time"].values == sample["time"].values[only])[0])
