"""The eight nouns of the design as protocols: what a room may expect of another without importing it.

Notation as in docs/notation.md: t = 0 is clean, t = 1 is noise; x_t = alpha_t x + sigma_t eps;
gamma = log(alpha_t^2 / sigma_t^2).
"""

__all__ = [
    "Abilities",
    "Archive",
    "Cannot",
    "Codec",
    "Denoiser",
    "Dynamics",
    "ErrorCovariance",
    "Observation",
    "Reconstructor",
    "Sampler",
    "Schedule",
    "TrainingData",
]

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import xarray as xr
    from torch import Tensor


@runtime_checkable
class Schedule(Protocol):
    """t in [0, 1] -> (alpha_t, sigma_t), one object for training and sampling."""

    def gamma(self, t: "Tensor") -> "Tensor":
        """Log signal-to-noise ratio, falling in t."""
        ...

    def t(self, gamma: "Tensor") -> "Tensor":
        """Inverse of `gamma`."""
        ...

    def alpha_sigma(self, t: "Tensor") -> "tuple[Tensor, Tensor]":
        """Scale of the signal and standard deviation of the noise."""
        ...


@runtime_checkable
class Denoiser(Protocol):
    """(x_t, t, **conditions) -> posterior mean of the clean field; conditions are bound beforehand."""

    @property
    def schedule(self) -> Schedule:
        """What x_t follows."""
        ...

    def __call__(self, x_t: "Tensor", t: "Tensor") -> "Tensor":
        """E[x | x_t]: same shape as x_t (batch, channel, *space); t is (batch,)."""
        ...


@runtime_checkable
class Sampler(Protocol):
    """A time grid and a step; stateless."""

    evaluations: int
    """Network evaluations that one draw costs, at most."""

    def sample(self, denoiser: Denoiser, noise: "Callable[[int], Tensor]") -> "Tensor":
        """From noise (by draw number) at the first time of the grid to a clean field."""
        ...


@runtime_checkable
class ErrorCovariance(Protocol):
    """R, acting on the last axis of (..., n): any `diffusion.covariance.Covariance` is one."""

    @property
    def size(self) -> int:
        """n."""
        ...

    def matmul(self, x: "Tensor") -> "Tensor":
        """R x."""
        ...

    def solve(self, x: "Tensor", shift: "float | Tensor" = 0.0) -> "Tensor":
        """(R + shift I)^-1 x; the shift is a number, or one per row (..., 1)."""
        ...

    def sample(self, noise: "Tensor") -> "Tensor":
        """A draw of N(0, R) from independent standard normals."""
        ...

    def log_determinant(self, shift: "float | Tensor" = 0.0) -> "Tensor":
        """ln det (R + shift I)."""
        ...


@runtime_checkable
class Observation(Protocol):
    """y = H(x) + e with e ~ N(0, R); x is a clean field in network units, whatever the units of y.

    The samples of a batch share y: they are members of one ensemble. R is in the units of y.
    """

    y: "Tensor"
    """Observed values (n,)."""

    covariance: ErrorCovariance
    """R, of size n."""

    @property
    def linear(self) -> bool:
        """Whether H(a x + b z) = a H(x) + b H(z), so that the adjoint is the same at every x."""
        ...

    def apply(self, x: "Tensor") -> "Tensor":
        """H(x), differentiable: (batch, channel, *space) -> (batch, n)."""
        ...

    def adjoint(self, y: "Tensor", x: "Tensor | None" = None) -> "Tensor":
        """H' y, so that <Hx, y> = <x, H'y>: (batch, n) -> (batch, channel, *space).

        Of a nonlinear H it is the transpose of its derivative at `x`, which must then be given.
        """
        ...


@runtime_checkable
class Dynamics(Protocol):
    """A forward model of states: what a filter steps with, and a prior never sees."""

    def advance(self, state: "np.ndarray", steps: int = 1) -> "np.ndarray":
        """States (..., variable) of any number of members -> the same, `steps` time steps later; a new array."""
        ...


