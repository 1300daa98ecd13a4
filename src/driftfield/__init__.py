"""Driftfield: incomplete observations of the ocean and atmosphere in, an ensemble of complete fields out.

    import driftfield as df

    open        a file, a glob or a store             -> xarray.Dataset
    observe     complete fields                       -> what an observing system would have seen of them
    load        a run by folder, shipped:NAME, hub:REPO -> a reconstructor
    fill        a field with gaps                     -> the complete field with its spread
    map         profiles, tracks, a table, a grid     -> fields with their spread
    reconstruct run, observations                     -> complete fields with members
    assimilate  trained prior, observations           -> fields that agree with both
    suggest     a file with members                   -> where to observe next
    coarsen     fine fields, a factor or a grid       -> their means over coarse cells
    downscale   run, coarse fields                    -> fine fields with members
    animate     fields with dates                     -> a film
    sample, forecast, score, plot, save, simulate_*

Everything is imported when it is first asked for.
"""

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from driftfield.face import (
        animate,
        assimilate,
        coarsen,
        downscale,
        fill,
        forecast,
        load,
        map,
        map_at,
        observe,
        open,
        plot,
        reconstruct,
        sample,
        save,
        score,
        simulate_lorenz63,
        simulate_lorenz96,
        simulate_navier_stokes,
        simulate_ocean,
        suggest,
    )

__all__ = [
    "__version__",
    "animate",
    "assimilate",
    "coarsen",
    "downscale",
    "fill",
    "score",
    "forecast",
    "load",
    "map",
    "map_at",
    "observe",
    "open",
    "plot",
    "reconstruct",
    "sample",
    "save",
    "simulate_lorenz63",
    "simulate_lorenz96",
    "simulate_navier_stokes",
    "simulate_ocean",
    "suggest",
]


def __getattr__(name: str) -> Any:
    if name in __all__:
        import_module("driftfield.accessor")
        return getattr(import_module("driftfield.face"), name)
    raise AttributeError(f"module 'driftfield' has no attribute {name!r}: expected one of {', '.join(__all__)}")


def __dir__() -> list[str]:
    return sorted(__all__)


if "xarray" in sys.modules:
    import_module("driftfield.accessor")
