r"""What was seen: patterns of gaps.

    observed = domain, minus a random hidden set of a given share

    random     #.##.#  cells, each level for itself      blocks     #..###  rectangles, which may cross the border
    clouds     ##..##  smooth noise below its quantile   tracks     ./..\.  straight lines, ascending and descending
    profiles   .|..|.  columns down to a random depth    swaths     .//.//  the same, several cells wide
    columns    |..|.   columns down to the floor          surface    the first level, whole
    from:FILE  the gaps of a real file, at a random time and place
    own        the gaps of another time of the same record, at the same place ("own:5": of five times later)
    a+b        what either of them sees: "columns:n=3-5+surface"

The number is the hidden share of the *domain* cells ("clouds:0.8" hides 80 %), met to one cell in a horizontal field; a
range ("profiles:0.9-0.99") draws it anew for every mask. On several levels the footprint of blocks, clouds, tracks and
swaths is the same at every level, and the share is met to one column. All are drawn as pieces of something larger, so
that a cell at the border is seen as often as one in the middle (to 3 %). Every module here is found by `registry.members`.
"""

__all__ = [
    "Blocks",
    "Clouds",
    "Everything",
    "Nothing",
    "Pattern",
    "Profiles",
    "RandomCells",
    "Lender",
    "Together",
    "TopLevel",
    "Tracks",
    "parse_pattern",
    "reference_mask",
]

from driftfield.data.masks.parsing import parse_pattern
from driftfield.data.masks.pattern import Everything, Lender, Nothing, Pattern, RandomCells, Together, TopLevel
from driftfield.data.masks.profiles import Profiles
from driftfield.data.masks.reference import reference_mask
from driftfield.data.masks.shapes import Blocks, Clouds, Tracks
