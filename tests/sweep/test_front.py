"""The tables of a search name every trial, and as front exactly those that no other beats."""

import numpy as np
import pandas as pd
import pytest
from optuna import create_study
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState, create_trial

from ctc_lightning.sweep.front import front_figure, trials_table, write_front

OBJECTIVES = ["source", "transfer"]
NUM_TRIALS = 40


@pytest.fixture(scope="module")
def trials():
    """Objectives on a coarse grid, so that some are equal; every tenth trial failed."""
    generator, study = np.random.default_rng(0), create_study(directions=["maximize"] * 2)
    for number in range(NUM_TRIALS):
        x = float(generator.uniform())
        searched = {"params": {"x": x}, "distributions": {"x": FloatDistribution(0, 1)}}
        if number % 10 == 9:
            study.add_trial(create_trial(state=TrialState.FAIL, **searched))
        else:
            noise = generator.uniform(0, 0.3, 2)
            values = np.round([x + noise[0], 1 - x + noise[1]], 1).tolist()
            study.add_trial(create_trial(values=values, **searched))
    return study.trials


def beaten(point, points):
    """By its definition, one pair at a time."""
    return any(a >= point[0] and b >= point[1] and (a, b) != point for a, b in points)


def test_the_front_is_that_of_its_definition_and_optunas(trials):
    table = trials_table(trials, OBJECTIVES)
    done = {trial.number: tuple(trial.values) for trial in trials if trial.values}
    expected = {number for number, point in done.items() if not beaten(point, done.values())}
    assert 1 < len(expected) < len(done)
    assert set(table.loc[table["front"], "trial"]) == expected
    study = create_study(directions=["maximize"] * 2)
    study.add_trials(trials)
    assert expected == {trial.number for trial in study.best_trials}


def test_the_files_hold_every_trial_and_the_front(trials, tmp_path):
    write_front(trials, OBJECTIVES, tmp_path)
    table, front = (pd.read_csv(tmp_path / f"{name}.csv") for name in ("trials", "pareto_front"))
    assert table["trial"].tolist() == list(range(NUM_TRIALS))
    assert (table["state"] == "fail").sum() == table["source"].isna().sum() == NUM_TRIALS // 10
    np.testing.assert_array_equal(table["x"], [trial.params["x"] for trial in trials])
    assert sorted(front["trial"]) == table.loc[table["front"], "trial"].tolist()
    assert front["source"].is_monotonic_decreasing
    assert {path.suffix for path in tmp_path.glob("pareto_front.*")} == {".csv", ".png", ".svg"}


def test_the_picture_numbers_the_front(trials):
    table = trials_table(trials, OBJECTIVES)
    axes, *_ = front_figure(table, OBJECTIVES).axes
    front = table[table["front"]].set_index("trial")
    assert {int(text.get_text()) for text in axes.texts} == set(front.index)
    for text in axes.texts:
        assert text.xy == tuple(100 * front.loc[int(text.get_text()), OBJECTIVES])
    points = axes.collections[0].get_offsets()
    np.testing.assert_allclose(points, 100 * table.dropna()[OBJECTIVES])


def test_of_one_objective_the_best_is_told(tmp_path):
    study = create_study(directions=["maximize"])
    for value in (0.1, 0.3, 0.2):
        study.add_trial(create_trial(value=value))
    write_front(study.trials, ["source"], tmp_path)
    assert pd.read_csv(tmp_path / "pareto_front.csv")["trial"].tolist() == [1]
    assert not list(tmp_path.glob("*.png"))


def test_a_search_of_failures_alone_has_an_empty_front(tmp_path):
    study = create_study(directions=["maximize"] * 2)
    study.add_trial(create_trial(state=TrialState.FAIL))
    write_front(study.trials, OBJECTIVES, tmp_path)
    assert pd.read_csv(tmp_path / "pareto_front.csv").empty
