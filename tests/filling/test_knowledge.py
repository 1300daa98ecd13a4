"""What a user states of the covariance is used or refused; it does not make a method vanish from the choice."""

import pytest

from driftfield.errors import ConfigurationError
from driftfield.filling.methods import Knowledge


@pytest.mark.parametrize("name", ["length_km", "days", "noise"])
@pytest.mark.parametrize("value", [-5.0, 0.0, float("nan"), float("inf")])
def test_a_scale_that_is_not_positive_is_refused(name: str, value: float) -> None:
    with pytest.raises(ConfigurationError, match="expected a positive number"):
        Knowledge(**{name: value})
