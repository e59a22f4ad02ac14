"""Labels stand apart, and files are the same bytes each time."""

import xml.etree.ElementTree as ET

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from scipy.optimize import minimize

from ctc_lightning.analysis.figures.style import at_shared_epochs, save, spread_out


def figure():
    made = Figure()
    axes = made.subplots()
    axes.plot([0, 1], [1, 0], marker="o", label="a line")
    axes.legend()
    return made


def test_places_that_are_apart_stay():
    np.testing.assert_allclose(spread_out([3, 1, 2], 1), [3, 1, 2])


@pytest.mark.parametrize("places", [[0, 0, 0], [5, 1, 1.2, 1.1, 4.9], [2]])
def test_moves_are_the_smallest_that_leave_the_gap(places):
    order = np.argsort(places, kind="stable")
    apart = [
        {"type": "ineq", "fun": lambda y, i=i: y[order[i + 1]] - y[order[i]] - 1}
        for i in range(len(places) - 1)
    ]
    best = minimize(
        lambda y: ((y - places) ** 2).sum(), np.array(places, float), constraints=apart, tol=1e-10
    )
    np.testing.assert_allclose(spread_out(places, 1), best.x, atol=1e-4)  # of the solver


def test_files_are_the_same_bytes_each_time_and_valid(tmp_path):
    assert save(figure(), tmp_path / "a" / "one") == ["one.png", "one.svg"]
    save(figure(), tmp_path / "b" / "one")
    for name in ("one.png", "one.svg"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    root = ET.parse(tmp_path / "a" / "one.svg").getroot()
    texts = [text.text for text in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "a line" in texts  # text stays text


@pytest.mark.parametrize("as_index", [False, True])
def test_an_epoch_that_only_some_seeds_have_is_in_no_mean(as_index):
    """Of method a, seed 1 alone was measured at epoch 7 (its best checkpoint); b has a single seed."""
    measured = [("a", 0, 1), ("a", 0, 2), ("a", 7, 1), ("a", 9, 1), ("a", 9, 2), ("b", 0, 1), ("b", 7, 1)]
    rows = pd.DataFrame(measured, columns=["method", "epoch", "seed"]).assign(test=range(7))
    given = rows.set_index(["method", "epoch", "seed"]) if as_index else rows
    assert at_shared_epochs(given)["test"].tolist() == [0, 1, 3, 4, 5, 6]
