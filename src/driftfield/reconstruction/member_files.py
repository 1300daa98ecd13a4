"""One file per member, for programs that read four dimensions: an ensemble as Climate Data Operators know it.

<variable>_member (member, time, [depth,] lat, lon)   ->   FOLDER/member_000.nc ...   <variable> (time, [depth,] lat, lon)
"""

__all__ = ["of_member", "write_members"]

from pathlib import Path

import xarray as xr

from driftfield.conventions import state_variables
from driftfield.errors import DataError
from driftfield.files import replacing
from driftfield.gridded.gridded_files import write_dataset


def write_members(ensemble: xr.Dataset, folder: Path, *, overwrite: bool = False) -> list[Path]:
    """Writes every member of a reconstruction, a sample or a forecast into a file of its own.

    Arguments:
        ensemble: With `<variable>_member` (member, ...).
        folder: Of the files; appears when all of them are written.
        overwrite: Replace the folder.

    Raises:
        DataError: no members in it.
    """
    if "member" not in ensemble.dims:
        raise DataError("There are no members in this file: expected <variable>_member. Name a file that has them.")
    names = [f"member_{m:03d}.nc" for m in ensemble["member"].values.tolist()]
    with replacing(folder, overwrite=overwrite) as temporary:
        for index, name in enumerate(names):
            write_dataset(of_member(ensemble, index), temporary / name)
    return [folder / name for name in names]


def of_member(ensemble: xr.Dataset, index: int) -> xr.Dataset:
    """The fields of one member under the names of the variables."""
    fields = {}
    for name in state_variables(ensemble):
        if f"{name}_member" not in ensemble:
            continue
        field = ensemble[f"{name}_member"].isel(member=index, drop=True)
        described = {k: v for k, v in ensemble[name].attrs.items() if k not in ("cell_methods", "ancillary_variables")}
        fields[name] = field.assign_attrs(described)
    number = int(ensemble["member"].values[index])
    attrs = {k: v for k, v in ensemble.attrs.items() if k != "title"}
    title = f"Member {number} of: {ensemble.attrs.get('title', ', '.join(fields))}"
    return xr.Dataset(fields, attrs=attrs | {"title": title, "member": number})
