"""Data of others, fetched: what is asked of which service, how in spite of failures, and how the pieces become one file.

asked     a region, dates, depths, levels; the pieces that it is asked in
argo, oisst, marine, climate_store, arco, nnja    what a service is asked, below its limits; pieces -> one file
fetching  piece -> file: asked again after failures, checked, renamed
https     a piece over plain HTTPS, resumed; other services have clients
"""
