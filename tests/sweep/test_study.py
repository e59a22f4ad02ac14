"""A study in a file forgets nothing, and chooses the same after a kill."""

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.samplers import NSGAIISampler, RandomSampler, TPESampler

from ctc_lightning.sweep.study import Study, overrides_of

SPACE = {"x": FloatDistribution(0, 1), "y": CategoricalDistribution(["a", "b"])}


def quick_tpe(seed):
    return TPESampler(n_startup_trials=3, seed=seed)


def quick_nsga2(seed):
    return NSGAIISampler(population_size=3, seed=seed)


@pytest.fixture
def study(tmp_path):
    """A function: open the study of a folder."""

    def open_it(name="study", **options):
        (tmp_path / name).mkdir(exist_ok=True)
        default = {"objectives": ["source", "transfer"], "sampler": quick_tpe, "seed": 0, "space": SPACE}
        return Study(tmp_path / name, **({"about": {"x": "interval(0,1)"}} | default | options))

    return open_it


def run(study, in_all, at_once=1):
    """Trials whose two objectives cannot both be best."""
    while trials := study.next_trials(at_once, in_all):
        for trial in trials:
            study.succeed(trial, (trial.params["x"], 1 - trial.params["x"] ** 2))
    return [trial.params for trial in study.trials]


@pytest.mark.parametrize("sampler", [quick_tpe, quick_nsga2, RandomSampler])
def test_a_study_opened_again_chooses_as_if_it_had_not_been_closed(sampler, study):
    whole = run(study("whole", sampler=sampler), 8)
    for in_all in (2, 5, 8):
        parts = run(study("parts", sampler=sampler), in_all)
    assert parts == whole
    assert len({trial["x"] for trial in whole[:3]}) == 3, "while still drawn at random, they repeat"


def test_what_was_running_is_given_out_again_with_its_values(study):
    first = study()
    run(first, 2)
    left = first.next_trials(3, 8)
    again = study().next_trials(3, 8)
    assert [(trial.number, trial.params) for trial in again] == [(t.number, t.params) for t in left]
    assert [trial.number for trial in again] == [2, 3, 4]


def test_a_trial_that_was_killed_while_being_chosen_has_failed(study):
    first = study()
    first.study.ask({"x": SPACE["x"]})
    (trial,) = study().next_trials(1, 8)
    assert trial.number == 1
    assert study().trials[0].state.name == "FAIL"


def test_there_are_no_more_trials_than_asked_for(study):
    assert len(run(study(), 5, at_once=2)) == 5
    assert study().next_trials(2, 5) == []
    assert study().next_trials(2, 3) == []


@pytest.mark.parametrize("values", [(np.nan, 0.5), np.nan])
def test_a_trial_without_an_objective_has_failed(values, study):
    one = study()
    one.succeed(one.next_trials(1, 1)[0], values)
    assert [trial.state.name for trial in study().trials] == ["FAIL"]


def test_the_study_of_something_else_is_refused(study):
    run(study(), 1)
    with pytest.raises(ValueError, match=r"x was interval\(0,1\) and is interval\(0,2\)"):
        study(about={"x": "interval(0,2)"})
    with pytest.raises(ValueError, match="objectives was"):
        study(objectives=["transfer", "source"])


def test_an_override_says_the_value_to_the_last_bit(study):
    (trial,) = study().next_trials(1, 1)
    x, y = overrides_of(trial)
    assert float(x.removeprefix("x=")) == trial.params["x"]
    assert y == f"y={trial.params['y']}"
