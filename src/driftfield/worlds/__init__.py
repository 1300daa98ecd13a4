"""Simulated truths, each from its equations: an ocean, quasi-geostrophic flow, Lorenz's systems. They know no torch."""
