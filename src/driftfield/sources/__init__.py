"""Data of others, fetched: what is asked of which service, how in spite of failures, and how the pieces become one file.

asked     a region, dates, depths
argo, oisst    what a service is asked, in pieces below its limits; pieces -> one file
fetching  URL -> file: resumed, checked, asked again after failures
"""
