"""The calibration study: held-out estimates, statistics over seeds, and restarting."""

import sys

import calibrate
import numpy as np
import pandas as pd
import pytest
from calibration_report import bias_table, markdown, trusted
from numpy import inf, nan

from ctc_lightning.information.estimators.gaussian import Gaussian

POINTS = [*calibrate.grid(["gaussians"], small=True)][:2]  # two dimensions
TRUTHS = (0.5, 2.0, 4.0, 10.0)


def run(output, names=("gaussian",), points=POINTS, **changed):
    options = {"seeds": 2, "num_train": 400, "num_held_out": 200} | changed
    return calibrate.calibrate(calibrate.load_estimators(names), points, output=output, **options)


def numbers(cells):
    return cells.drop(columns="seconds").to_dict("list")


@pytest.fixture
def fits(monkeypatch):
    """The fits of the Gaussian estimator; from the ``limit``-th on they are interrupted."""

    class Fits(list):
        limit = inf

    fits, fit = Fits(), Gaussian.fit

    def counted(self, train, *, seed):
        fits.append((train, seed))
        if len(fits) >= fits.limit:
            raise KeyboardInterrupt
        return fit(self, train, seed=seed)

    monkeypatch.setattr(Gaussian, "fit", counted)
    return fits


def test_the_gaussian_estimator_is_right_about_gaussians_on_other_pairs(tmp_path, fits, monkeypatch):
    judged, estimate = [], calibrate.estimate

    def seen(estimator, train, held_out, *, seed):
        judged.append(held_out)
        return estimate(estimator, train, held_out, seed=seed)

    monkeypatch.setattr(calibrate, "estimate", seen)
    cells = run(tmp_path)
    assert [*zip(cells["information"], cells["seed"], strict=True)] == [(0.5, 0), (0.5, 1), (2, 0), (2, 1)]
    # the average over 200 pairs of ln p(x, y)/p(x)p(y) has in D dimensions the variance D·ρ² <= 2
    np.testing.assert_allclose(cells["value"], cells["information"], rtol=0, atol=4 * (2 / 200) ** 0.5)
    for (train, _), held_out in zip(fits, judged, strict=True):
        assert (len(train.x_NC), len(held_out.x_NC)) == (400, 200)
        assert not {*map(tuple, train.x_NC.tolist())} & {*map(tuple, held_out.x_NC.tolist())}


def test_an_interrupted_study_continues_and_ends_as_an_undisturbed_one(tmp_path, fits):
    fits.limit = 3
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path)
    assert len(pd.read_csv(tmp_path / "cells.csv")) == 2
    fits.limit = inf
    resumed = run(tmp_path)
    assert len(fits) == 3 + 2
    undisturbed = run(tmp_path / "other")
    np.testing.assert_equal(numbers(resumed), numbers(undisturbed))
    np.testing.assert_equal(numbers(run(tmp_path)), numbers(undisturbed))
    assert len(fits) == 5 + 4, "nothing is computed twice"
    assert run(tmp_path, num_train=300)["value"].ne(undisturbed["value"]).all()
    assert len(fits) == 9 + 4, "other settings are"


def of_values(values, estimator="mine", dims=2, information=2.0, note="", **other):
    """Cells of one point, a seed for each value."""
    fixed = {
        "train": nan,
        "upper": nan,
        "ceiling": inf,
        "standard_error": 0.0,
        "is_lower_bound": True,
        "seconds": 1.0,
    }
    point = {"distribution": "cubed", "dims": dims, "information": information, "estimator": estimator}
    return pd.DataFrame(
        [point | fixed | {"seed": s, "value": v, "note": note} | other for s, v in enumerate(values)]
    )  # fmt: skip


def test_bias_and_spread_are_those_of_the_seeds():
    values = np.array([1.5, 1.8, 2.4])
    (row,) = bias_table(of_values(values, train=3.0, upper=4.0, ceiling=2.5)).itertuples()
    bias = values - 2
    assert row.value_mean == pytest.approx(1.9)
    assert row.bias_mean == pytest.approx(bias.mean())
    assert row.bias_std == pytest.approx(np.std(bias, ddof=1))
    assert row.error == pytest.approx(np.sqrt((bias**2).mean()))
    assert (row.train_bias_mean, row.upper_bias_mean) == pytest.approx((1, 2))
    assert (row.n, row.n_refused, row.ceiling) == (3, 0, 2.5)
    assert row.near_ceiling == pytest.approx(1 / 3)  # 2.4 > 95 % of 2.5


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.45, 2.1, 4.3, 9.5], "10"),
        ([0.45, 2.1, 2.0, 10.0], "2"),  # right above an information where it is wrong: by chance
        ([0.45, 1.7, 4.0, 10.0], "0.5"),  # 15 % of 2 nats
        ([0.65, 2.0, 4.0, 10.0], "–"),  # more than 0.1 nats
    ],
)
def test_trust_ends_at_the_first_information_with_a_large_error(values, expected):
    cells = [of_values([v], information=i) for v, i in zip(values, TRUTHS, strict=True)]
    assert trusted(bias_table(pd.concat(cells[::-1])))["mine"].tolist() == [expected]


def test_a_large_spread_is_not_trusted_though_its_mean_is_right():
    assert trusted(bias_table(of_values([1.0, 3.0])))["mine"].tolist() == ["–"]


def test_the_report_names_refusals_ceilings_and_lower_bounds_above_the_truth():
    text = markdown(
        bias_table(
            pd.concat(
                [
                    of_values([2.5, 2.51, 2.52], ceiling=2.6),
                    of_values([2.5, 2.51, 2.52], "ksg", is_lower_bound=False),
                    of_values([1.0], dims=4),
                    of_values([nan], "ksg", dims=16, note="KSG: 16 dimensions are too many."),
                    of_values([nan], "ksg", dims=128, note="KSG: 128 dimensions are too many."),
                ]
            )
        ),
        2000,
        1000,
    )
    for line in (
        "| distribution | dims | truth | KSG | MINE |",
        "| cubed | 2 | 2 | +0.51 ± 0.01 | +0.51 ± 0.01 ⌈ |",
        "| cubed | 4 | 2 | – | −1.00 |",
        "| cubed | 16 | 2 | refused | – |",
        "- KSG on cubed (16, 128 dims): “KSG: 16 dimensions are too many.”",
        "1 of 2: MINE on cubed, 2 dims, 2 nats (+0.51 ± 0.01 ⌈).",
    ):
        assert line in text.splitlines()


def test_the_command_writes_tables_and_figure(tmp_path, monkeypatch):
    words = ["--small", "--estimators", "gaussian", "ksg", "--distributions", "gaussians", "noisy_features"]
    monkeypatch.setattr(sys, "argv", ["calibrate.py", *words, "--seeds", "1", "--output", str(tmp_path)])
    calibrate.main()
    stem = {"calibration.csv", "calibration.md", "calibration.png", "calibration.svg"}
    assert {path.name for path in tmp_path.iterdir()} == {"cells.csv", *stem}
    assert len(pd.read_csv(tmp_path / "calibration.csv")) == 2 * 2 * 4
    assert "| noisy_features | 2 | 0.5 |" in (tmp_path / "calibration.md").read_text()
