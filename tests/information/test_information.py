"""The command: every checkpoint once, in the table of the other protocols, restartable."""

import re

import pandas as pd
import pytest
from hydra import compose, initialize_config_dir
from hydra.errors import InstantiationException

import programs
from ctc_lightning.cli.configuration import config_dir
from ctc_lightning.evaluation.results import ResultsTable
from ctc_lightning.information.__main__ import information, main

QUICK = ["estimator@xt=[noisy_channel]", "estimator@ty=[classifier]"]


def estimate(*overrides):
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        return information(compose("information", [*overrides, "paths.root=/nowhere"]))


def units(run_dir):
    return sorted(
        row.unit for row in ResultsTable(run_dir / "results.csv").rows() if row.metric == "information"
    )


def test_every_checkpoint_once_inputs_by_images_and_labels_by_label(run_dir):
    """Digits have two labels of the same images: the source's and ``digit``."""
    assert estimate(f"run={run_dir}", *QUICK) == []
    expected = [
        unit
        for epoch in range(4)
        for unit in (
            (epoch, "ty_classifier", "digit"),
            (epoch, "ty_classifier", "source"),
            (epoch, "xt_noisy_channel/1", "source"),
        )
    ]
    assert units(run_dir) == sorted(expected)
    frame = pd.read_csv(run_dir / "results.csv")
    value = frame[frame["metric"] == "information"].set_index(["epoch", "protocol", "target"])["value"]
    upper = frame[frame["metric"] == "information_upper"].set_index(["epoch", "protocol", "target"])["value"]
    assert (value[upper.index] <= upper + 0.01).all()  # Monte Carlo error of both sides
    assert {"classifier"} < set(frame["protocol"])  # discriminability beside it


def test_what_is_estimated_is_not_estimated_again(run_dir, monkeypatch):
    estimate(f"run={run_dir}", *QUICK)
    before = ResultsTable(run_dir / "results.csv").rows()

    def refuse(*_, **__):
        raise AssertionError("a finished evaluation computes nothing")

    monkeypatch.setattr("ctc_lightning.evaluation.evaluator.measure", refuse)
    monkeypatch.setattr("ctc_lightning.evaluation.measurement.extract_features", refuse)
    assert estimate(f"run={run_dir}", *QUICK) == []
    assert ResultsTable(run_dir / "results.csv").rows() == before


def test_no_training_image_is_looked_at(run_dir):
    """Those of ImageNet are a long forward pass for each checkpoint."""
    assert estimate(f"run={run_dir}", *QUICK) == []
    assert len(list((run_dir / "features").iterdir())) == 2 * 4  # test, and val for the source accuracy


def test_a_further_noise_adds_rows_and_takes_none_away(run_dir):
    alone = ["estimator@xt=[noisy_channel]", "estimator@ty=[]"]
    estimate(f"run={run_dir}", *alone)
    estimate(f"run={run_dir}", *alone, "noise=[1,2]")
    frame = pd.read_csv(run_dir / "results.csv")
    value = frame[frame["metric"] == "information"].pivot(index="epoch", columns="protocol", values="value")
    assert list(value.columns) == ["xt_noisy_channel/1", "xt_noisy_channel/2"]
    assert (value["xt_noisy_channel/2"] < value["xt_noisy_channel/1"]).all()  # more noise tells less


def test_an_estimator_of_pixels_names_them_in_its_row(run_dir):
    overrides = ["estimator@xt=[gaussian]", "estimator@ty=[]", "input_view=projection", "input_view.dims=4"]
    estimate(f"run={run_dir}", *overrides)
    rows = [row for row in ResultsTable(run_dir / "results.csv").rows() if row.metric == "information"]
    assert {row.protocol for row in rows} == {"xt_gaussian/projection4/1"}
    assert all(row.chosen == "x=Projection; dims=4; seed=0; noise=1.0; folds=3" for row in rows)


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        (
            ["estimator@ty=[noisy_channel]"],
            "needs noise on y, and classes have none; choose it with estimator@xt",
        ),
        (["estimator@ty=[gaussian]"], "one-hot classes sum to 1; leave 0 out of its shrinkages"),
        (["estimator@xt=[classifier]"], "asks about images; choose it with estimator@ty"),
        (["noise=[1,0]"], "needs noise on the features, and noise is 0; set noise=0.5"),
        (
            ["input_view=encoder", "estimator@xt=[mine]", "input_view.pretrained=true"],
            "has no published weights",
        ),
        (["input_view=encoder", "input_view.backbone=cifar/resnet9"], "there is no backbone 'cifar/resnet9'"),
        (["data_defaults.val_share=-0.5"], "data_defaults: val_share is -0.5; it must be at least 0"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_estimated(overrides, reason, run_dir):
    with pytest.raises((ValueError, InstantiationException), match=re.escape(reason)):
        estimate(f"run={run_dir}", *overrides)
    assert not (run_dir / "features").exists()


def test_what_is_asked_wrongly(run_dir):
    with pytest.raises(ValueError, match="there is no estimator; choose some"):
        estimate(f"run={run_dir}", "estimator@xt=[]", "estimator@ty=[]")
    for wrong in ("abc", "null", "[]", "[1,abc]"):
        with pytest.raises(ValueError, match="it must be a number, or a list of some"):
            estimate(f"run={run_dir}", f"noise={wrong}")
    with pytest.raises(ValueError, match="max_images is None; it must be a whole number"):
        estimate(f"run={run_dir}", "max_images=null")
    with pytest.raises(ValueError, match=r"folds is 3\.5; it must be a whole number"):
        estimate(f"run={run_dir}", "folds=3.5")


def test_the_command_on_a_run(run_dir):
    done = programs.run("information", f"run={run_dir}", *QUICK, cwd=run_dir.parent)
    assert done.returncode == 0, done.stderr
    assert "xt_noisy_channel/1" in done.stdout
    done = programs.run("information", f"run={run_dir}", "estimator@xt=[guess]", cwd=run_dir.parent)
    assert done.returncode == 2
    assert done.stderr.startswith("error: estimator=guess does not exist; choose one of classifier, gaussian")


def test_the_former_subcommand_names_its_replacement(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["information", "calibrate"])
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")  # restored afterwards
    with pytest.raises(SystemExit, match="2"):
        main()
    assert "run `make calibrate` in a checkout" in capsys.readouterr().err
