"""What argopy returns: an xarray data set of points, one row per level of a profile.

    argopy.DataFetcher().region([...]).to_xarray()   -->   TIME LATITUDE LONGITUDE PRES | TEMP TEMP_QC TEMP_ERROR     (N_POINTS)

In its standard and research modes TEMP is the adjusted value already where there is one, with the flag and the error of that; in
its expert mode the columns are those of Argo's files. Either is a table of rows as `argo` reads them; argopy is not needed.
"""

__all__ = ["read_argopy"]

from collections.abc import Mapping

import xarray as xr

from driftfield.errors import DataError
from driftfield.observations.readers.argo import is_row_table, read_row_table
from driftfield.observations.readers.collection import collect
from driftfield.observations.readers.potential import is_potential, to_potential
from driftfield.observations.readers.quality import Quality


def read_argopy(dataset: xr.Dataset, variables: Mapping[str, str], quality: Quality | None = None) -> xr.Dataset:
    """The points of a data set that argopy made.

    Arguments:
        dataset: With the dimension N_POINTS.
        variables: Our name -> name in the data set, such as {"thetao": "TEMP", "so": "PSAL"}; what models call potential
            temperature becomes it.
        quality: What is asked of a value; the default honours flags, modes and ranges.

    Raises:
        DataError: profiles in place of points, no variable asked for, or one that the data set does not have.
    """
    if not is_row_table(dataset):
        raise DataError(
            f"Found a data set with the dimensions {tuple(map(str, dataset.dims))}: expected argopy's points, TIME, LATITUDE, "
            "LONGITUDE and PRES along N_POINTS. Turn profiles into points with `ds.argo.profile2point()`."
        )
    if not variables:
        raise DataError("No variable was asked for: expected at least one, such as {'thetao': 'TEMP'}.")
    quality = quality or Quality()
    table = collect([read_row_table(dataset, variables, quality, source="argopy's data set")], quality)
    for name in variables:
        if is_potential(name):
            table = to_potential(table, name)
    return table
