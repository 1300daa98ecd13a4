"""Units that the program's own table does not know, through a library (pint, with the spellings of CF by cf-xarray).

    kg m-2 s-1 -> mm day-1 (water)
    mg m-3 -> ug l-1      1e-3 mol m-3 -> mmol m-3      W m-2 -> mW m-2            value * scale + offset

What is no plain unit (logarithms, numbers in the text beyond a factor, unheard-of words) is not converted. The text comes from
a file: it is short and has small exponents, or the library is not asked.
"""

__all__ = ["linear_conversion"]

import re
from functools import lru_cache

_NUMBER = r"(10\s*(?:\^|\*\*)\s*[-+]?\d{1,2}|[-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d{1,2})?)"
_FACTOR = re.compile(rf"{_NUMBER}(?:\s*\*\s*|\s+|$)(?!\s*\d)")
_PLAIN = re.compile(r"[\w\s*/^.+\-()%°µμ]{1,60}")
_WATER = re.compile(r"\bkg\s*(?:m\s*(?:\*\*|\^)?\s*-2|/\s*m\s*(?:\*\*|\^)?\s*2)(?!\d)")
"""A kilogram of water on a square metre is a millimetre: how models state rain, and how gauges do."""
# powers of powers, and powers of two digits or more
_LARGE = re.compile(r"(\^|\*\*)\s*\(?[-+\s]*\d{2,}|(\^|\*\*)\s*[-+]?\d+\s*(\^|\*\*)|\d{6,}")


@lru_cache(maxsize=256)
def linear_conversion(stated: str, to: str) -> tuple[float, float] | None:
    """(scale, offset) with value_to = value_found * scale + offset; None if there is none.

    Arguments:
        stated: The units of the values.
        to: The units wanted.
    """
    if (plain := _between(stated, to)) is not None:
        return plain
    # only where the units are of different kinds: g m-2 and kg m-2 are of one, whatever they are a mass of
    if _WATER.search(stated) and _WATER.search(to) is None:
        return _between(_WATER.sub("mm", stated, count=1), to)
    if _WATER.search(to) and _WATER.search(stated) is None:
        return _between(stated, _WATER.sub("mm", to, count=1))
    return None


def _between(stated: str, to: str) -> tuple[float, float] | None:
    """What the library says of two units."""
    source, target = _split(stated), _split(to)
    if source is None or target is None:
        return None
    # beside the program, and slow to import: asked for what nothing else knows
    from cf_xarray.units import units as registry

    try:
        units = [registry.parse_units(text or "dimensionless") for _, text in (source, target)]
        at = [
            float(registry.Quantity(number * source[0], units[0]).to(units[1]).magnitude) for number in (0.0, 1.0, 3.0)
        ]
    except Exception:  # the parser of the library has no common error for text that is no unit
        return None
    scale, offset = (at[1] - at[0]) / target[0], at[0] / target[0]
    straight = abs((at[2] - at[0]) - 3 * (at[1] - at[0])) <= 1e-9 * max(abs(at[2]), abs(at[0]), 1e-300)
    return (scale, offset) if straight and scale != 0 else None


def _split(text: str) -> tuple[float, str] | None:
    """A factor, and the rest of the text: '1e-3 mol m-3' -> .001, 'mol m-3'."""
    if not _PLAIN.fullmatch(text):
        return None
    factor, rest = 1.0, text.strip()
    if match := _FACTOR.match(rest):
        number = re.sub(r"\s", "", match[1])
        factor = 10.0 ** int(re.split(r"\^|\*\*", number)[1]) if re.search(r"\^|\*\*", number) else float(number)
        rest = rest[match.end() :].strip()
    return None if _LARGE.search(rest) or factor == 0 else (factor, rest)
