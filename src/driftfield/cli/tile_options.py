"""What the options of tiles ask for."""

__all__ = ["read_tiles"]

from typing import TYPE_CHECKING, Any

from driftfield.cli.shared import check_counts
from driftfield.errors import ConfigurationError

if TYPE_CHECKING:
    from driftfield.sampling.tiles import TilesAsked


def read_tiles(method: Any, tile: int | None, overlap: int | None, *, independent: bool) -> "TilesAsked | None":
    """`--tile`, `--overlap`, `--independent-tiles`; None where no tiles are asked for.

    Raises:
        ConfigurationError: an overlap without tiles or wider than half of one, or a method that takes none.
    """
    from driftfield.reconstruction.settings import check_ability
    from driftfield.sampling.tiles import TilesAsked

    if tile is None:
        if overlap is not None or independent:
            raise ConfigurationError("Found --overlap or --independent-tiles without --tile: say --tile CELLS, too.")
        return None
    check_ability(method, "tiles", asked="--tile")
    check_counts({"--tile": tile})
    check_counts({"--overlap": overlap}, least=0)
    return TilesAsked(tile, tile // 4 if overlap is None else overlap, independent)
