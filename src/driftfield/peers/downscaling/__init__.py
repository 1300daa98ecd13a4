"""Peers that make fine fields from coarse ones: one file each, found by the registry under `downscaler`."""
