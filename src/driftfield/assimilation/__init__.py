"""Guided draws: a trained prior held to observations of any kind while it samples; `kalman` has the filters beside it.

date_by_date  one date after the other, each with its own observations
whole_course  a course of dates at once, under a prior of windows
analysis      observations and run -> H, R and the fields that agree with both
"""
