"""The EOFs of a matrix with gaps: fill them with what the EOFs say, until neither changes any more (DINEOF).

    X (space, time), centred      gaps start at 0
    repeat                        F X'X F' = V S^2 V'         of the shorter side
                                  U = X V / |X V|
                                  gaps of X <- U S V'         N modes; until the gaps move by less than `tolerance` sd
    for N = 1, 2, ...             rms error at points that were held out: the cross-validation curve, its minimum the rank
    once more with that rank      the held-out points given back

F = I is the method of Beckers and Rixen (2003, doi:10.1175/1520-0426(2003)020<1839:ECADFF>2.0.CO;2), the rank that of
Alvera-Azcarate et al. (2005, doi:10.1016/j.ocemod.2004.08.001); F = a few steps of diffusion along the time axis filters
the temporal covariance (Alvera-Azcarate et al. 2009, doi:10.5194/os-5-475-2009). Plain numbers: no axis has a name here.
"""

__all__ = ["DineofResult", "diffusion_filter", "dineof", "random_points"]

from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg import eigh

from driftfield.errors import ConfigurationError, DataError

INCREASES = 3
"""The search for the rank ends when the cross-validation error has grown so many times in a row, as in the original."""


@dataclass(frozen=True)
class DineofResult:
    """A filled matrix and its modes.

    Arguments:
        filled: (space, time): the data where they are, U S V' + mean in the gaps.
        U: Spatial modes (space, rank), columns of length one.
        S: Singular values (rank,), falling.
        V: Temporal modes (time, rank), columns of length one.
        mean: What was subtracted.
        cv_curve: Rms error at the held-out points with 1, 2, ... modes; empty where the rank was given.
        held_out: The points of the cross-validation (space, time), boolean.
        unaided: `filled` before the held-out points were given back (space, time): there, it is an honest estimate.
        explained: Share of each mode in the sum of squares of the filled matrix, per cent.
        iterations: How often the gaps were filled, all ranks together.
    """

    filled: np.ndarray
    U: np.ndarray
    S: np.ndarray
    V: np.ndarray
    mean: float
    cv_curve: np.ndarray
    held_out: np.ndarray
    unaided: np.ndarray
    explained: np.ndarray
    iterations: int

    @property
    def rank(self) -> int:
        """Number of modes."""
        return self.S.size

    @property
    def truncated(self) -> np.ndarray:
        """U S V' + mean everywhere, also where there are data: (space, time)."""
        return (self.U * self.S) @ self.V.T + self.mean

    def turned(self) -> "DineofResult":
        """The result for the transposed matrix."""
        sides = {name: getattr(self, name).T for name in ("filled", "held_out", "unaided")}
        return replace(self, U=self.V, V=self.U, **sides)


def dineof(
    matrix: np.ndarray,
    observed: np.ndarray | None = None,
    *,
    rank: int | None = None,
    max_rank: int = 20,
    held_out: np.ndarray | None = None,
    time_filter: np.ndarray | None = None,
    tolerance: float = 1e-3,
    max_iterations: int = 300,
    reuse_held_out: bool = True,
) -> DineofResult:
    """Fills the gaps of a matrix; the number of modes is chosen by cross-validation.

    Arguments:
        matrix: (space, time); what it holds in the gaps has no say. float32 is kept, and twice as fast.
        observed: Where it is known, boolean; where it is finite, if not given.
        rank: Number of modes, if it is known already; then nothing is held out.
        max_rank: The largest rank that is tried; the shorter side of the matrix, if that is less.
        held_out: Observed points for the cross-validation, boolean; if not given, `random_points` of seed 0.
        time_filter: F (time, time), see `diffusion_filter`.
        tolerance: The gaps have settled when their rms change is below this share of the data's standard deviation.
        max_iterations: Fillings per rank, at most.
        reuse_held_out: Whether the last pass keeps the held-out data. The original program gives them back as well, but
            overwrites them in the first iteration of the last pass; False does the same.

    Raises:
        DataError: nothing is left to learn from, or an observed value is not finite.
        ConfigurationError: a rank or a mask that does not fit the matrix.
    """
    seen = np.isfinite(matrix) if observed is None else np.asarray(observed, dtype=bool)
    if held_out is None:
        held_out = random_points(seen, np.random.default_rng(0)) if rank is None else np.zeros_like(seen)
    _check(matrix, seen, held_out, 1 if rank is None else rank)
    if time_filter is None and matrix.shape[0] < matrix.shape[1]:
        turned = dineof(matrix.T, seen.T, rank=rank, max_rank=max_rank, held_out=held_out.T, tolerance=tolerance,
                        max_iterations=max_iterations, reuse_held_out=reuse_held_out)  # fmt: skip
        return turned.turned()
    mean = float(matrix[seen].mean(dtype=np.float64))
    centred = np.where(seen, matrix - mean, 0.0).astype(np.float32 if matrix.dtype == np.float32 else np.float64)
    stop = _Stop(tolerance * float(centred[seen].std()), max_iterations)
    filler = _Filler(np.where(held_out, 0.0, centred), ~seen | held_out, time_filter)
    filler.fill(1)
    ranks = range(1, min(max_rank, *matrix.shape) + 1) if rank is None else range(rank, rank + 1)
    curve, unaided, best = _search(filler, centred, held_out, ranks, stop)
    if held_out.any():
        kept = ~seen if reuse_held_out else ~seen | held_out
        filler = _Filler(np.where(held_out, centred, unaided), kept, time_filter, count=filler.count)
        filler.settle(best, stop)
    u, s, v = filler.modes(best)
    filled = np.where(seen, matrix, filler.matrix + mean)
    unaided = np.where(seen & ~held_out, matrix, unaided + mean)
    explained = 100.0 * s**2 / max(float(np.square(filler.matrix).sum()), np.finfo(float).tiny)
    return DineofResult(filled, u, s, v, mean, curve, held_out, unaided, explained, iterations=filler.count)


