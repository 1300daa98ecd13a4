"""From anybody's gridded file to named axes, known units and honest gaps, and back into files that other programs open.

stores, gridded_files           files and stores, opened lazily; what is written
axes, horizontal, vertical, time_axis     which dimension is what, turned and dated
units, unit_library, measures   what the numbers mean
valid_range, sentinels, flags, removal    what is no measurement, counted
domains, copies, joining, region          where a field exists; cells twice; files that belong together; a part
"""
