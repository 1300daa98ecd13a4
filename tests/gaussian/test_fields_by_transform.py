"""Random fields: the covariance is the formula's, every cell has variance 1, resolutions nest, whitening undoes colouring."""

from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
from scipy import fft
from scipy.special import sph_harm_y
from scipy.stats import multivariate_normal

from driftfield.earth import EARTH_RADIUS_KM, KM_PER_DEGREE
from driftfield.errors import ConfigurationError, DataError
from driftfield.gaussian.counter_noise import key_of, word_of
from driftfield.gaussian.random_fields import (
    Kernel,
    Matern,
    NeumannField,
    PeriodicField,
    PowerLaw,
    RandomField,
    SphereField,
    SquaredExponential,
    WindowField,
    field_at,
)
from driftfield.gaussian.random_fields.legendre import legendre
from driftfield.gaussian.random_fields.places import in_km

SMOOTH = [SquaredExponential(0.05), Matern(0.05, 2.5), PowerLaw(0.02, 3.5)]
ROUGH = [Matern(0.05, 1.5), Matern(0.1, 0.5), PowerLaw(0.05, 2.0)]
KERNELS = SMOOTH + ROUGH
LAGS = [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (0, 3), (3, 2), (5, 5)]
LAT, LON = np.arange(-78.75, 80, 7.5), np.arange(0, 360, 7.5) + 3.0
KEY, CHANNEL = key_of(3, 1, "2000-01-01"), word_of("field")


def dense(field: RandomField) -> np.ndarray:
    """C = A A', (cells, cells), from the colours of unit vectors."""
    count = int(np.prod(field.noise_shape))
    a = field.color(np.eye(count).reshape(count, *field.noise_shape)).reshape(count, -1)
    return a.T @ a


PLANET = Matern(2000.0, 1.5)


def globe(kernel: Kernel = PLANET, largest: int | None = None) -> SphereField:
    return SphereField(kernel, LAT, LON, largest=largest)


def sampled_covariance(draws: np.ndarray, lag: tuple[int, int]) -> tuple[float, float]:
    """Mean product over a torus at a lag, and its Monte-Carlo standard deviation over the draws."""
    products = (draws * np.roll(draws, lag, (-2, -1))).mean((-2, -1))
    return float(products.mean()), float(products.std() / np.sqrt(len(products)))


@pytest.mark.parametrize("kernel", SMOOTH + ROUGH[:1], ids=str)
@pytest.mark.parametrize("n", [64, 256])
def test_the_sample_covariance_of_a_torus_is_the_formula(kernel: Kernel, n: int) -> None:
    field = PeriodicField(kernel, (n, n))
    draws = field.sample(np.random.default_rng(0), 160 if n == 64 else 30)
    for lag in LAGS:
        found, sd = sampled_covariance(draws, lag)
        expected = float(kernel.correlation(np.hypot(*lag) / n))
        # the grid cannot hold what a rough kernel has beyond Nyquist: its share is in what the field says of itself
        own = float(field.correlation_table()[lag])
        assert abs(found - own) < 4 * sd, lag
        assert abs(own - expected) < (0.005 if kernel in SMOOTH else 0.02), lag


@pytest.mark.parametrize("kernel", [Matern(0.1, 0.5), Matern(0.05, 1.5), SquaredExponential(0.2)], ids=str)
@pytest.mark.parametrize("n", [16, 64])
def test_a_window_has_the_covariance_of_the_formula_exactly(kernel: Kernel, n: int) -> None:
    """At every lag of the window, for rough kernels too, and sampled within four Monte-Carlo standard deviations."""
    field = WindowField(kernel, (n, n), (1 / n, 1 / n))
    table = fft.irfft2(field.eigenvalues, s=field.torus)[:n, :n]
    away = np.arange(n) / n
    np.testing.assert_allclose(table, kernel.correlation(np.hypot(away[:, None], away[None, :])), atol=2e-6)
    draws = field.sample(np.random.default_rng(1), 300)
    for i, j in LAGS:
        products = draws[:, 0, 0] * draws[:, i, j]
        assert abs(products.mean() - table[i, j]) < 4 * products.std() / np.sqrt(300), (i, j)


