"""An export that does not give the checkpoint's outputs is refused."""

import pytest
import torch

from ctc_lightning.export.format import Format
from ctc_lightning.export.trained import open_trained


class Faulty(Format):
    library = "faulty"

    def write(self, trained, folder):
        return ""


@pytest.fixture
def trained(checkpoint):
    return open_trained(checkpoint("cifar/resnet8").file, classifier=False, trust=False)


@pytest.mark.parametrize(
    ("scale", "error", "passes"),
    [(1, 0.9e-3, True), (1, 1.1e-3, False), (50, 40e-3, True), (50, 60e-3, False), (0.01, 0.9e-3, True)],
)
def test_the_difference_may_be_the_tolerance_of_the_largest_output(scale, error, passes, trained):
    expected = torch.tensor([[-1.0, 0.5], [0.25, 0.0]], dtype=torch.float64) * scale
    found = expected.clone()
    found[1, 1] += error
    if passes:
        Faulty(1e-3).compare(trained, found, expected)
    else:
        with pytest.raises(ValueError, match=r"cifar/resnet8 as faulty gives other outputs .* differ by"):
            Faulty(1e-3).compare(trained, found, expected)


@pytest.mark.parametrize("found", [torch.zeros(2, 3), torch.full((2, 2), float("nan"))])
def test_another_shape_and_no_numbers_are_refused(found, trained):
    with pytest.raises(ValueError, match="gives other outputs"):
        Faulty(1e-3).compare(trained, found, torch.zeros(2, 2))


@pytest.mark.parametrize("tolerance", [0, -1e-6, float("nan")])
def test_a_tolerance_is_positive(tolerance):
    with pytest.raises(ValueError, match="above 0"):
        Faulty(tolerance)
