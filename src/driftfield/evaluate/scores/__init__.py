"""Scores: of one field, of an ensemble, of a stated spread; xarray in, xarray out. A new one is one file here."""
