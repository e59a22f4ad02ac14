"""From a configuration to table and picture; what is finished is not computed again."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hydra import compose, initialize_config_dir

from ctc_lightning.estimators.gaussian import Gaussian
from ctc_lightning.information import calibrate as module
from ctc_lightning.information.calibrate import calibrate
from ctc_lightning.information.cells import CellsFile
from ctc_lightning.paths import config_dir

FILES = {"cells.csv", "calibration.csv", "calibration.md", "calibration.png", "calibration.svg"}


@pytest.fixture
def run(tmp_path):
    """A function of the command line: the cells of a small calibration."""

    def call(*overrides, output="out"):
        with initialize_config_dir(str(config_dir()), version_base="1.3"):
            small = ["calibration=small", "estimator=[gaussian]", "known=[gaussians]", "dims=[2]"]
            cfg = compose("calibrate", overrides=[*small, f"output={tmp_path / output}", *overrides])
        return calibrate(cfg)

    return call


@pytest.fixture
def fits(monkeypatch):
    """The seeds of all fits of the Gaussian estimator; the last of ``limit`` is killed."""

    class Fits(list):
        limit = np.inf

    fits, fit = Fits(), Gaussian.fit

    def counted(self, train, *, seed):
        fits.append(seed)
        if len(fits) >= fits.limit:
            raise KeyboardInterrupt
        return fit(self, train, seed=seed)

    monkeypatch.setattr(Gaussian, "fit", counted)
    monkeypatch.setattr(module, "write", lambda *_: None)  # a picture takes longer than all fits
    return fits


def values(cells):
    return {cell.key: (cell.value, cell.train) for cell in cells}


def test_the_gaussian_estimator_is_right_about_gaussians(run, tmp_path):
    cells = run()
    assert {path.name for path in (tmp_path / "out").iterdir()} >= FILES
    assert [(c.information, c.seed) for c in cells] == [(0.5, 0), (0.5, 1), (2, 0), (2, 1)]
    for cell in cells:
        # the average over 200 pairs of ln p(x, y)/p(x)p(y), whose variance in D dimensions is D·ρ² <= 2
        assert cell.value == pytest.approx(cell.information, abs=4 * (2 / 200) ** 0.5)
        assert not cell.note
    table = pd.read_csv(tmp_path / "out" / "calibration.csv")
    for row, of in zip(table.itertuples(), (cells[:2], cells[2:]), strict=True):
        assert row.bias_mean == pytest.approx(np.mean([c.value for c in of]) - row.information)
    text = (tmp_path / "out" / "calibration.md").read_text()
    assert "| gaussians | 2 | 0.5 |" in text
    assert "| gaussians | 2 | 2 |" in text


def test_estimates_are_of_other_pairs_than_those_of_the_fit(run, monkeypatch):
    seen = {}
    monkeypatch.setattr(
        module,
        "estimate",
        lambda key, known, estimator, train, held_out: seen.setdefault(key.seed, (train, held_out)) and 1 / 0,
    )
    with pytest.raises(ZeroDivisionError):
        run()
    train, held_out = seen[0]
    assert (len(train.x_NC), len(held_out.x_NC)) == (400, 200)
    rows = {tuple(row) for row in train.x_NC.tolist()}
    assert not rows & {tuple(row) for row in held_out.x_NC.tolist()}


def test_what_is_finished_is_not_computed_again(run, fits, tmp_path):
    first = run()
    assert len(fits) == 4
    assert values(run()) == values(first)
    assert len(fits) == 4
    file = tmp_path / "out" / "cells.csv"
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join([*lines[:2], *lines[3:]]))
    assert values(run()) == values(first)
    assert fits[4:] == [1], "the second cell's seed"
    assert len(run("seeds=3")) == 6
    assert fits[5:] == [2, 2]


@pytest.mark.parametrize(
    "changed", ["num_train=300", "num_held_out=150", "estimator.gaussian.shrinkages=[0.3]"]
)
def test_other_settings_are_computed_anew(run, fits, changed):
    before = values(run())
    after = values(run(changed))
    assert len(fits) == 8
    assert before.keys() == after.keys()
    assert not set(before.values()) & set(after.values())


def test_a_killed_calibration_keeps_what_it_has_and_ends_as_an_undisturbed_one(run, fits, tmp_path):
    fits.limit = 3
    with pytest.raises(KeyboardInterrupt):
        run()
    assert len(CellsFile(tmp_path / "out" / "cells.csv").cells()) == 2
    fits.limit = np.inf
    resumed = run()
    assert len(fits) == 3 + 2
    assert values(resumed) == values(run(output="undisturbed"))


def test_processes_share_the_work(run, fits, monkeypatch):
    alone, estimate = values(run(output="alone")), module.estimate

    def while_another_does_everything(*given):
        monkeypatch.setattr(module, "estimate", estimate)
        run()
        return estimate(*given)

    monkeypatch.setattr(module, "estimate", while_another_does_everything)
    fits.clear()
    assert values(run()) == alone
    assert len(fits) == 4 + 1, "all by the other one, and the one that was begun"


def test_a_process_killed_while_it_writes_leaves_the_old_file(run, tmp_path, monkeypatch):
    cells = run()
    file = CellsFile(tmp_path / "out" / "cells.csv")
    before = file.path.read_bytes()

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            file.put([cells[0]._replace(seed=9)])
    assert file.path.read_bytes() == before
    added = cells[0]._replace(seed=9)
    file.put([added])
    assert values(file.cells().values()) == values([*cells, added])


def test_what_an_estimator_refuses_stands_in_the_table(run, tmp_path):
    cells = run("estimator=[gaussian,ksg]", "dims=[2,16]")
    refused = [cell for cell in cells if cell.estimator == "ksg" and cell.dims == 16]
    assert len(refused) == 4
    assert all(np.isnan(cell.value) and "dimensions" in cell.note for cell in refused)
    text = (tmp_path / "out" / "calibration.md").read_text()
    assert "- KSG on gaussians (16 dims): “KSG: x has 16 dimensions" in text
    assert not [c for c in cells if c.estimator == "gaussian" and c.note]


def test_distributions_that_do_not_exist_are_left_out_and_named(run, caplog):
    options = ["known=[gaussians,label_mixture]", "known.label_mixture.dims=[2,9]"]
    options += ["known.label_mixture.informations=[1]", "known.label_mixture.distribution.num_draws=1000"]
    with caplog.at_level("INFO", "ctc_lightning"):
        cells = run(*options)
    assert {(c.distribution, c.dims) for c in cells} == {("gaussians", 2), ("label_mixture", 9)}
    assert "left out: label_mixture, 2 dimensions, 1 nats: label mixture: 10 labels need 9" in caplog.text
    assert {c.standard_error > 0 for c in cells if c.distribution == "label_mixture"} == {True}


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["estimator=[]"], "there is nothing to calibrate"),
        (["known=[]"], "there is nothing to calibrate"),
        (["seeds=0"], "seeds is 0; it must be at least 1"),
        (["informations=[1,-1]"], r"informations=\[1, -1\]: -1 is not positive; give numbers"),
        (["dims=[]"], "there is no distribution to calibrate on"),
        (["num_held_out=0"], "num_held_out is 0; it must be at least 1"),
    ],
)
def test_a_value_that_cannot_work_is_one_sentence(run, overrides, sentence):
    with pytest.raises(ValueError, match=sentence):
        run(*overrides)


def test_a_file_that_is_no_table_is_refused_and_kept(run, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "cells.csv").write_text("my notes\n")
    with pytest.raises(ValueError, match="not a table of calibration cells; move it away"):
        run()
    assert (tmp_path / "out" / "cells.csv").read_text() == "my notes\n"


def test_the_command_line(tmp_path, monkeypatch, capsys):
    words = ["calibration=small", "estimator=[gaussian]", "known=[gaussians]", f"output={tmp_path / 'out'}"]
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")  # restored afterwards
    monkeypatch.setattr(sys, "argv", ["calibrate", *words])
    module.main()
    assert {path.name for path in (tmp_path / "out").iterdir()} >= FILES
    monkeypatch.setattr(sys, "argv", ["calibrate", *words, "seed=3"])
    with pytest.raises(SystemExit, match="2"):
        module.main()
    assert "did you mean seeds" in capsys.readouterr().err
