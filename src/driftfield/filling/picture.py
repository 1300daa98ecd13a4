"""The picture beside the output: what was seen, what was made of it, and how far that may be off.

One row for the date with the widest gaps among those that saw something, one for the date that saw most; grey land, white gaps,
one scale of values with its units. Fields with depth are shown at their first level; a section, one cell wide, as depth against
the distance along it.
"""

__all__ = ["draw"]


import cmocean
import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from driftfield.conventions import geometry_of
from driftfield.evaluate import drawing
from driftfield.filling.filling import Filled
from driftfield.geometry import distance_along


def draw(filled: Filled) -> Figure:
    """Observed, filled and spread of one or two dates."""
    record, name = filled.record, filled.record.name
    across = _across(record.original)
    seen, domain = _plane_of(record.original.values, across), _plane_of(record.domain.values[None], across)[0]
    field, sd = (_dated(filled, label, across) for label in (name, f"{name}_sd"))
    dates = _dates(np.isfinite(seen), domain)
    units = str(record.original.attrs.get("units", ""))
    called = f"{name} {record.original.attrs.get('standard_name', '')}"
    values = drawing.scale_of(called, units, [seen[dates], field[dates]])
    widest = drawing.limits([sd[dates][:, domain]], False)[1]
    planes = [_plane(filled, seen[t], field[t], domain) for t in dates]
    width, height = drawing.panel_size(planes[0], 3)
    width, height = 1.35 * width, 1.35 * height
    figure = Figure(figsize=(3 * width + 1.8, height * len(dates) + 0.7), layout="constrained")
    grid = figure.subplots(len(dates), 3, squeeze=False, sharex=True, sharey=True)
    for row, t, plane in zip(grid, dates, planes, strict=True):
        stamp = f", {str(record.field['time'].values[t])[:16].replace('T', ' ')}" if record.dated else ""
        drawing.fill(row[0], plane, seen[t], f"observed{stamp}", **values)
        # a blend has a long name, which stands above all
        label = f"filled ({filled.chosen})" if len(filled.chosen) <= 24 else "filled"
        drawn = drawing.fill(row[1], plane, field[t], label, **values)
        spread = drawing.fill(row[2], plane, sd[t], "standard deviation", cmap=cmocean.cm.amp, vmin=0, vmax=widest)
    drawing.label_edges(grid, planes[0])
    # the colours end where one in a hundred values does: the arrows say so
    said = f"{name} [{units}]" if units else name
    figure.colorbar(drawn, ax=list(grid[:, :2].ravel()), label=said, shrink=0.9, pad=0.01, extend="both")
    figure.colorbar(spread, ax=list(grid[:, 2]), label=f"sd [{units}]" if units else "sd", shrink=0.9, extend="max")
    drawing.headline(figure, f"{record.original.attrs.get('long_name', name)}: {filled.chosen}")
    return figure


def _across(field: xr.DataArray) -> int | None:
    """The axis of (time, depth, lat, lon) that a section is one cell wide in; None of a map."""
    if field.ndim < 4 or field.sizes["depth"] < 2:
        return None
    return next((axis for axis in (2, 3) if field.shape[axis] == 1), None)


def _plane_of(values: np.ndarray, across: int | None) -> np.ndarray:
    """(time, y, x): a section, or the first level of a field with depth."""
    if across is not None:
        return values.squeeze(axis=across)
    return values[:, 0] if values.ndim == 4 else values


def _dated(filled: Filled, label: str, across: int | None) -> np.ndarray:
    values = filled.dataset[label].transpose(*filled.record.field.dims, missing_dims="ignore").values
    return _plane_of(values if filled.record.dated else values[None], across)


def _dates(seen: np.ndarray, domain: np.ndarray) -> list[int]:
    """The date with most gaps that saw a tenth of the domain or more, if there is one, and the date that saw most."""
    share = seen[:, domain].mean(axis=1)
    full = int(np.argmax(share))
    gappy = np.flatnonzero((share >= 0.1) & (share < share[full] - 0.05))
    return [int(gappy[np.argmin(share[gappy])]), full] if gappy.size else [full]


def _plane(filled: Filled, seen: np.ndarray, field: np.ndarray, domain: np.ndarray) -> drawing.MapPanel:
    record, nothing = filled.record.field, np.zeros(seen.shape, dtype=bool)
    if _across(record) is None:
        lat, lon = (record[axis].values.astype(np.float64) for axis in ("lat", "lon"))
        return drawing.MapPanel(lon, lat, False, field, seen, nothing, domain)
    points = geometry_of(record).points.reshape(-1, 3)
    depth = record["depth"].values.astype(np.float64)
    return drawing.MapPanel(
        distance_along(points), depth, True, field, seen, nothing, domain, ("distance [km]", "depth [m]")
    )
