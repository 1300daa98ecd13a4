"""Noise is a function of its address alone, standard normal, and independent between addresses."""

import numpy as np
import pytest
import torch

from driftfield.diffusion.noise import CellNoise
from driftfield.gaussian.counter_noise import philox, standard_normal

ROWS, COLUMNS = np.arange(40), np.arange(60)


def noise(
    *,
    seed: int = 0,
    members: tuple[int, ...] = (0, 1, 2),
    stamps: tuple[int | str, ...] | None = None,
    channels: tuple[str, ...] = ("a", "b"),
    rows: np.ndarray = ROWS,
    columns: np.ndarray = COLUMNS,
    draw: int = 0,
) -> torch.Tensor:
    return CellNoise(seed, members, stamps or (5,) * len(members), channels, rows, columns)(draw)


@pytest.mark.parametrize(
    ("counter", "key", "answer"),
    [
        ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_philox_gives_the_known_answers(
    counter: tuple[int, ...], key: tuple[int, int], answer: tuple[int, ...]
) -> None:
    """Known-answer vectors of Random123, philox4x32-10."""
    words = philox([np.array(word, dtype=np.uint64) for word in counter], key)
    assert tuple(int(word) for word in words) == answer


def test_extreme_words_give_finite_normals() -> None:
    words = np.array([0, 1, 2**31, 2**32 - 1], dtype=np.uint64)
    for first, second in zip(*np.meshgrid(words, words), strict=True):
        assert np.isfinite(standard_normal([first, second])).all()


def test_standard_normal_and_independent() -> None:
    z = noise(members=tuple(range(8)))
    assert (z.shape, z.dtype) == ((8, 2, 40, 60), torch.float32)
    count = z.numel()
    moments = [float((z.double() ** power).mean()) for power in (1, 2, 3, 4)]
    for found, expected, variance in zip(moments, (0, 1, 0, 3), (1, 2, 15, 96), strict=True):
        assert abs(found - expected) < 4 * (variance / count) ** 0.5
    shifted = {
        "member": (z[1:], z[:-1]),
        "channel": (z[:, 1:], z[:, :-1]),
        "row": (z[..., 1:, :], z[..., :-1, :]),
        "column": (z[..., 1:], z[..., :-1]),
        "diagonal": (z[..., 1:, 1:], z[..., :-1, :-1]),
        "draw": (z, noise(members=tuple(range(8)), draw=1)),
        "seed": (z, noise(members=tuple(range(8)), seed=1)),
        "time": (z, noise(members=tuple(range(8)), stamps=(6,) * 8)),
    }
    for axis, (a, b) in shifted.items():
        correlation = float((a * b).mean())
        assert abs(correlation) < 4 / a.numel() ** 0.5, f"neighbours along {axis} correlate by {correlation:.4f}"


def test_a_part_is_the_same_bit_by_bit() -> None:
    whole = noise()
    assert torch.equal(noise(rows=ROWS[7:12], columns=COLUMNS[3:50]), whole[:, :, 7:12, 3:50])
    assert torch.equal(noise(members=(2,)), whole[2:])
    assert torch.equal(noise(members=(1, 0)), whole[[1, 0]])
    assert torch.equal(noise(channels=("b",)), whole[:, 1:])
    assert torch.equal(noise(channels=("c", "b", "a")), noise(channels=("c", "a", "b"))[:, [0, 2, 1]])
    mixed = noise(members=(0, 1), stamps=("2001-01-01", 5))
    assert torch.equal(mixed[1], whole[1])
    assert torch.equal(noise(), whole)


def test_a_window_over_the_dateline_is_a_roll() -> None:
    assert torch.equal(noise(columns=np.roll(COLUMNS, 7)), noise().roll(7, dims=-1))
