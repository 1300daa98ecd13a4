"""Freed memory is used again; whoever has set the allocator himself is left alone."""

import os
import subprocess
import sys

import pytest

from driftfield.memory import keep_freed_memory

FAULTS = """
import resource
{first}
import torch
points = torch.randn(8, 250, 7, dtype=torch.float64)
def distances():
    squares = (points * points).sum(-1)
    return (squares[:, :, None] + squares[:, None]).sub_((2 * points) @ points.transpose(1, 2))
distances()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    distances()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(first: str, **environment: str) -> int:
    plain = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    done = subprocess.run(
        [sys.executable, "-c", FAULTS.format(first=first)],
        env=plain | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout)


@pytest.mark.skipif(not keep_freed_memory(), reason="the C library has no mallopt, or its variables are set")
def test_blocks_that_come_and_go_are_asked_from_the_system_once() -> None:
    # 20 times two tables of 4 MB are 40,000 pages
    assert faults("import driftfield") < 4_000


def test_who_has_set_the_allocator_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MALLOC_ARENA_MAX", "2")
    assert not keep_freed_memory()


def test_a_system_without_it_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("driftfield.memory.ctypes.CDLL", lambda name: object())
    assert not keep_freed_memory()
