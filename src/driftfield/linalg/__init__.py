"""H, R and solvers as tensors know them: what data, guidance and filters share, without files or xarray.

operators, composition        H with its adjoint, and operators made of operators
covariance, prior_covariance  R, and the covariance of a prior
solvers                       conjugate gradients
"""
