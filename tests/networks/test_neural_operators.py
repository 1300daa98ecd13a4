"""Neural operators: the same weights at every resolution, a torus without a first point, waves and products as defined."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from driftfield.errors import ConfigurationError
from driftfield.networks.neural_operator import NeuralOperator
from driftfield.networks.spectral import SpectralConv, dealiased, resampled
from driftfield.registry import build, lookup, names
from driftfield.testing import tiny_batch

OPERATORS = [name for name in names("network") if issubclass(lookup("network", name), NeuralOperator)]
FOREIGN = "neuralop"


def operator(name: str, *, alive: bool = True, **options: object) -> NeuralOperator:
    """A small one; alive: with random numbers in the layers that start at zero."""
    torch.manual_seed(0)
    spec = {"class": name, "channels": 1, "modes": 8, "embedding": 16, "torus": True, "dealias": True, **options}
    network = build("network", spec).eval()
    if alive:
        for parameter in network.parameters():
            if parameter.abs().max() == 0:
                nn.init.normal_(parameter, std=0.05)
    return network


def band_limited(rows: int, columns: int, waves: int = 10) -> Tensor:
    """The same field of waves up to `waves` on any grid, of variance about 1."""
    generator = torch.Generator().manual_seed(3)
    y, x = (2 * torch.pi * torch.arange(n) / n for n in (rows, columns))
    field = torch.zeros(rows, columns)
    for _ in range(40):
        ky, kx = torch.randint(-waves, waves + 1, (2,), generator=generator).tolist()
        phase = 2 * torch.pi * torch.rand((), generator=generator)
        field = field + torch.cos(ky * y[:, None] + kx * x[None, :] + phase)
    return field[None, None] / 20**0.5


def answer(network: nn.Module, x: Tensor) -> Tensor:
    """With a condition that is the same on every grid: nothing was seen."""
    batch = tiny_batch(1, channels=1, covariates=0, shape=(x.shape[-2], x.shape[-1])).mapped(torch.zeros_like)
    with torch.no_grad():
        return network(x, torch.zeros(1), network.encode(replace(batch, domain=~batch.domain), wrap=True))


def test_all_three_are_there() -> None:
    assert OPERATORS == ["FourierOperator", "HybridOperator", "SpectralUNet"]


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("dealias", [False, True])
@pytest.mark.parametrize(
    ("small", "large", "waves"),
    [((32, 32), (64, 64), 7), ((64, 64), (128, 128), 10), ((64, 48), (96, 72), 10), ((33, 45), (66, 90), 7)],
)
def test_the_same_weights_at_every_resolution(
    name: str, dealias: bool, small: tuple[int, int], large: tuple[int, int], waves: int
) -> None:
    """Untrained, on a band-limited field, the answers of two grids differ by less than 1 % in the waves of both.

    The small grid holds twice the waves of the field: what squares make of them.
    """
    network = operator(name, dealias=dealias)
    low, high = (answer(network, band_limited(*shape, waves)) for shape in (small, large))
    odd = tuple((n - 1) // 2 * 2 + 1 for n in small)  # without the wave that has no sign
    difference = (resampled(high, odd) - resampled(low, odd)).norm() / low.norm()
    assert float(low.std()) > 0.01
    assert float(difference) < 0.01, f"{float(difference):.4f}"


@pytest.mark.parametrize("name", OPERATORS)
def test_a_torus_has_no_first_point(name: str) -> None:
    network, x = operator(name), band_limited(32, 32)
    shift = (4, 8)
    found = answer(network, x.roll(shift, (-2, -1))).roll((-4, -8), (-2, -1))
    expected = answer(network, x)
    assert float((found - expected).abs().max()) < 1e-5 * max(1.0, float(expected.abs().max()))
    flat = operator(name, torus=False)
    rolled = answer(flat, x.roll(4, -2)).roll(-4, -2)
    assert float((rolled - answer(flat, x)).abs().max()) > 1e-3 * float(expected.abs().max())


@pytest.mark.parametrize("rank", [None, 0.3, 1.0])
def test_a_spectral_convolution_multiplies_waves(rank: float | None) -> None:
    """cos(k x) in channel i gives |W_k| cos(k x + arg W_k) in channel o, and no other wave."""
    torch.manual_seed(1)
    layer = SpectralConv(2, 3, 4, rank)
    y, x = (2 * torch.pi * torch.arange(n) / n for n in (16, 20))
    for ky, kx in [(0, 1), (3, 2), (-2, 4), (1, 0), (5, 0), (0, 5)]:
        angle = ky * y[:, None] + kx * x[None, :]
        field = torch.zeros(1, 2, 16, 20)
        field[0, 1] = torch.cos(angle)
        if max(abs(ky), abs(kx)) > 4:
            assert float(layer(field).abs().max()) < 1e-5
            continue
        weight = torch.view_as_complex(layer._weight(4, 4).contiguous())
        w = weight[ky % 9, kx, 1]
        if kx == 0:  # k and -k both stand there: what is real of the two remains
            w = (w + weight[-ky % 9, kx, 1].conj()) / 2
        expected = w.abs()[:, None, None] * torch.cos(angle + w.angle()[:, None, None])
        torch.testing.assert_close(layer(field)[0], expected, atol=1e-5, rtol=1e-4)


def test_factors_save_parameters() -> None:
    full, thin = (sum(p.numel() for p in SpectralConv(32, 32, 12, rank).parameters()) for rank in (None, 0.1))
    assert 0.05 < thin / full < 0.15


def test_resampling_keeps_the_waves_that_fit() -> None:
    fine, coarse = band_limited(48, 40, 7), band_limited(17, 16, 7)
    torch.testing.assert_close(resampled(fine, (17, 16)), coarse, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(resampled(coarse, (48, 40)), fine, atol=1e-5, rtol=1e-5)


def test_a_dealiased_square_folds_nothing() -> None:
    """cos^2 has twice the wavenumber, which 16 cells do not hold at k = 7: what is left of it is its mean."""
    x = torch.cos(7 * 2 * torch.pi * torch.arange(16) / 16).expand(1, 1, 16, 16)
    torch.testing.assert_close(dealiased(torch.square, x), torch.full((1, 1, 16, 16), 0.5), atol=1e-5, rtol=1e-5)
    assert float((torch.square(x) - 0.5).abs().max()) > 0.4


def test_no_transform_receives_half_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    """Under autocast the products are in bfloat16, the transforms in float32, and the answer is near that of float32."""
    seen: list[torch.dtype] = []
    transform, product = torch.fft.rfft2, torch.bmm

    def watched(x: Tensor, *arguments: object, **options: object) -> Tensor:
        seen.append(x.dtype)
        return transform(x, *arguments, **options)  # type: ignore[arg-type]

    halves: list[torch.dtype] = []

    def multiplied(a: Tensor, b: Tensor) -> Tensor:
        out = product(a, b)
        halves.append(out.dtype)
        return out

    monkeypatch.setattr(torch.fft, "rfft2", watched)
    monkeypatch.setattr(torch, "bmm", multiplied)
    network, x = operator("FourierOperator"), band_limited(32, 32)
    exact = answer(network, x)
    halves.clear()
    with torch.autocast("cpu", torch.bfloat16):
        rough = answer(network, x).float()
    assert set(seen) == {torch.float32}
    assert set(halves) == {torch.bfloat16}
    assert float((rough - exact).norm() / exact.norm()) < 0.03


@pytest.mark.slow
def test_training_in_bfloat16_is_as_good() -> None:
    """150 steps on a smoothing task: the loss is within 1 % of that in float32, and well below the beginning."""

    def loss_after(steps: int, *, half: bool) -> float:
        network = operator("FourierOperator", alive=False, width=16, layers=2, dealias=False).train()
        batch = tiny_batch(4, channels=1, covariates=0, shape=(16, 16))
        optimizer = torch.optim.Adam(network.parameters(), 3e-3)
        generator, losses = torch.Generator().manual_seed(1), []
        for _ in range(steps):
            x = torch.randn(4, 1, 16, 16, generator=generator)
            smooth = torch.fft.irfft2(torch.fft.rfft2(x) * torch.exp(-torch.linspace(0, 6, 9)), s=(16, 16))
            with torch.autocast("cpu", torch.bfloat16, enabled=half):
                prediction = network(x, torch.zeros(4), network.encode(batch))
            loss = ((prediction.float() - smooth) ** 2).mean() / smooth.var()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(float(loss.detach()))
        return sum(losses[-20:]) / 20

    exact, rough = (loss_after(150, half=half) for half in (False, True))
    assert exact < 0.5
    assert rough == pytest.approx(exact, rel=0.01)


def test_it_is_the_convolution_of_the_neuraloperator_library() -> None:
    pytest.importorskip(FOREIGN, reason="needs the library neuraloperator")
    from neuralop.layers.spectral_convolution import SpectralConv as Theirs

    torch.manual_seed(2)
    m = 5
    theirs, ours = Theirs(3, 4, (2 * m + 1, 2 * m + 1), bias=False), SpectralConv(3, 4, m)
    weight = torch.as_tensor(theirs.weight.tensor if hasattr(theirs.weight, "tensor") else theirs.weight).detach()
    # theirs: (in, out, ky from -m to m, kx from 0 to m)
    rows = [*range(m, 2 * m + 1), *range(m)]
    with torch.no_grad():
        ours.weight.copy_(
            torch.view_as_real(weight[:, :, rows, : m + 1].permute(2, 3, 0, 1).contiguous()).reshape(ours.weight.shape)
        )
    x = torch.randn(2, 3, 24, 24)
    torch.testing.assert_close(ours(x), theirs(x), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("FourierOperator", {"layers": 0}, "layers"),
        ("FourierOperator", {"rank": 1.5}, "rank=1.5"),
        ("FourierOperator", {"modes": 2.5}, "modes"),
        ("FourierOperator", {"widths": [8]}, "widths"),
        ("SpectralUNet", {"widths": [8, 8]}, "one of each"),
        ("SpectralUNet", {"width": 8}, "leave width out"),
        ("HybridOperator", {"points": 1}, "points"),
    ],
)
def test_impossible_arguments_are_refused(name: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        operator(name, **options)