def test_a_box_has_the_covariance_of_the_mirror_images() -> None:
    """r(x - y) + r(x + y) in each direction, and not r(x - y)."""
    kernel, n, m = Matern(0.2, 2.5), 16, 12
    covariance = dense(NeumannField(kernel, (n, m), (1.0, 0.8))).reshape(n, m, n, m)
    y, x = (np.arange(n) + 0.5) / n, (np.arange(m) + 0.5) / m * 0.8
    for (i, j), (p, q) in product([(0, 0), (5, 3), (15, 11)], [(0, 0), (1, 2), (8, 8), (15, 11)]):
        expected = sum(
            float(kernel.correlation(np.hypot(y[i] - sy * y[p] - 2 * a, x[j] - sx * x[q] - 1.6 * b)))
            for sy, sx, a, b in product((1, -1), (1, -1), (-1, 0, 1), (-1, 0, 1))
        )
        # the torus of the mirror images is as long as twice the box: what comes round it is in the sum of images
        assert covariance[i, j, p, q] == pytest.approx(expected, abs=0.01)


def test_the_variance_of_a_box_is_stated() -> None:
    field = NeumannField(Matern(0.08, 2.5), (64, 48))
    variance = field.variance()
    small = NeumannField(Matern(0.08, 2.5), (12, 15))
    np.testing.assert_allclose(small.variance(), np.diag(dense(small)).reshape(12, 15))
    assert variance[32, 24] == pytest.approx(1, abs=0.01)
    assert variance[0, 24] == pytest.approx(2, abs=0.1)
    assert variance[0, 0] == pytest.approx(4, abs=0.3)
    draws = field.sample(np.random.default_rng(2), 2000)
    np.testing.assert_allclose(draws.var(0)[[0, 0, 32], [0, 24, 24]], variance[[0, 0, 32], [0, 24, 24]], rtol=0.13)


@pytest.mark.parametrize("n", [12, 24])
def test_a_globe_has_the_covariance_of_its_legendre_sum(n: int) -> None:
    latitude, longitude = (np.arange(n) + 0.5) * 180 / n - 90, np.arange(2 * n) * 180 / n
    field = SphereField(Matern(3000.0, 1.5), latitude, longitude)
    covariance = dense(field)
    la, lo = (np.deg2rad(part).ravel() for part in np.meshgrid(latitude, longitude, indexing="ij"))
    points = np.stack([np.cos(la) * np.cos(lo), np.cos(la) * np.sin(lo), np.sin(la)])
    angle = np.arccos(np.clip(points.T @ points, -1, 1))
    np.testing.assert_allclose(covariance, field.correlation(angle), atol=1e-10)
    if n == 24:  # small against the radius: the plane's formula, nearly
        plane = Matern(3000.0, 1.5).correlation(EARTH_RADIUS_KM * angle)
        assert np.abs(covariance - plane).max() < 0.06


@pytest.mark.parametrize(
    "field",
    [
        *(PeriodicField(kernel, (24, 17), (1.0, 0.7)) for kernel in KERNELS),
        *(WindowField(kernel, (15, 20), (0.02, 0.03)) for kernel in KERNELS),
        globe(),
        globe(SquaredExponential(1500.0)),
        globe(PowerLaw(1500.0, 0.8)),
    ],
    ids=lambda field: f"{type(field).__name__} {field.kernel}",
)
def test_every_cell_has_variance_one(field: RandomField) -> None:
    """Corners and poles too: of the map itself, and of what it says."""
    variance = np.diag(dense(field)).reshape(field.shape)
    np.testing.assert_allclose(variance, 1, atol=0.01)
    np.testing.assert_allclose(field.variance(), variance, atol=1e-9)


