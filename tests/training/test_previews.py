"""Pictures on the way: they are there, they repeat themselves, and the training does not notice them."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from matplotlib.image import imread
from torch import Tensor

from driftfield.checkpoint import read_run
from driftfield.errors import ConfigurationError
from driftfield.evaluate.preview import Scene, draw_preview
from driftfield.fields import Channel, FieldBatch
from driftfield.models.preview import shown_channels, write_preview
from driftfield.recipe import as_recipe
from driftfield.reconstruction.draws import DatedWindow, NetworkEstimate
from driftfield.testing import tiny_batch, tiny_ocean, tiny_recipe

pytest.importorskip("lightning")

from driftfield.reconstruction.fitting import fit_recipe
from driftfield.training import LightningTrainer

CHANNELS = [Channel("thetao", 10.0), Channel("thetao", 40.0), Channel("zos")]


def made_up(batch: FieldBatch, window: DatedWindow, *, members: int = 4) -> NetworkEstimate:
    """Members around the truth."""
    noise = torch.randn(members, *batch.target.shape[1:], generator=torch.Generator().manual_seed(0))
    return NetworkEstimate(batch.target + 0.3 * noise)


def test_training_is_the_same_with_and_without(tmp_path: Path) -> None:
    tiny_ocean().to_netcdf(tmp_path / "truth.nc")
    arrays = {}
    for every in (0, 1, 2):
        recipe = tiny_recipe(archive=str(tmp_path / "truth.nc"), steps=3, validate_every=1)
        recipe["reconstructor"]["network"]["dropout"] = 0.2
        recipe["trainer"]["previews"] = every
        fit_recipe(as_recipe(recipe, Path("recipe.yaml")), tmp_path / f"run{every}", source="recipe")
        arrays[every] = read_run(tmp_path / f"run{every}").arrays
        last = read_run(tmp_path / f"run{every}" / "checkpoints" / "last").arrays
        assert last.keys() == read_run(tmp_path / "run0" / "checkpoints" / "last").arrays.keys()
        for name, value in read_run(tmp_path / "run0" / "checkpoints" / "last").arrays.items():
            np.testing.assert_array_equal(last[name], value, err_msg=name)
    for every in (1, 2):
        assert all(np.array_equal(arrays[every][name], arrays[0][name]) for name in arrays[0])
    pictures = {every: sorted((tmp_path / f"run{every}").glob("previews/*")) for every in arrays}
    assert not pictures[0]
    assert [path.name for path in pictures[1]] == [f"step_00000{step}.png" for step in (1, 2, 3)]
    assert [path.name for path in pictures[2]] == ["step_000002.png", "step_000003.png"]
    # one sample, one seed: step 2 looks alike in both trainings, and unlike step 3
    second, again, third = (imread(path) for path in (pictures[1][1], pictures[2][0], pictures[2][1]))
    np.testing.assert_array_equal(second, again)
    assert second.shape != third.shape or (second != third).any()


@pytest.mark.parametrize("shape", [(16, 24), (1, 40), (40, 3)])
@pytest.mark.parametrize("members", [1, 4])
def test_any_shape_with_and_without_spread(tmp_path: Path, shape: tuple[int, int], members: int) -> None:
    path = tmp_path / "previews" / "step_000500.png"
    draw: Callable[[], None] = partial(
        write_preview,
        partial(made_up, members=members),
        tiny_batch(1, channels=3, shape=shape),
        channels=CHANNELS,
        scale=np.full((3, 1, 1), 2.0),
        title="step 500",
        path=path,
    )
    draw()
    first = imread(path)
    assert min(first.shape[:2]) > 100
    # an older one is replaced, by the same picture
    draw()
    np.testing.assert_array_equal(imread(path), first)
    assert [found.name for found in path.parent.iterdir()] == [path.name]


def test_says_in_its_titles_how_far_off_the_mean_is() -> None:
    field = np.linspace(-1, 1, 12).reshape(3, 4)
    land = np.zeros((3, 4), bool)
    land[0, 0] = True
    observed, held_out = np.where(field > 0, field, np.nan), ~land & (field <= 0)
    scene = Scene("sst", field, observed, held_out, ~land, field + 0.25, field, np.full((3, 4), 0.2))
    figure = draw_preview([scene], title="step 000500")
    titles = [ax.get_title() for ax in figure.axes[:5]]
    assert titles == ["truth", "observed", "mean, rms error 0.25", "one member", "sd, rms 0.2"]
    alone = draw_preview([Scene("sst", field, observed, np.zeros_like(land), ~land, field, None, None)], title="one")
    assert [ax.get_title() for ax in alone.axes[:3]] == ["truth", "observed", "mean"]


@pytest.mark.parametrize("previews", [-1, 1.5, True, "1"])
def test_an_impossible_number_is_refused(previews: object) -> None:
    with pytest.raises(ConfigurationError, match="previews="):
        LightningTrainer(previews=previews)  # type: ignore[arg-type]


def test_nothing_to_draw_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    class Line(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(1))

        def loss(self, batch: FieldBatch, generator: torch.Generator, *, wrap: bool = False) -> Tensor:
            return (self.weight**2).sum()

    trainer = LightningTrainer(steps=1, batch_size=1, validate_every=1, loggers=(), accelerator="cpu", previews=1)
    samples: Any = [tiny_batch(1, shape=(8, 8))]
    trainer.fit(Line(), samples, [tiny_batch(1, shape=(8, 8))], folder=tmp_path, seed=0)
    assert "no picture of a Line" in caplog.text
    assert not (tmp_path / "previews").exists()


def test_a_gappy_truth_is_not_drawn_where_it_is_not_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import driftfield.evaluate.preview as preview

    seen: list[Scene] = []

    def watch(scenes: list[Scene], *, title: str) -> Any:
        seen.extend(scenes)
        return draw_preview(scenes, title=title)

    monkeypatch.setattr(preview, "draw_preview", watch)
    from dataclasses import replace

    batch = tiny_batch(1, channels=3, shape=(8, 8))
    batch = replace(batch, visible=batch.domain & (torch.arange(8) < 4))
    path, units = tmp_path / "step_000001.png", {"thetao": "degC"}
    write_preview(made_up, batch, channels=CHANNELS, scale=np.ones((3, 1, 1)), title="one", path=path, units=units)
    assert [scene.name for scene in seen] == ["thetao, 10 m [degC]", "zos"]
    for scene in seen:
        known = xr.DataArray(scene.truth).notnull().values
        assert not known[:, 4:].any()
        assert (known[:, :4] == scene.domain[:, :4]).all()


@pytest.mark.parametrize(("depth", "level"), [(None, 10.0), (0, 10.0), (26, 40.0), (1000, 40.0)])
def test_the_nearest_level_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, depth: float | None, level: float
) -> None:
    import driftfield.evaluate.preview as preview

    seen: list[Scene] = []

    def watch(scenes: list[Scene], *, title: str) -> Any:
        seen.extend(scenes)
        return draw_preview(scenes, title=title)

    monkeypatch.setattr(preview, "draw_preview", watch)
    batch = tiny_batch(1, channels=3, shape=(8, 8))
    path = tmp_path / "step_000001.png"
    write_preview(made_up, batch, channels=CHANNELS, scale=np.ones((3, 1, 1)), title="one", path=path, depth=depth)
    assert [scene.name for scene in seen] == [f"thetao, {level:g} m", "zos"]
    number = [channel.level for channel in CHANNELS].index(level)
    domain = batch.domain[0, number].numpy()
    np.testing.assert_array_equal(seen[0].truth[domain], batch.target[0, number].numpy()[domain])


def test_a_recipe_chooses_the_level_and_the_log_says_which(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    import driftfield.models.networked as networked

    depths: list[float] = []
    monkeypatch.setattr(networked, "write_preview", lambda *_, depth, **__: depths.append(depth))
    tiny_ocean().to_netcdf(tmp_path / "truth.nc")
    recipe = tiny_recipe(archive=str(tmp_path / "truth.nc"), steps=1, validate_every=1)
    recipe["trainer"] |= {"previews": 1, "preview_depth": 30}
    with caplog.at_level("INFO"):
        fit_recipe(as_recipe(recipe, Path("recipe.yaml")), tmp_path / "run", source="recipe")
    assert depths == [30]
    assert "pictures show thetao at " in caplog.text
    assert "nearest to preview_depth = 30 m" in caplog.text


@pytest.mark.parametrize(
    "options",
    [{"preview_depth": 5}, {"previews": 1, "preview_depth": -1}, {"previews": 1, "preview_depth": "deep"}],
)
def test_an_impossible_depth_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="preview_depth="):
        LightningTrainer(**options)


def test_a_depth_without_levels_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="no target has levels"):
        shown_channels([Channel("zos")], 10)
