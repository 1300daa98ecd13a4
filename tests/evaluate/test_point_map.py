"""The picture of a map from points: what the axes and the colours are is written beside them."""

import numpy as np

from driftfield.evaluate.point_map import MapScene, draw_map


def test_axes_are_in_degrees_and_colours_name_the_variable() -> None:
    lat, lon = np.linspace(41.0, 46.0, 6), np.linspace(-30.0, -20.0, 8)
    field = lat[:, None] + 0.1 * lon
    point = np.array([43.0]), np.array([-25.0]), np.array([40.5])
    scene = MapScene("2017-04-22, 0 m", lat, lon, field, np.ones_like(field), *point)
    figure = draw_map([scene], {"kriging": 0.1, "box-mean": 0.2}, name="sst", units="degC", title="sst: kriging")
    figure.canvas.draw()
    axes = [ax for part in figure.subfigs for ax in part.axes]
    labels = [tick.get_text() for ax in axes for tick in [*ax.get_xticklabels(), *ax.get_yticklabels()]]
    assert any(label.endswith("°N") for label in labels)
    assert any(label.endswith("°W") for label in labels)
    assert {"sst [degC]", "sd [degC]"} <= {ax.get_ylabel() for ax in axes}
    np.testing.assert_allclose(axes[0].get_ylim(), (40.5, 46.5))  # outer cells whole
