"""Objectives are validation numbers of the last epoch, and are refused where nobody measures them."""

import json

import pytest
from omegaconf import OmegaConf

from ctc_lightning.evaluation.results import ResultsTable, Row
from ctc_lightning.sweep.objectives import (
    check_objectives,
    final_objectives,
    forget_objectives,
    read_objectives,
)


def rows(epoch, values):
    """``values``: (protocol, target) -> validation accuracy; on test everything is 1."""
    where = ("run", "ctc", 0, epoch, epoch)
    found = []
    for (protocol, target), value in values.items():
        found += [
            Row(*where, protocol, target, "top1", 1.0),
            Row(*where, protocol, target, "val_top1", value),
        ]
    return found


@pytest.fixture
def table(tmp_path):
    return ResultsTable(tmp_path / "results.csv")


def test_transfer_is_the_mean_over_targets_of_the_headline_on_validation(table, tmp_path):
    table.put(rows(0, {("classifier", "source"): 0.2, ("whitened", "hue"): 0.9, ("whitened", "fine"): 0.9}))
    last = {("classifier", "source"): 0.7, ("knn", "hue"): 0.1, ("knn", "fine"): 0.1}
    last |= {("whitened", "hue"): 0.25, ("whitened", "fine"): 0.5}
    table.put(rows(3, last))
    assert final_objectives(["source", "transfer"], 0.7, tmp_path) == (0.7, 0.375)
    assert final_objectives(["transfer", "source"], 0.7, tmp_path) == (0.375, 0.7)


def test_another_probe_stands_in_for_the_headline(table, tmp_path):
    table.put(rows(3, {("classifier", "source"): 0.7, ("knn", "hue"): 0.25, ("knn", "fine"): 0.5}))
    assert final_objectives(["transfer"], 0.7, tmp_path) == (0.375,)


def test_a_target_that_failed_is_no_objective(table, tmp_path):
    table.put(rows(3, {("whitened", "hue"): 0.25}))
    table.put([Row("run", "ctc", 0, 3, 3, "whitened", "pets", "failed", float("nan"), note="no images")])
    with pytest.raises(ValueError, match="whitened on pets was not measured: no images"):
        final_objectives(["source", "transfer"], 0.7, tmp_path)
    assert read_objectives(["source"], tmp_path) is None


def test_what_was_written_is_read_back_as_long_as_the_training_is_over(table, tmp_path):
    table.put(rows(3, {("whitened", "hue"): 1 / 3}))
    values = final_objectives(["source", "transfer"], 0.1 + 0.2, tmp_path)
    assert read_objectives(["transfer", "source"], tmp_path) == values[::-1]
    assert json.loads((tmp_path / "objectives.json").read_text()) == {"source": 0.1 + 0.2, "transfer": 1 / 3}
    forget_objectives(tmp_path)
    assert read_objectives(["source"], tmp_path) is None


def test_other_objectives_than_were_written_are_not_known(tmp_path):
    final_objectives(["source"], 0.5, tmp_path / "new")
    assert read_objectives(["source"], tmp_path / "new") == (0.5,)
    assert read_objectives(["source", "transfer"], tmp_path / "new") is None


def test_no_validation_images_is_no_objective(tmp_path):
    final_objectives(["source"], float("nan"), tmp_path)
    assert read_objectives(["source"], tmp_path) is None


@pytest.mark.parametrize("names", [[], "source", ["source", "source"], ["test"], None])
def test_what_is_no_list_of_objectives_is_refused(names):
    with pytest.raises(ValueError, match="give a list of source and transfer"):
        check_objectives(OmegaConf.create({"objectives": names, "callbacks": {"transfer_probe": {"n": 1}}}))


@pytest.mark.parametrize("callbacks", [None, {"transfer_probe": None}, {}])
def test_transfer_needs_its_probe(callbacks):
    with pytest.raises(ValueError, match=r"transfer_probe is null; put it back, or set objectives="):
        check_objectives(OmegaConf.create({"objectives": ["transfer"], "callbacks": callbacks}))
    check_objectives(OmegaConf.create({"objectives": ["source"], "callbacks": callbacks}))
