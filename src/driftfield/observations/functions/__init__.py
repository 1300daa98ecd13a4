"""Functions of several variables at one place, one a file: what an instrument sees that is no variable of a run.

speed        sqrt(a² + b² ...)       wind, currents
difference   a - b                   sea and air, surface and skin
"""