def random_points(seen: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Points for a cross-validation, drawn as in the original: about 1 % of the matrix, at most 3 %, or 20 % of the data.

    Arguments:
        seen: Observed points (space, time).
        rng: The only source of chance.
    """
    count = int(min(0.01 * seen.size + 40, 0.03 * seen.size, 0.2 * seen.sum()))
    points = np.zeros(seen.shape, dtype=bool)
    points.flat[rng.choice(np.flatnonzero(seen), count, replace=False)] = True
    return points


def diffusion_filter(times: np.ndarray, *, strength: float, iterations: int) -> np.ndarray:
    """F: some steps of diffusion along a time axis of any spacing, without flux through its ends.

        f_i <- f_i + (q_i+1/2 - q_i-1/2) / (width of i)        q_i+1/2 = strength (f_i+1 - f_i) / (t_i+1 - t_i)

    Rows sum to one: a covariance that is the same for all times is left alone.

    Arguments:
        times: Ascending (time,).
        strength: alpha of Alvera-Azcarate et al. (2009), times squared; 0 filters nothing.
        iterations: Number of steps.

    Returns:
        (time, time), for F X'X F'.

    Raises:
        ConfigurationError: times that do not ascend, or a strength at which the steps are unstable.
    """
    times = np.asarray(times, dtype=np.float64)
    if times.size < 2 or strength == 0:
        return np.eye(times.size)
    apart = np.diff(times)
    if not (apart > 0).all():
        raise ConfigurationError("The times of the temporal filter do not ascend. Sort them, and leave none in twice.")
    limit = 0.5 * float(apart.min()) ** 2
    if not 0 <= strength <= limit:
        raise ConfigurationError(
            f"The strength {strength:g} of the temporal filter is outside 0 to {limit:g} (half the square of the "
            "shortest time step), where it is stable. Lower it, and raise the number of iterations instead."
        )
    flux = strength * np.diff(np.eye(times.size), axis=0) / apart[:, None]
    edges = np.concatenate([[times[0] - 0.5 * apart[0]], times[:-1] + 0.5 * apart, [times[-1] + 0.5 * apart[-1]]])
    no_flux = np.zeros((1, times.size))
    step = np.diff(np.concatenate([no_flux, flux, no_flux]), axis=0) / np.diff(edges)[:, None]
    return np.linalg.matrix_power(np.eye(times.size) + step, iterations)


@dataclass(frozen=True)
class _Stop:
    """When the gaps have settled: rms change at most `change`, or `iterations` made."""

    change: float
    iterations: int


class _Filler:
    """A matrix, its gaps, and its Gram matrix, of which only the rows of times with gaps ever change."""

    def __init__(self, values: np.ndarray, gaps: np.ndarray, time_filter: np.ndarray | None, count: int = 0) -> None:
        # times with gaps first, so that all that changes is one block; the filter follows
        self._order = np.argsort(~gaps.any(axis=0), kind="stable")
        gappy = int(gaps.any(axis=0).sum())
        self._x = np.ascontiguousarray(values.T[self._order], dtype=values.dtype)
        self._gaps = np.ascontiguousarray(gaps.T[self._order[:gappy]])
        self._filter = None if time_filter is None else time_filter[np.ix_(self._order, self._order)]
        self._gram = (self._x @ self._x.T).astype(np.float64)
        self.count = count

    def fill(self, rank: int) -> float:
        """Puts U S V' of so many modes into the gaps; gives the rms of the change there."""
        self.count += 1
        if not self._gaps.size:
            return 0.0
        block = self._x[: len(self._gaps)]
        v, s, norm = self._eofs(rank)
        weights = v.astype(block.dtype)
        change = (weights[: len(block)] * (s / norm).astype(block.dtype)) @ (weights.T @ self._x) - block
        change *= self._gaps
        block += change
        self._gram[: len(block)] = block @ self._x.T
        self._gram[:, : len(block)] = self._gram[: len(block)].T
        return float(np.sqrt(np.square(change).sum() / self._gaps.sum()))

    def settle(self, rank: int, stop: _Stop) -> None:
        """Fills until nothing changes."""
        for _ in range(stop.iterations):
            if self.fill(rank) <= stop.change:
                break

    def modes(self, rank: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """U (space, rank), S (rank,), V (time, rank) of the matrix as it stands."""
        v, s, norm = self._eofs(rank)
        in_time = np.empty_like(v)
        in_time[self._order] = v
        return self._x.T @ (v / norm), s, in_time

    @property
    def matrix(self) -> np.ndarray:
        """A copy of the matrix as it stands: (space, time)."""
        copy = np.empty_like(self._x)
        copy[self._order] = self._x
        return copy.T

    def _eofs(self, rank: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """V, S and |X V| of the leading modes, times in our order."""
        gram = self._gram if self._filter is None else self._filter @ self._gram @ self._filter.T
        last = len(gram) - 1
        variances, v = eigh(gram, subset_by_index=(last - rank + 1, last), check_finite=False)
        variances, v = np.maximum(variances[::-1], 0.0), v[:, ::-1]
        norm = np.sqrt(np.maximum(np.einsum("ik,ij,jk->k", v, self._gram, v, optimize=True), np.finfo(float).tiny))
        return v, np.sqrt(variances), norm


def _search(
    filler: _Filler, truth: np.ndarray, held_out: np.ndarray, ranks: range, stop: _Stop
) -> tuple[np.ndarray, np.ndarray, int]:
    """Cross-validation curve, the matrix at its minimum, and the rank there; a single rank needs no held-out points."""
    errors: list[float] = []
    best, rank = filler.matrix, ranks[0]
    for n in ranks:
        filler.settle(n, stop)
        now = filler.matrix
        errors.append(float(np.sqrt(np.mean((now - truth)[held_out] ** 2))) if held_out.any() else 0.0)
        if errors[-1] <= min(errors):
            best, rank = now, n
        if len(errors) > INCREASES and (np.diff(errors[-INCREASES - 1 :]) > 0).all():
            break
    return np.array(errors if held_out.any() else []), best, rank


def _check(matrix: np.ndarray, seen: np.ndarray, held_out: np.ndarray, rank: int) -> None:
    """Refuses what cannot be filled."""
    for name, mask in (("observed", seen), ("held_out", held_out)):
        if mask.shape != matrix.shape or matrix.ndim != 2:
            raise ConfigurationError(
                f"The mask {name!r} has shape {mask.shape}, expected (space, time) = {matrix.shape}."
            )
    if not 1 <= rank <= min(matrix.shape):
        raise ConfigurationError(
            f"A rank of {rank} was asked for: expected 1 to {min(matrix.shape)}, the shorter side."
        )
    if (held_out & ~seen).any():
        raise ConfigurationError(f"{(held_out & ~seen).sum()} held-out points were never observed. Hold out data only.")
    left = int((seen & ~held_out).sum())
    if left == 0:
        raise DataError("No observed point is left to learn from. Give more data, or hold out less.")
    if not np.isfinite(matrix[seen]).all():
        raise DataError("An observed value is not finite. Take it out of the mask 'observed', or mend it.")
