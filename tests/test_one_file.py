"""One file means one file: a module that appears in a room is found, by the names that recipes, commands and reports use."""

import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from driftfield import registry
from driftfield.registry import ROOMS, members, names

TOYS = {
    "augmentation": "@register('augmentation')\nclass Toy: ...",
    "downscaler": "@register('downscaler')\nclass Toy: ...",
    "callback": "@register('callback')\nclass Toy: ...",
    "dynamics": "@register('dynamics')\nclass Toy: ...",
    "emulator": "@register('emulator')\nclass Toy: ...",
    "function": "@register('function', 'Toy')\nclass Toy: ...",
    "guidance": "@register('guidance', 'Toy')\nclass Toy: ...",
    "network": "@register('network')\nclass Toy: ...",
    "noise": "@register('noise', 'Toy')\nclass Toy: ...",
    "noise_levels": "@register('noise_levels')\nclass Toy: ...",
    "normalizer": "@register('normalizer')\nclass Toy: ...",
    "observing": "@register('observing')\nclass Toy: ...",
    "parameterization": "@register('parameterization')\nclass Toy: ...",
    "pattern": "@register('pattern', 'Toy')\ndef read(value): ...",
    "point_reader": "register('point_reader', 'Toy')(object())",
    "reconstructor": "@register('reconstructor')\nclass Toy: ...",
    "sampler": "@register('sampler')\nclass Toy: ...",
    "schedule": "@register('schedule')\nclass Toy: ...",
    "score": "register('score', 'Toy')(object())",
    "split": "@register('split')\nclass Toy: ...",
    "weighting": "@register('weighting')\nclass Toy: ...",
    "ema": "@register('ema')\nclass Toy: ...",
    "logger": "@register('logger')\nclass Toy: ...",
    "learning_rate": "@register('learning_rate')\nclass Toy: ...",
    "trainer": "@register('trainer')\nclass Toy: ...",
}


@pytest.fixture
def toy_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder whose modules count as modules of a room; everything is forgotten afterwards."""
    for kind in ROOMS:  # a module registers when it is first imported, and not again
        names(kind)
    before = {kind: dict(found) for kind, found in registry._KINDS.items()}
    modules, rooms = set(sys.modules), set(registry._DISCOVERED)
    yield tmp_path
    registry._DISCOVERED.clear()
    registry._DISCOVERED.update(rooms)
    for kind, found in before.items():
        registry._KINDS[kind].clear()
        registry._KINDS[kind].update(found)
    for name in set(sys.modules) - modules:
        if name.endswith(".toy_member"):
            del sys.modules[name]


def test_there_is_a_toy_of_every_family() -> None:
    assert set(TOYS) == set(ROOMS)


@pytest.mark.parametrize("kind", sorted(ROOMS))
def test_a_file_in_the_room_is_a_member(kind: str, toy_room: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    room = f"driftfield.{ROOMS[kind][0]}"
    package = import_module(room)
    known = set(names(kind))
    assert "Toy" not in known
    (toy_room / "toy_member.py").write_text(f"from driftfield.registry import register\n{TOYS[kind]}\n")
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(toy_room)])
    registry._DISCOVERED.discard(ROOMS[kind][0])
    assert "Toy" in names(kind)
    assert set(names(kind)) >= known
    assert members(kind)["Toy"] is not None


def test_a_file_in_cli_is_a_command(toy_room: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import driftfield.cli as cli

    (toy_room / "toy_member.py").write_text(
        "from driftfield.cli.shared import app\n\n@app.command('toy')\ndef toy() -> None:\n    'A toy.'\n"
    )
    monkeypatch.setattr(cli, "__path__", [*cli.__path__, str(toy_room)])
    before = list(cli.app.registered_commands)
    try:
        registry.discover("driftfield.cli")
        assert "toy" in [command.name for command in cli.app.registered_commands]
    finally:
        cli.app.registered_commands[:] = before
