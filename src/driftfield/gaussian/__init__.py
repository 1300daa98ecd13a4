"""Gaussian fields from gaps: covariances, kriging, modes and their tuning; arrays in, arrays out.

covariance, space_time_covariance  correlations in space and time
conditioning, local_kriging        the posterior of a Gaussian field given values with errors
gappy_*, eof_*                     means, modes and errors from fields with gaps
random_fields, counter_noise       fields of a known covariance, drawn by fast transforms; numbers by wavenumber
tuning, structure                  the constants, chosen on held-out values
"""