@runtime_checkable
class Codec(Protocol):
    """Fields in physical units <-> what the denoiser works on: (time, level, lat, lon) of one variable."""

    def encode(
        self, name: str, values: "np.ndarray", times: Any, rows: "np.ndarray", columns: "np.ndarray"
    ) -> "np.ndarray":
        """Physical units -> network units; NaN stays NaN.

        Arguments:
            name: Variable.
            values: Of that variable.
            times: Their dates.
            rows, columns: Their places on the grid of the run.
        """
        ...

    def decode(
        self, name: str, values: "np.ndarray", times: Any, rows: "np.ndarray", columns: "np.ndarray"
    ) -> "np.ndarray":
        """Network units -> physical units; arguments as of `encode`."""
        ...


@runtime_checkable
class Archive(Protocol):
    """Gridded truth to learn from."""

    @property
    def dataset(self) -> "xr.Dataset":
        """Variables with dimensions (time, [depth,] lat, lon), lazily opened, NaN outside the domain."""
        ...

    @property
    def domains(self) -> "dict[str, xr.DataArray]":
        """Where each variable exists: boolean ([depth,] lat, lon)."""
        ...

    @property
    def periodic(self) -> bool:
        """Whether longitude wraps."""
        ...

    @property
    def seen(self) -> "dict[str, xr.DataArray]":
        """Where the values were measured, by variable, if gaps were filled in by a model."""
        ...

    @property
    def cells(self) -> "xr.DataArray | None":
        """Of a part of an archive, the cells that it may know: boolean (lat, lon)."""
        ...

    @property
    def times(self) -> "xr.DataArray":
        """The dates (time,), datetime64 or cftime."""
        ...

    def domain(self, variable: str) -> "xr.DataArray":
        """Where the variable exists: boolean ([depth,] lat, lon)."""
        ...

    def levels(self, variable: str) -> tuple[float | None, ...]:
        """Depths in metres, or (None,) for a surface field."""
        ...


@dataclass(frozen=True)
class TrainingData:
    """What a `Reconstructor` is fitted to.

    Arguments:
        archive: The gridded truth, NaN where nothing may be learnt from it.
        train: Time indices of the training split.
        validation: Time indices of the validation split.
        targets: Variables to reconstruct.
        covariates: Surface variables that are given (cloudy or complete) and not reconstructed.
        test: Time indices that nobody may learn from.
        train_windows, validation_windows: Windows of the grid (`data.patches.Window`); none means the whole grid.
        vector_pairs: (eastward, northward) components of vectors, which turn together.
        bounds: (lower, upper) of targets that have bounds, physical units, infinite where there is none.
        validation_archive: The same truth, NaN but in the cells that validate; given where cells, not times, divide the parts.
        pair: Coarse fields of the same times (`data.pairing.Pair`), where the recipe names any.
        statics: Fields that do not change, (lat, lon) by name, in their units; those of a pair are in the pair.
    """

    archive: Archive
    train: "np.ndarray"
    validation: "np.ndarray"
    targets: tuple[str, ...]
    covariates: tuple[str, ...] = ()
    test: "np.ndarray | None" = None
    train_windows: "tuple[Any, ...]" = ()
    validation_windows: "tuple[Any, ...]" = ()
    vector_pairs: tuple[tuple[str, str], ...] = ()
    bounds: "dict[str, tuple[float, float]]" = field(default_factory=dict)
    validation_archive: Archive | None = None
    pair: "Any" = None
    statics: "dict[str, np.ndarray]" = field(default_factory=dict)

    @property
    def to_validate(self) -> Archive:
        """The archive whose fields at the times of `validation` constants and weights are chosen on."""
        return self.archive if self.validation_archive is None else self.validation_archive


@dataclass(frozen=True)
class Cannot:
    """An ability that is not there, which reads as false.

    Arguments:
        why: Ends a sentence that begins with the name of the class: "draws no samples".
    """

    why: str

    def __bool__(self) -> bool:
        return False


