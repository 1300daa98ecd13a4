"""A coarser product as a table: every value is a row that is the mean over the box of its cell.

    (time, [depth,] lat, lon) of some grid   ->   longitude latitude depth time variable value error | cell_width cell_height

Cells reach halfway to their neighbours, the outermost as far on the other side.
"""

__all__ = ["table_of_boxes"]

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import xarray as xr

from driftfield.conventions import positions_of
from driftfield.errors import DataError
from driftfield.linalg.cell_grid import CellGrid
from driftfield.observations.gridded import table_of_cells
from driftfield.observations.table import ObservationTable


def table_of_boxes(observations: xr.Dataset, variables: Sequence[str]) -> ObservationTable:
    """The observed cells of a gridded data set as means over their boxes.

    Arguments:
        observations: Canonical, with axes of latitude and longitude, NaN where not seen; `<variable>_error` where it is stated.
        variables: Which of its variables; those that it has not are passed over.

    Raises:
        DataError: none of the variables is there, a grid without such axes, one cell in a direction, another calendar.
    """
    if positions_of(observations) is not None:
        raise DataError(
            "A coarser product is read on axes of latitude and longitude: found a grid with positions of its own. Regrid it, or "
            "give its values as a table with the columns cell_width and cell_height (degrees)."
        )
    if observations["time"].dtype.kind != "M":
        raise DataError(
            f"Found dates of the calendar {observations['time'].dt.calendar!r} in a coarser product: expected the standard one. "
            "Convert them."
        )
    axes = {axis: np.sort(observations[axis].values.astype(np.float64)) for axis in ("lat", "lon")}
    if short := [axis for axis, values in axes.items() if values.size < 2]:
        raise DataError(
            f"A coarser product with one {short[0]} alone does not say how large its cells are. Give more of them."
        )
    cells = CellGrid.around(axes["lat"], axes["lon"])
    table = table_of_cells(observations, variables)
    middle, size = {}, {}
    for axis, places, edges in (("lat", table.latitude, cells.lat), ("lon", table.longitude, cells.lon)):
        at = np.searchsorted(edges, places).clip(1, axes[axis].size) - 1
        middle[axis], size[axis] = 0.5 * (edges[at] + edges[at + 1]), edges[at + 1] - edges[at]
    return replace(
        table, latitude=middle["lat"], longitude=middle["lon"], cell_width=size["lon"], cell_height=size["lat"]
    )
