"""The picture beside the output: what was seen, what was made of it, and how far that may be off.

One row for the date with the widest gaps among those that saw something, one for the date that saw most; grey land, white gaps,
one scale of values with its units. Fields with depth are shown at their first level.
"""

__all__ = ["draw"]


import cmocean
import numpy as np
from matplotlib.figure import Figure

from driftfield.evaluate import drawing
from driftfield.filling.filling import Filled


def draw(filled: Filled) -> Figure:
    """Observed, filled and spread of one or two dates."""
    record, name = filled.record, filled.record.name
    seen, domain = _level(record.original.values), _level(record.domain.values[None])[0]
    field, sd = (_dated(filled, label) for label in (name, f"{name}_sd"))
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
        drawn = drawing.fill(row[1], plane, field[t], f"filled ({filled.chosen})", **values)
        spread = drawing.fill(row[2], plane, sd[t], "standard deviation", cmap=cmocean.cm.amp, vmin=0, vmax=widest)
    drawing.label_edges(grid, planes[0])
    # the colours end where one in a hundred values does: the arrows say so
    said = f"{name} [{units}]" if units else name
    figure.colorbar(drawn, ax=list(grid[:, :2].ravel()), label=said, shrink=0.9, pad=0.01, extend="both")
    figure.colorbar(spread, ax=list(grid[:, 2]), label=f"sd [{units}]" if units else "sd", shrink=0.9, extend="max")
    drawing.headline(figure, f"{record.original.attrs.get('long_name', name)}: {filled.chosen}")
    return figure


def _level(values: np.ndarray) -> np.ndarray:
    """(time, lat, lon): the first level of a field with depth."""
    return values[:, 0] if values.ndim == 4 else values


def _dated(filled: Filled, label: str) -> np.ndarray:
    values = filled.dataset[label].values
    return _level(values if filled.record.dated else values[None])


def _dates(seen: np.ndarray, domain: np.ndarray) -> list[int]:
    """The date with most gaps that saw a tenth of the domain or more, if there is one, and the date that saw most."""
    share = seen[:, domain].mean(axis=1)
    full = int(np.argmax(share))
    gappy = np.flatnonzero((share >= 0.1) & (share < share[full] - 0.05))
    return [int(gappy[np.argmin(share[gappy])]), full] if gappy.size else [full]


def _plane(filled: Filled, seen: np.ndarray, field: np.ndarray, domain: np.ndarray) -> drawing.MapPanel:
    lat, lon = (filled.record.field[axis].values.astype(np.float64) for axis in ("lat", "lon"))
    return drawing.MapPanel(lon, lat, False, field, seen, np.zeros(seen.shape, dtype=bool), domain)
