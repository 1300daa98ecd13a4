"""Driftfield: incomplete observations of the ocean and atmosphere in, an ensemble of complete fields out."""

__all__ = ["__version__"]

__version__ = "0.1.0"
