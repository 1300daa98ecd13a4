"""The example of docs/exact-denoisers.md runs, prints what the page says, and its exact answers are exact."""

import re
from typing import Any

import pytest
import torch
from pages import text_of


@pytest.mark.slow
def test_the_page_of_exact_denoisers(capsys: pytest.CaptureFixture[str]) -> None:
    text = text_of("docs/exact-denoisers.md")
    (example,) = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    (printed,) = re.findall(r"```text\n(.*?)```", text, flags=re.DOTALL)
    names: dict[str, Any] = {}
    exec(compile(example, "exact-denoisers.md", "exec"), names)
    said = capsys.readouterr().out
    assert re.sub(r"[\d.]+", "#", said) == re.sub(r"[\d.]+", "#", printed)
    numbers = [[float(n) for n in re.findall(r"\d+\.\d+", part)] for part in (said, printed)]
    # other machines round otherwise, and the turbulent ocean is another of the same kind
    assert numbers[0] == pytest.approx(numbers[1], abs=0.1)
    # the posterior in the other form: (C^-1 + H' R^-1 H)^-1 H' R^-1 y
    c, h, y = names["c"], names["h"], names["y"]
    other = torch.linalg.solve(torch.linalg.inv(c) + h.T @ h / 0.01, h.T @ y / 0.01)
    assert torch.allclose(other, names["mean"], atol=1e-6)
    # learnt by heart: an archive has one field nearest, new fields have none
    assert numbers[0][13] < 0.1 * numbers[0][14]
