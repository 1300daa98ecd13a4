"""What every method hands back, model or peer: the assembled file, its bounds and calibration, and its kill-safe writing."""
