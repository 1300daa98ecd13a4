"""Networks that complete fields: what they learn from, how they are fitted, kept and drawn from.

networked                 what all of them share
diffusion, unconditional  drawn by a diffusion model, with observations as condition or as guidance
regression                one forward pass
first_guess               a peer whose residual a model draws
"""