Ability = bool | Cannot
"""Whether a setting has a meaning for a method; `Cannot` says why it has none."""


@dataclass(frozen=True, kw_only=True)
class Abilities:
    """What a method can do beyond the five of `Reconstructor`: declared by its class, so that nobody has to look for it.

    The second half are settings. One that a method does not take says why, and whoever asks for it is told
    (`reconstruction.settings`): no setting is ignored.

    Arguments:
        needs_training: `fit` takes a trainer, a folder and `resume`.
        learns: Fits anything to an archive.
        checks_training: Has `check`, which refuses what a training could not do before anything is opened.
        uses_other_times: The fields of a date depend on the observations of other dates in the same file.
        takes_draws: Has `complete`, which takes `reconstruction.draws.Draws` in place of members and seed alone.
        chooses_times: Of these it takes `times`: which dates to complete, all others being context.
        keeps_draws: Of these it takes a `keeper`, which remembers batches of members.
        first_guess: A network may learn what it leaves (`models.first_guess`).
        leaves_out_near_times: As a first guess it can answer without the fields near an analysed date, and needs no folds.
        spreads: Members differ from each other.
        sampler: Has a `sampler` that can be exchanged.
        precision: Has a `precision` of its network while sampling.
        replacement: Can impose observations while sampling.
        batch_size: Takes a `batch_size`.
        tiles: Takes the grid in tiles (`sampling.tiles`).
        device: Can be moved: `to(device)`.
        calibration: Applies a calibration of spread and bias, see `reconstruction.calibration_cases.Calibratable`.
        covariates: Looks at the covariates of the recipe; of a method that does not, the fit says so.
        statics: Looks at static fields on the grid of the archive.
    """

    needs_training: bool = False
    learns: bool = True
    checks_training: bool = False
    uses_other_times: bool = False
    takes_draws: bool = False
    chooses_times: bool = False
    keeps_draws: bool = False
    first_guess: Ability = Cannot("is no peer that gives a mean")
    leaves_out_near_times: bool = False
    spreads: Ability = True
    sampler: Ability = Cannot("draws no samples")
    precision: Ability = Cannot("has no network that draws samples")
    replacement: Ability = Cannot("draws no samples")
    batch_size: Ability = Cannot("draws all members at once")
    tiles: Ability = Cannot("looks at the whole grid at once")
    device: Ability = Cannot("computes on the processor")
    calibration: Ability = True
    covariates: Ability = True
    statics: Ability = Cannot("looks at no static fields on the grid of its targets")

    @property
    def takes_dates_apart(self) -> bool:
        """Whether a date of a file can be completed without the others, so that several processes may share them."""
        return not self.uses_other_times or self.chooses_times


@runtime_checkable
class Reconstructor(Protocol):
    """Observations -> complete fields. The model and every peer are one of these, so a comparison is a loop."""

    @property
    def method(self) -> str:
        """Short name in tables and score files: diffusion, climatology, linear, optimal_interpolation, unet."""
        ...

    @property
    def abilities(self) -> Abilities:
        """What it can do beyond this, and which settings it takes."""
        ...

    def fit(self, data: TrainingData, *, seed: int = 0) -> None:
        """Learns from the training split; constants are chosen on the validation split."""
        ...

    def reconstruct(self, observations: "xr.Dataset", *, members: int, seed: int = 0) -> "xr.Dataset":
        """A data set with `<variable>` (mean), `<variable>_sd` and `<variable>_member` (member, ...) for every target.

        Arguments:
            observations: An observation file (`driftfield.conventions`), opened.
            members: Size of the ensemble; a deterministic method gives 1 and no spread.
            seed: Of every random draw; member m depends on (seed, m) only.
        """
        ...

    def save(self, folder: Path) -> None:
        """Writes run.json and arrays.safetensors."""
        ...

    @classmethod
    def load(cls, folder: Path) -> "Reconstructor":
        """Reads what `save` wrote."""
        ...
