"""What `import driftfield as df` offers: one function a job, xarray in and xarray out.

A run is named by its folder, by `shipped:NAME` or `hub:REPO`, or handed over as what `load` returned; data sets are given as they
are in memory, or as the name of a file. Names, axes and units of files and data sets are read alike.
"""

from driftfield import __all__ as _offered
from driftfield.face.filling import fill as fill
from driftfield.face.filling import map as map
from driftfield.face.filling import map_at as map_at
from driftfield.face.filling import suggest as suggest
from driftfield.face.looking import animate as animate
from driftfield.face.looking import coarsen as coarsen
from driftfield.face.looking import observe as observe
from driftfield.face.looking import open as open
from driftfield.face.looking import plot as plot
from driftfield.face.looking import save as save
from driftfield.face.running import assimilate as assimilate
from driftfield.face.running import downscale as downscale
from driftfield.face.running import forecast as forecast
from driftfield.face.running import load as load
from driftfield.face.running import reconstruct as reconstruct
from driftfield.face.running import sample as sample
from driftfield.face.running import score as score
from driftfield.face.simulated import simulate_lorenz63 as simulate_lorenz63
from driftfield.face.simulated import simulate_lorenz96 as simulate_lorenz96
from driftfield.face.simulated import simulate_navier_stokes as simulate_navier_stokes
from driftfield.face.simulated import simulate_ocean as simulate_ocean

__all__ = [name for name in _offered if name != "__version__"]
