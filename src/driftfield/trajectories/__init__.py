"""Fields that follow one another: priors of windows of states, emulators of a time step, forecasts."""
