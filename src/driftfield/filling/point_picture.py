"""What is drawn of a map: the date with the most values around it, at one to three levels."""

__all__ = ["picture_of"]

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from driftfield.evaluate.point_map import MapScene, draw_map
from driftfield.filling.map_grid import days_of
from driftfield.filling.point_choice import Choice

_ROWS = 3


def picture_of(result: xr.Dataset, choice: Choice, name: str) -> Figure:
    """The figure of one variable of a map.

    Arguments:
        result: Of `map_points`.
        choice: Of the variable.
        name: Which.
    """
    values = choice.values
    days = days_of(result["time"].values)
    step = float(np.median(np.diff(days))) if days.size > 1 else 10.0
    reach = max(0.5 * step, 1.0)
    count = [int((np.abs(values.days - day) <= reach).sum()) for day in days]
    date = int(np.argmax(count))
    depths = result["depth"].values if "depth" in result.dims else np.array([0.0])
    shown = np.unique(np.linspace(0, depths.size - 1, min(_ROWS, depths.size)).round().astype(int))
    near = np.abs(values.days - days[date]) <= reach
    scenes = []
    for level in shown:
        part = result.isel(time=date, depth=int(level)) if "depth" in result.dims else result.isel(time=date)
        mine = near & (np.abs(values.depth - depths[level]) <= 1e-6)
        scenes.append(
            MapScene(
                title=f"{np.datetime_as_string(result['time'].values[date], 'D')}, {depths[level]:g} m",
                lat=result["lat"].values,
                lon=result["lon"].values,
                mean=part[name].values,
                sd=part[f"{name}_sd"].values,
                point_lat=values.lat[mine],
                point_lon=values.lon[mine],
                point_value=values.value[mine],
            )
        )
    rmse = {t.name: t.rmse for t in sorted(choice.tried, key=lambda t: t.name != choice.name)}
    units = str(values.attrs.get("units", ""))
    return draw_map(scenes, rmse, name=name, units=units, title=f"{name}: {choice.name}")
