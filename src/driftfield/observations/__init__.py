"""From observations of any kind to y, H and R: what a prior needs to know of them.

    reading      files, xarray  ->  table.ObservationTable (pandas too)
    checks       table, grid.StateGrid  ->  the rows that are used, H as a sparse matrix (`stencils`), the account of the others
    observe      table, codec, dates  ->  operators.Observed: y, H and R as the network's field sees them
    composition  operators made of operators: stacks, functions of what is seen, other units, decoders
    withholding  what is kept for scoring

`operators` and `composition` know neither files nor xarray, so that the sampling room may use them.
"""
