"""Which observations speak for a place, and which places are solved together.

    leaves       cells halved along their widest direction until a leaf has at most `size`: one factor serves all of them
    near         the k/2 nearest observations, in the metric of the shortest component
    far          the k/4 nearest of every 8th and the k/4 nearest of every 64th observation, in that of the longest

While choosing, times count `STRETCH` times as far as in the covariance: where a field changes slowly, the nearest observations
would be the same few cells on other days, and those that stand around say more. In a wide gap the nearest all lie on one bank;
the thinned ones see the other banks. What was seen in the leaf itself at its own time is always used, so that an exact
observation is honoured.
"""

__all__ = ["STRETCH", "leaves", "padded", "Neighbourhood"]

from collections.abc import Sequence

import numpy as np
from scipy.spatial import KDTree

STRETCH = 3.0
"""How much farther times are while choosing; 3 was better than 1 on sea level and on clouds, and than 6 on clouds."""

_FEW_PAIRS = 500_000
"""Centres times points up to which all distances are cheaper than a tree."""


def padded(groups: Sequence[np.ndarray], size: int | None = None) -> np.ndarray:
    """Groups of one size (group, member): the last member of a smaller one stands again; the largest one's by default."""
    size = max(group.size for group in groups) if size is None else size
    return np.stack([np.pad(group, (0, size - group.size), mode="edge") for group in groups])


def leaves(points: np.ndarray, size: int) -> list[np.ndarray]:
    """Groups of neighbouring points.

    Arguments:
        points: (point, axis).
        size: Most points of a group.

    Returns:
        Indices of the points of every group; every point is in one.
    """
    if not len(points):
        return []
    done, waiting = [], [np.arange(len(points))]
    while waiting:
        group = waiting.pop()
        if group.size <= size:
            done.append(np.sort(group))
            continue
        widest = int(np.argmax(np.ptp(points[group], axis=0)))
        group = group[np.argsort(points[group, widest], kind="stable")]
        # an even number of full leaves on the left keeps the leaves full
        half = size * max(1, round(group.size / (2 * size)))
        waiting += [group[half:], group[:half]]
    return done


class Neighbourhood:
    """Finds the observations of a leaf.

    Arguments:
        embedded: Observations in the embedding of every component, each (observation, axis); time is the last axis.
        most: Observations per leaf, beyond its own.
    """

    def __init__(self, embedded: Sequence[np.ndarray], most: int) -> None:
        far, near = embedded[0], embedded[-1]
        count = len(far)
        self.count, self.most = count, most
        self.thinned: list[tuple[np.ndarray, np.ndarray, int, bool]] = []
        if count <= most:
            return
        # a fixed shuffle: the thinned sets must not follow the rows of the grid
        order = np.random.default_rng(0).permutation(count)
        for thin, room in ((1, most - 2 * (most // 4)), (8, most // 4), (64, most // 4)):
            chosen = order[: -(-count // thin)]
            points = _stretched(near if thin == 1 else far)[chosen]
            self.thinned.append((points, chosen, min(room, chosen.size), thin == 1))

    def find(self, centres: Sequence[np.ndarray], group: np.ndarray) -> np.ndarray:
        """Indices of the observations of every leaf, -1 where there are fewer: (leaf, neighbour), none twice.

        Arguments:
            centres: Of the leaves in the embedding of every component, each (leaf, axis).
            own: Observations inside the leaf, (leaf, cell), -1 where not seen.
        """
        n = len(group)
        if not self.thinned:
            return np.broadcast_to(np.arange(self.count), (n, self.count))
        groups = [group]
        for points, chosen, room, is_near in self.thinned:
            groups.append(chosen[_nearest(points, _stretched(centres[-1] if is_near else centres[0]), room)])
        index = np.sort(np.concatenate(groups, axis=1), axis=1)
        index[:, 1:][index[:, 1:] == index[:, :-1]] = -1
        index = -np.sort(-index, axis=1)
        return index[:, : max(1, int((index >= 0).sum(axis=1).max()))]


def _nearest(points: np.ndarray, centres: np.ndarray, room: int) -> np.ndarray:
    """Indices of the nearest points of every centre, in any order: (centre, room)."""
    if len(centres) * len(points) <= _FEW_PAIRS:
        # |p|^2 - 2 p c orders as |p - c|^2 does; about the middle, so that nothing cancels
        middle = centres.mean(axis=0)
        points, centres = points - middle, centres - middle
        squared = (points * points).sum(axis=1) - 2 * centres @ points.T
        return np.argpartition(squared, room - 1, axis=1)[:, :room]
    # an axis on which all points agree adds the same to all distances
    differs = np.ptp(points, axis=0) > 0
    points, centres = points[:, differs], centres[:, differs]
    tree = KDTree(points, compact_nodes=False, balanced_tree=False)
    return np.asarray(tree.query(centres, k=room)[1]).reshape(len(centres), room)


def _stretched(points: np.ndarray) -> np.ndarray:
    return points * np.array([*[1.0] * (points.shape[1] - 1), STRETCH])