def truncated(x: np.ndarray, n: int, m: int) -> np.ndarray:
    """The waves below the Nyquist wavenumber of n x m cells, on n x m cells."""
    rows, columns = x.shape
    wide = fft.fft2(x) / (rows * columns)
    out = np.zeros((n, m), dtype=complex)
    ky, kx = np.arange(-((n - 1) // 2), (n + 1) // 2), np.arange(-((m - 1) // 2), (m + 1) // 2)
    out[np.ix_(ky % n, kx % m)] = wide[np.ix_(ky % rows, kx % columns)]
    return fft.ifft2(out).real * n * m


@pytest.mark.parametrize("kernel", KERNELS, ids=str)
@pytest.mark.parametrize("shape", [(64, 64), (31, 48)])
def test_resolutions_of_a_torus_nest(kernel: Kernel, shape: tuple[int, int]) -> None:
    """The waves of a draw are the same numbers on a finer grid; the white noise below them has unit variance."""
    coarse = PeriodicField(kernel, shape)
    fine = coarse.on((128, 100))
    low, high = (field.color(field.keyed_noise(KEY, CHANNEL, 0)) for field in (coarse, fine))
    np.testing.assert_allclose(truncated(high, *shape), truncated(low, *shape), atol=1e-6)
    assert not np.allclose(low, coarse.color(coarse.keyed_noise(KEY, CHANNEL, 1)), atol=0.1)


def test_resolutions_of_a_box_nest() -> None:
    coarse = NeumannField(Matern(0.1, 0.5), (20, 24))
    fine = coarse.on((40, 60))
    low, high = (fft.dctn(f.color(f.keyed_noise(KEY, CHANNEL, 2)), norm="ortho") for f in (coarse, fine))
    np.testing.assert_allclose(
        high[:20, :24] / np.sqrt(40 * 60), low / np.sqrt(20 * 24), atol=1e-9
    )  # orthonormal cosines grow with the root of the number of cells


def test_resolutions_of_a_globe_nest() -> None:
    coarse, lat, lon = globe(largest=8), np.arange(-88, 90, 4.0), np.arange(0, 360, 4.0)
    fine = SphereField(coarse.kernel, lat, lon, largest=20, scale=coarse.scale)
    numbers = fine.keyed_noise(KEY, CHANNEL, 0)
    np.testing.assert_array_equal(numbers[:81], coarse.keyed_noise(KEY, CHANNEL, 0))
    cut = np.where(np.arange(len(numbers)) < 81, numbers, 0)
    same_degrees = SphereField(coarse.kernel, lat, lon, largest=8, scale=coarse.scale)
    np.testing.assert_allclose(fine.color(cut), same_degrees.color(numbers[:81]), atol=1e-12)


def test_resolutions_of_a_smooth_window_nest() -> None:
    coarse = WindowField(SquaredExponential(0.12), (24, 24), (1 / 24, 1 / 24))
    fine = coarse.on(2)
    low, high = (field.on_torus(field.keyed_noise(KEY, CHANNEL, 0)) for field in (coarse, fine))
    np.testing.assert_allclose(high[::2, ::2], low, atol=1e-6)
    np.testing.assert_allclose(fine.color(fine.keyed_noise(KEY, CHANNEL, 0)), high[:48, :48])


@pytest.mark.parametrize("shape", [(8, 8), (7, 9), (8, 9), (9, 8)])
def test_noise_by_wavenumber_is_white(shape: tuple[int, int]) -> None:
    """Independent numbers of unit variance in the cells, on even and odd grids: the covariance is the identity."""
    field = PeriodicField(Matern(0.2), shape)
    draws = np.stack([field.keyed_noise(KEY, CHANNEL, draw) for draw in range(1500)]).reshape(1500, -1)
    covariance = draws.T @ draws / 1500
    assert np.abs(covariance - np.eye(len(covariance))).max() < 5 * np.sqrt(2 / 1500)
    assert np.linalg.eigvalsh(covariance).min() > 0.4


@pytest.mark.parametrize(
    "field",
    [
        PeriodicField(Matern(0.05), (64, 50)),
        PeriodicField(PowerLaw(0.1, 1.5), (33, 64)),
        NeumannField(Matern(0.1, 0.5), (20, 31)),
        globe(),
    ],
    ids=lambda field: type(field).__name__,
)
def test_whitening_undoes_colouring(field: RandomField) -> None:
    z = np.random.default_rng(4).standard_normal((3, *field.noise_shape))
    np.testing.assert_allclose(field.whiten(field.color(z)), z, atol=1e-5)


@pytest.mark.parametrize(
    "field",
    [
        PeriodicField(Matern(0.2), (16, 16)),
        PeriodicField(Matern(0.2), (9, 12)),
        NeumannField(Matern(0.2), (16, 15)),
        WindowField(Matern(0.2), (16, 16), (1 / 16, 1 / 16)),
    ],
    ids=lambda field: type(field).__name__,
)
def test_the_density_is_that_of_the_dense_gaussian(field: RandomField) -> None:
    x = field.sample(np.random.default_rng(5), 3)
    expected = multivariate_normal(cov=dense(field)).logpdf(x.reshape(3, -1))
    np.testing.assert_allclose(field.log_density(x), expected, rtol=1e-6)


def test_the_density_of_a_globe_is_that_of_its_amplitudes() -> None:
    field = globe()
    z = np.random.default_rng(6).standard_normal(field.noise_shape)
    variances = np.repeat(field.by_degree, 2 * np.arange(field.largest + 1) + 1)
    expected = multivariate_normal(cov=np.diag(variances)).logpdf(np.sqrt(variances) * z)
    assert float(field.log_density(field.color(z))) == pytest.approx(float(expected), rel=1e-9)


def test_the_harmonics_are_scipys() -> None:
    """Up to the sign (-1)^m of Condon and Shortley, poles included."""
    latitude = np.array([-90.0, -89.0, -20.0, 0.0, 45.0, 90.0])
    tables, polar = legendre(40, latitude), np.deg2rad(90 - latitude)
    for degree, order in [(0, 0), (1, 0), (1, 1), (5, 3), (40, 0), (40, 1), (40, 23), (40, 40)]:
        expected = (-1) ** order * sph_harm_y(degree, order, polar, 0.0).real
        np.testing.assert_allclose(tables[order][degree - order], expected, atol=1e-12)
    field = SphereField(Matern(2000.0), LAT, LON, largest=6)
    for degree, order in [(3, 2), (3, -2), (6, 0)]:
        unit = np.zeros(field.noise_shape)
        unit[degree * (degree + 1) + order] = 1
        lat, lon = np.meshgrid(np.deg2rad(90 - LAT), np.deg2rad(LON), indexing="ij")
        wave = (-1) ** order * sph_harm_y(degree, abs(order), lat, lon)
        real = wave.real if order == 0 else np.sqrt(2) * (wave.real if order > 0 else wave.imag)
        np.testing.assert_allclose(field.color(unit), np.sqrt(field.by_degree[degree]) * real, atol=1e-12)


def test_a_power_law_is_the_power_of_the_laplacian() -> None:
    """(-Laplacian + tau^2)^-alpha on waves, and a Matern of smoothness alpha - 1 in the plane."""
    k2 = np.array([0.0, 3.0, 50.0])
    law = PowerLaw(0.25, 2.5)
    np.testing.assert_allclose(law.density(k2), ((k2 + 16) / 16) ** -2.5)
    distance = np.linspace(0.01, 1, 20)
    np.testing.assert_allclose(law.correlation(distance), Matern(0.25 * np.sqrt(3), 1.5).correlation(distance))
    np.testing.assert_allclose(Matern(0.3, 0.5).correlation(distance), np.exp(-distance / 0.3), rtol=1e-10)


@pytest.mark.parametrize("boundary", ["window", "periodic", "neumann"])
def test_lengths_are_kilometres_on_the_earth(boundary: str) -> None:
    """At 60 degrees north a degree of longitude is half as long as one of latitude."""
    latitude, longitude = np.arange(55, 65.25, 0.5), np.arange(0, 20, 0.5)
    field = field_at(Matern(200.0, 2.5), latitude, longitude, boundary=boundary)
    i, j, single = 10, 20, np.zeros(field.noise_shape)
    single[i, j] = 1
    # A is symmetric, on the torus around a window too: A A of a single cell is its row of the covariance
    twice = field.color(field.on_torus(single) if isinstance(field, WindowField) else field.color(single))
    north, east = twice[i + 2, j], twice[i, j + 4]
    expected = Matern(200.0, 2.5).correlation(np.array(KM_PER_DEGREE))
    assert north == pytest.approx(float(expected), abs=0.02)
    assert east == pytest.approx(float(expected), abs=0.02)
    assert in_km(2.0, "degrees") == pytest.approx(222.39, abs=0.01)


def test_a_globe_is_found_by_its_name() -> None:
    assert isinstance(field_at(Matern(2000.0), LAT, LON, boundary="sphere"), SphereField)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: Matern(0.0), "length=0.0: expected a number above 0"),
        (lambda: PowerLaw(1.0, -1.0), "alpha=-1.0"),
        (lambda: PeriodicField(Matern(0.1), (1, 40)), "2 or more of each"),
        (lambda: PeriodicField(Matern(0.1), (8, 8), (1.0, 0.0)), "two numbers above 0"),
        (lambda: WindowField(SquaredExponential(9.0), (12, 12), (0.1, 0.1)), "too long for a window"),
        (lambda: WindowField(PowerLaw(0.1, 0.9), (8, 8)), "no finite variance"),
        (lambda: WindowField(Matern(3.0), (8, 8), torus=(10, 16)), "twice as many"),
        (lambda: WindowField(Matern(3.0), (8, 8)).whiten(np.zeros((8, 8))), "cannot be whitened"),
        (lambda: WindowField(Matern(3.0), (70, 70)).log_density(np.zeros((70, 70))), "4096 at most"),
        (lambda: PeriodicField(SquaredExponential(0.1), (32, 32)).whiten(np.zeros((32, 32))), "too smooth"),
        (lambda: globe(SquaredExponential(9000.0)).whiten(np.zeros((22, 48))), "too smooth for degree"),
        (lambda: SphereField(Matern(1.0), LAT, LON[:30]), "round the globe"),
        (lambda: globe(largest=40), "expected 1 to 11"),
        (lambda: field_at(Matern(1.0), LAT, LON, boundary="open"), "'neumann', 'periodic', 'sphere', 'window'"),
        (lambda: field_at(Matern(1.0), np.array([0.0, 1, 3]), LON), "equal steps"),
        (lambda: in_km(3.0, "miles"), "'km' or 'degrees'"),
    ],
)
def test_what_makes_no_sense_is_refused(wrong: Callable[[], object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        wrong()


@pytest.mark.parametrize("field", [PeriodicField(Matern(0.1), (8, 8)), WindowField(Matern(3.0), (8, 8)), globe()])
def test_noise_of_another_shape_is_refused(field: RandomField) -> None:
    with pytest.raises(DataError, match="expected"):
        field.color(np.zeros((5, 5)))


def test_single_precision_stays_single() -> None:
    field = PeriodicField(Matern(0.1), (16, 16))
    z = np.random.default_rng(7).standard_normal((2, 16, 16))
    assert field.color(z.astype(np.float32)).dtype == np.float32
    np.testing.assert_allclose(field.color(z.astype(np.float32)), field.color(z), atol=1e-5)
