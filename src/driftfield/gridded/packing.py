"""Fewer bits for a number, with the largest error that costs: whole numbers of sixteen bits, or fewer bits of the mantissa.

    int16         value = add_offset + scale_factor n,   n in -32767 ... 32767, -32768 where there is none
                  |unpacked - value| <= scale_factor / 2 + 2^-22 max |value|,  scale_factor = (largest - smallest) / 65534
    bitround:N    N bits of the mantissa of a float32 are kept, rounded to even, the others are 0 and compress
                  |unpacked - value| <= 2^-(N + 1) |value|                         (Kloewer et al. 2021; Zender 2016)

Every program that reads NetCDF or Zarr undoes the first by itself (CF 8.1); of the second there is nothing to undo.
"""

__all__ = ["Packing", "rounded_bits"]

from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from driftfield.errors import ConfigurationError

MISSING = -32768
"""Of whole numbers."""

MANTISSA = 23
"""Bits of a float32."""


@dataclass(frozen=True)
class Packing:
    """How fields are packed.

    Arguments:
        bits: Of the mantissa that are kept; None for whole numbers of sixteen bits.
    """

    bits: int | None = None

    @classmethod
    def parse(cls, text: str) -> "Packing":
        """Of `int16` or `bitround:N`.

        Raises:
            ConfigurationError: another word, or bits that a float32 has not.
        """
        kind, colon, bits = text.partition(":")
        if kind == "int16" and not colon:
            return cls()
        if kind == "bitround" and bits.isdigit() and 1 <= int(bits) < MANTISSA:
            return cls(int(bits))
        raise ConfigurationError(
            f"Found --pack {text}: expected int16, or bitround:N with N of 1 to {MANTISSA - 1} bits, such as bitround:10."
        )

    def __str__(self) -> str:
        return "int16" if self.bits is None else f"bitround:{self.bits}"

    def packed(self, dataset: xr.Dataset) -> tuple[xr.Dataset, dict[str, dict[str, Any]]]:
        """The data set with a word on its error at every field, and how its fields are to be encoded.

        Arguments:
            dataset: Fields of float32 on dates are packed, everything else stays; lazy ones stay lazy.
        """
        output, encoding = dataset.copy(), {}
        for name, array in dataset.data_vars.items():
            if array.dtype != np.float32 or "time" not in array.dims or array.ndim < 3:
                continue
            if self.bits is None:
                scale, offset = _scale(array)
                encoding[str(name)] = {
                    "dtype": "int16",
                    "scale_factor": scale,
                    "add_offset": offset,
                    "_FillValue": np.int16(MISSING),
                }
                # half a step, and what a program that unpacks into float32 rounds
                largest = abs(offset) + 32767 * scale
                said = {"packing": str(self), "packing_error": float(scale / 2 + 2.0**-22 * largest)}
            else:
                output[name] = xr.apply_ufunc(rounded_bits, array, self.bits, dask="parallelized", keep_attrs=True)
                said = {"packing": str(self), "packing_relative_error": 2.0 ** -(self.bits + 1)}
            output[name].attrs = dict(array.attrs) | said
        return output, encoding


def rounded_bits(values: np.ndarray, bits: int) -> np.ndarray:
    """float32 with so many bits of the mantissa, rounded to the nearest, ties to even; what is no number stays as it is."""
    whole = np.ascontiguousarray(values, dtype=np.float32)
    number, dropped = whole.view(np.uint32), np.uint32(MANTISSA - bits)
    odd = (number >> dropped) & np.uint32(1)
    half = (np.uint32(1) << (dropped - np.uint32(1))) - np.uint32(1)
    rounded = ((number + half + odd) >> dropped << dropped).view(np.float32)
    return np.where(np.isfinite(whole) & np.isfinite(rounded), rounded, whole)


def _scale(array: xr.DataArray) -> tuple[float, float]:
    """(step, middle) of a variable; 1 and its value where it has but one."""
    low, high = float(array.min()), float(array.max())
    if not np.isfinite([low, high]).all():
        return 1.0, 0.0  # there is no value at all
    return (high - low) / 65534 or 1.0, (high + low) / 2
