"""Bias, spread and the range that can be trusted, of numbers given by hand."""

import numpy as np
import pytest
from numpy import inf, nan

from ctc_lightning.information.bias import bias_table, trusted
from ctc_lightning.information.calibration_table import calibration_table
from ctc_lightning.information.cells import Cell, as_frame


def cell(value, seed=0, information=2.0, estimator="mine", dims=2, **other):
    given = {"train": nan, "upper": nan, "ceiling": inf, "standard_error": 0.0, "is_lower_bound": True}
    given |= {"seconds": 1.0, "settings": "abc", "distribution": "cubed"} | other
    return Cell(dims=dims, information=information, estimator=estimator, seed=seed, value=value, **given)


def table_of(*cells):
    return bias_table(as_frame(cells))


def test_bias_and_spread_are_those_of_the_seeds():
    (row,) = table_of(
        *(cell(v, s, train=v + 1, upper=v + 2) for s, v in enumerate((1.5, 1.8, 2.4)))
    ).itertuples()
    bias = np.array([-0.5, -0.2, 0.4])
    assert row.value_mean == pytest.approx(1.9)
    assert row.bias_mean == pytest.approx(bias.mean())
    assert row.bias_std == pytest.approx(np.std(bias, ddof=1))
    assert row.error == pytest.approx(np.sqrt((bias**2).mean()))
    assert row.train_bias_mean == pytest.approx(bias.mean() + 1)
    assert row.upper_bias_mean == pytest.approx(bias.mean() + 2)
    assert (row.n, row.n_refused) == (3, 0)


def test_estimates_at_their_ceiling_are_counted():
    rows = table_of(cell(4.8, 0, 5.0, ceiling=5.0), cell(4.7, 1, 5.0, ceiling=5.0), cell(9.0, 0, 10.0))
    assert rows["near_ceiling"].tolist() == [0.5, 0.0]  # 4.75 is 95 % of it
    assert "⌈" in calibration_table(rows, 10, 10)
    assert "⌈ |" not in calibration_table(rows[1:], 10, 10)


def test_what_is_refused_is_said_and_is_no_number():
    refused = [cell(nan, d, dims=d, note=f"MINE: {d} dimensions are too many.") for d in (16, 128)]
    rows = table_of(cell(2.0), *refused)
    assert rows["n_refused"].tolist() == [0, 1, 1]
    assert trusted(rows)["mine"].tolist() == ["2", "refused", "refused"]
    text = calibration_table(rows, 10, 10)
    assert "- MINE on cubed (16, 128 dims): “MINE: 16 dimensions are too many.”" in text


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((0.45, 2.1, 4.3, 9.5), "10"),
        ((0.45, 2.1, 2.0, 10.0), "2"),  # what is right above a failure is right by chance
        ((0.45, 1.7, 4.0, 10.0), "0.5"),  # 15 % of 2 nats
        ((0.65, 2.0, 4.0, 10.0), "–"),  # more than 0.1 nats
    ],
)
def test_trust_ends_where_the_first_estimate_is_off(values, expected):
    truths = (0.5, 2.0, 4.0, 10.0)
    rows = table_of(*(cell(v, information=i) for v, i in zip(values[::-1], truths[::-1], strict=True)))
    assert trusted(rows)["mine"].tolist() == [expected]


def test_a_large_spread_is_not_trusted_though_its_mean_is_right():
    assert trusted(table_of(cell(1.0, 0), cell(3.0, 1)))["mine"].tolist() == ["–"]


def test_the_table_has_a_row_for_each_point_and_a_column_for_each_estimator():
    rows = table_of(
        cell(2.0, 0), cell(2.2, 1), cell(1.0, estimator="mine", dims=4), cell(1.7, estimator="own", dims=4)
    )
    text = calibration_table(rows, 2000, 1000)
    assert "Fitted on 2000 pairs, judged on 1000 others, 1 to 2 seeds" in text
    assert "| distribution | dims | truth | MINE | own |" in text
    assert "| cubed | 2 | 2 | +0.10 ± 0.14 | – |" in text
    assert "| cubed | 4 | 2 | −1.00 | −0.30 |" in text


def test_upper_bounds_have_a_table_of_their_own():
    rows = table_of(cell(1.5, 0, upper=2.2), cell(1.5, 1, upper=2.4), cell(1.0, estimator="nwj"))
    assert "| distribution | dims | truth | MINE |\n| --- | --- | --- | --- |\n| cubed | 2 | 2 | +0.30 |" in (
        calibration_table(rows, 9, 9)
    )
    assert "Upper bound" not in calibration_table(rows[rows["estimator"] == "nwj"], 9, 9)


def test_a_lower_bound_above_the_truth_is_named():
    above = [cell(2.5 + s / 100, s) for s in range(3)]
    other = [cell(2.5 + s / 100, s, estimator="ksg", is_lower_bound=False) for s in range(3)]
    assert "1 of 1, the largest: MINE on cubed, 2 dims, 2 nats" in calibration_table(
        table_of(*above, *other), 9, 9
    )
    assert "truth** by more than" in calibration_table(table_of(*other), 9, 9)
    assert "0 of 0." in calibration_table(table_of(*other), 9, 9)
