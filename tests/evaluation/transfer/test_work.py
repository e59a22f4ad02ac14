"""The work: complete, never done twice, shared, and unharmed by what fails."""

import json
import shutil
import signal
import time
from types import SimpleNamespace

import pandas as pd
import pytest
import torch
from filelock import FileLock
from hydra import compose, initialize_config_dir

import programs
from ctc_lightning.analysis import load_runs
from ctc_lightning.analysis.frames.trade_off import curves
from ctc_lightning.cli.configuration import config_dir
from ctc_lightning.data import Digits
from ctc_lightning.evaluation.results import FAILED, NO_EPOCH, ResultsTable
from ctc_lightning.evaluation.sources import _own_data
from ctc_lightning.networks import create_backbone
from ctc_lightning.training.training_lock import is_in_training, training_lock
from ctc_lightning.transfer import transfer

WHITENED = ["protocol=whitened"]


def evaluate(*overrides):
    """In this process; returns the failures."""
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        return transfer(compose("transfer", [*overrides, "paths.root=/nowhere"]))


def rows(run_dir):
    return ResultsTable(run_dir / "results.csv").rows()


def measured(run_dir):
    """(epoch, protocol, target) of all test accuracies."""
    return sorted(row.unit for row in rows(run_dir) if row.metric == "top1")


@pytest.fixture(scope="session")
def evaluated(trained, tmp_path_factory):
    """The run after one evaluation, for all tests that begin with it."""
    folder = shutil.copytree(trained, tmp_path_factory.mktemp("evaluated") / "ce")
    assert evaluate(f"run={folder}", *WHITENED) == []
    return folder


@pytest.fixture
def evaluated_run(evaluated, tmp_path):
    """A copy of one's own of it."""
    return shutil.copytree(evaluated, tmp_path / "ce")


def first_weight(content):
    return next(w for name, w in content["state_dict"].items() if name.startswith("network.backbone."))


ALL = sorted(
    [(epoch, "whitened", "digit") for epoch in range(4)] + [(e, "classifier", "source") for e in range(4)]
)


def test_what_needs_no_labels_meets_images_once_where_the_source_is_not_measured_too(run_dir, monkeypatch):
    """The label ``digit`` is of the source's images, which this protocol has not seen before."""
    monkeypatch.setattr("ctc_lightning.evaluation.protocol.Protocol.needs_labels", False)
    assert evaluate(f"run={run_dir}", *WHITENED) == []
    assert measured(run_dir) == ALL


def test_every_checkpoint_once_on_every_label_of_its_own_and_its_source(evaluated):
    assert measured(evaluated) == ALL
    frame = pd.read_csv(evaluated / "results.csv")
    tested = frame[frame["metric"] == "top1"]
    assert set(tested["n"]) == {100}
    assert (tested["low"] <= tested["value"]).all()
    assert (tested["value"] <= tested["high"]).all()
    assert (frame["method"] == "ce").all()
    assert set(frame["step"] / frame["epoch"].replace(0, 1)) == {0, 3}


def test_probes_measure_the_source_where_it_is_asked_for_and_it_counts_as_no_transfer(run_dir):
    """Once by each protocol, also one that measures it unasked, and beside the network's own classifier."""
    assert evaluate(f"run={run_dir}", "target=[own,digits/source]", "protocol=[whitened,geometry]") == []
    assert measured(run_dir) == sorted([*ALL, *((epoch, "whitened", "source") for epoch in range(4))])
    found = [row[:8] for row in rows(run_dir)]
    assert len(set(found)) == len(found)
    shown = curves(load_runs([run_dir]))
    assert set(zip(shown["protocol"], shown["target"], strict=True)) == {
        ("classifier", "source"),
        ("whitened", "digit"),
    }


@pytest.mark.parametrize(("protocol", "idle"), [("[whitened,geometry]", True), ("geometry", False)])
def test_a_run_without_further_labels_says_what_was_not_measured(
    protocol, idle, run_dir, caplog, monkeypatch
):
    monkeypatch.setattr(Digits, "targets", {})
    assert evaluate(f"run={run_dir}", f"protocol={protocol}") == []
    said = "whitened measured nothing: data=digits has no label but source, which the run was trained on;"
    assert caplog.text.count(said) == idle
    assert ("measured nothing" in caplog.text) == idle


def test_what_is_measured_is_not_measured_again(evaluated_run, monkeypatch):
    before = rows(evaluated_run)

    def refuse(*_, **__):
        raise AssertionError("a finished evaluation computes nothing")

    monkeypatch.setattr("ctc_lightning.evaluation.evaluator.measure", refuse)
    monkeypatch.setattr("ctc_lightning.evaluation.measurement.extract_features", refuse)
    assert evaluate(f"run={evaluated_run}", *WHITENED) == []
    assert rows(evaluated_run) == before


def test_another_protocol_uses_the_features_that_were_kept(evaluated_run, monkeypatch):

    def refuse(*_, **__):
        raise AssertionError("features are on disk")

    monkeypatch.setattr("ctc_lightning.evaluation.measurement.extract_features", refuse)
    assert evaluate(f"run={evaluated_run}", "protocol=standardised") == []
    assert {row.protocol for row in rows(evaluated_run)} == {"classifier", "whitened", "standardised"}


def chosen(rows):
    return [row.chosen for row in rows if (row.protocol, row.metric) == ("whitened", "top1")]


def test_numbers_of_other_options_are_current_and_the_old_ones_stay(evaluated_run, caplog, monkeypatch):
    """And become current again when they are asked for, without another measurement."""
    other = "protocol.whitened.strengths=[1e6]"
    before = chosen(rows(evaluated_run))
    with caplog.at_level("INFO", logger="ctc_lightning"):
        evaluate(f"run={evaluated_run}", *WHITENED, other)
    assert measured(evaluated_run) == ALL
    assert chosen(rows(evaluated_run)) == ["lambda=1e+06"] * 4
    assert chosen(ResultsTable(evaluated_run / "results.csv").all_rows()) == [*before, *["lambda=1e+06"] * 4]
    assert caplog.text.count("whitened on digit: there are numbers of other settings") == 1
    monkeypatch.setattr("ctc_lightning.evaluation.evaluator.measure", None)
    for options, expected in (([], before), ([other], ["lambda=1e+06"] * 4)):
        assert evaluate(f"run={evaluated_run}", *WHITENED, *options) == []
        assert chosen(rows(evaluated_run)) == expected
        frame = load_runs([evaluated_run])
        shown = frame[(frame["protocol"] == "whitened") & (frame["metric"] == "top1")]
        assert list(shown["chosen"]) == expected


def test_another_version_of_a_protocols_code_measures_anew(evaluated_run, monkeypatch):
    before = {row.unit: row.settings for row in rows(evaluated_run)}
    monkeypatch.setattr("ctc_lightning.evaluation.LogisticRegressionProbe.version", 2)
    evaluate(f"run={evaluated_run}", *WHITENED)
    after = {row.unit: row.settings for row in rows(evaluated_run)}
    assert {unit[1] for unit in before if before[unit] != after[unit]} == {"whitened"}
    assert set(before.values()) < {
        row.settings for row in ResultsTable(evaluated_run / "results.csv").all_rows()
    }


def test_a_table_of_an_older_version_is_read_and_measured_again(evaluated_run):
    table = ResultsTable(evaluated_run / "results.csv")
    old = [row._replace(settings="of an older version", images="", value=0.0) for row in table.rows()]
    table.keep(lambda row: False)
    table.put(old)
    assert list(load_runs([evaluated_run])["value"]) == [0.0] * len(old)
    assert evaluate(f"run={evaluated_run}", *WHITENED) == []
    assert measured(evaluated_run) == ALL
    assert {row.images == "" for row in rows(evaluated_run)} == {False}
    assert set(old) < set(table.all_rows())


@pytest.fixture
def several_classes(monkeypatch):
    """Digits with a further label, of which an image may have several classes."""

    def make(self):
        sets = read(self)
        self.collection = SimpleNamespace(metric="map_11_point")
        for images in sets["source"].values():
            images.labels["several"] = torch.nn.functional.one_hot(images.labels["digit"], 10).to(torch.int8)
        return sets

    read = Digits.make
    _own_data.cache_clear()
    monkeypatch.setattr(Digits, "make", make)
    monkeypatch.setattr(Digits, "targets", {"several": "source"})
    yield
    _own_data.cache_clear()


def test_what_does_not_apply_to_several_classes_is_said_and_is_no_failure(several_classes, run_dir, caplog):
    with caplog.at_level("INFO", logger="ctc_lightning"):
        assert evaluate(f"run={run_dir}", "protocol=[whitened,few_shot,scores]", "target=several") == []
    assert {row.protocol for row in rows(run_dir)} == {"classifier", "whitened"}
    assert caplog.text.count("few_shot, scores: not applicable to several, as its images may have") == 1


def test_another_checkpoint_under_an_old_name_is_measured_anew(evaluated_run):
    path = evaluated_run / "checkpoints" / "epoch_003.ckpt"
    before = {row.unit: row.settings for row in rows(evaluated_run)}
    content = torch.load(path, weights_only=True)
    first_weight(content).mul_(2).add_(1)
    torch.save(content, path)
    evaluate(f"run={evaluated_run}", *WHITENED)
    after = {row.unit: row.settings for row in rows(evaluated_run)}
    changed = {unit for unit in before if before[unit] != after[unit]}
    assert changed == {(3, "whitened", "digit")} | ({(3, "classifier", "source")} & changed)


def test_a_single_checkpoint_of_a_run_joins_its_table(run_dir):
    evaluate(f"checkpoint={run_dir}/checkpoints/epoch_002.ckpt", *WHITENED)
    assert {unit[0] for unit in measured(run_dir)} == {2}


@pytest.mark.parametrize("whole", [True, False], ids=["beside epoch 1", "without epoch 1"])
def test_what_was_saved_within_an_epoch_is_left_out_of_the_runs_table(whole, stopped, caplog):
    """It is neither the epoch before, whatever else is there of it, nor a failure."""
    run_dir = stopped(1, 1)
    if not whole:
        for name in ("epoch_001", "best"):
            (run_dir / "checkpoints" / f"{name}.ckpt").unlink()
    with caplog.at_level("INFO", logger="ctc_lightning"):
        assert evaluate(f"run={run_dir}", *WHITENED) == []
    said = "left out: last.ckpt was saved at step 4, within epoch 2, and results are of whole epochs;"
    assert caplog.text.count(said) == 1
    epochs = [0, 1] if whole else [0]
    assert {(row.epoch, row.step) for row in rows(run_dir)} == {(epoch, 3 * epoch) for epoch in epochs}


def test_what_was_saved_within_an_epoch_is_measured_by_itself(stopped, tmp_path):
    run_dir = stopped(1, 1)
    evaluate(f"run={run_dir}", *WHITENED)
    before = rows(run_dir)
    last = f"checkpoint={run_dir}/checkpoints/last.ckpt"
    refused = (
        "was saved at step 4, within epoch 2, and the run's results.csv is of whole epochs; set output=FOLDER"
    )
    for output in ([], [f"output={run_dir}"]):
        with pytest.raises(ValueError, match=refused):
            evaluate(last, *output, *WHITENED)
    assert evaluate(last, f"output={tmp_path}/out", *WHITENED) == []
    assert {(row.epoch, row.step) for row in rows(tmp_path / "out")} == {(1, 4)}
    assert rows(run_dir) == before


def test_a_checkpoint_by_itself_gets_a_folder_of_its_own(run_dir, tmp_path):
    file = shutil.copy(run_dir / "checkpoints" / "epoch_002.ckpt", tmp_path / "mine.ckpt")
    evaluate(f"checkpoint={file}", *WHITENED, f"output={tmp_path}/out")
    assert {unit[0] for unit in measured(tmp_path / "out")} == {2}
    assert (tmp_path / "out" / "config.yaml").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("killed_after", [0, 2])
def test_a_killed_evaluation_goes_on_where_it_was(run_dir, killed_after):
    """SIGKILL at the start and after two moments: no lock stays, no row is lost, the end is the same."""
    process = programs.start("transfer", f"run={run_dir}", *WHITENED, cwd=run_dir.parent)
    while (
        process.poll() is None
        and len({row.epoch for row in rows(run_dir) if row.protocol == "whitened"}) < killed_after
    ):
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    kept = measured(run_dir)
    assert evaluate(f"run={run_dir}", *WHITENED) == []
    assert measured(run_dir) == ALL
    assert set(kept) <= set(ALL)


@pytest.mark.slow
def test_two_processes_share_the_work_and_lose_nothing(run_dir):
    both = [programs.start("transfer", f"run={run_dir}", *WHITENED, cwd=run_dir.parent) for _ in range(2)]
    said = [process.communicate(timeout=300) for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert measured(run_dir) == ALL


def test_what_another_process_is_at_is_left_to_it(run_dir, caplog):
    (run_dir / "locks").mkdir()
    with FileLock(run_dir / "locks" / "0002_digit.lock"), caplog.at_level("INFO", logger="ctc_lightning"):
        assert evaluate(f"run={run_dir}", *WHITENED) == []
    assert (2, "whitened", "digit") not in measured(run_dir)
    assert "1 measurements are left to other processes that are at them." in caplog.text
    evaluate(f"run={run_dir}", *WHITENED)
    assert measured(run_dir) == ALL


def test_a_half_written_checkpoint_stands_in_the_table_until_it_is_whole(run_dir):
    path = run_dir / "checkpoints" / "epoch_002.ckpt"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    (failure,) = evaluate(f"run={run_dir}", *WHITENED)
    assert (failure.epoch, failure.metric) == (2, FAILED)
    assert "half-written" in failure.note
    assert failure.note in {row.note for row in rows(run_dir)}
    assert {unit[0] for unit in measured(run_dir)} == {0, 1, 3}
    path.write_bytes(whole)
    assert evaluate(f"run={run_dir}", *WHITENED) == []
    assert measured(run_dir) == ALL
    assert FAILED not in {row.metric for row in rows(run_dir)}


def test_a_target_that_is_not_here_does_not_stop_the_others(run_dir, tmp_path, caplog):
    (failure,) = evaluate(
        f"run={run_dir}", "target=[cinic10,digit]", f"paths.data={tmp_path}/data", *WHITENED
    )
    assert failure.target == "cinic10"
    assert "does not exist; download" in failure.note
    assert str(tmp_path / "data" / "cinic10") in failure.note
    frame = pd.read_csv(run_dir / "results.csv")
    assert frame.loc[frame["metric"] == FAILED, ["epoch", "step"]].isna().all(axis=None)
    assert "epoch -1" not in caplog.text
    assert {row.epoch for row in load_runs([run_dir]).itertuples() if row.target == "cinic10"} == {NO_EPOCH}
    assert failure.note in {row.note for row in rows(run_dir)}
    assert measured(run_dir) == ALL


def test_diverged_weights_stand_in_the_table_and_other_epochs_go_on(run_dir):
    path = run_dir / "checkpoints" / "epoch_001.ckpt"
    content = torch.load(path, weights_only=True)
    first_weight(content).fill_(torch.nan)
    torch.save(content, path)
    failures = evaluate(f"run={run_dir}", *WHITENED)
    assert {(row.epoch, row.target) for row in failures} == {(1, "digit"), (1, "source")}
    assert all("features that are not finite" in row.note for row in failures)
    assert measured(run_dir) == [unit for unit in ALL if unit[0] != 1]


def test_a_backbone_by_itself_is_a_baseline(tmp_path):
    weights = create_backbone("timm/resnet18", image_channels=3)
    torch.save(weights.state_dict(), tmp_path / "weights.pt")
    out = tmp_path / "out"
    assert (
        evaluate(
            "network.backbone=timm/resnet18",
            f"network.pretrained={tmp_path}/weights.pt",
            "input.image_size=32",
            "target=digits/digit",
            "data.num_train=100",
            "data.num_test=60",
            f"output={out}",
            *WHITENED,
        )
        == []
    )
    (row,) = (row for row in rows(out) if row.metric == "top1")
    assert (row.method, row.epoch, row.target, row.n) == ("timm/resnet18, weights", 0, "digits/digit", 60)


def test_watching_waits_for_a_run_in_training(run_dir, monkeypatch):
    """The training is over when the first look is: what it wrote meanwhile is measured by the second."""
    late = run_dir / "checkpoints" / "epoch_003.ckpt"
    hidden = shutil.move(late, run_dir / "late")
    for name in ("last.ckpt", "best.ckpt", "stage_classify.ckpt"):
        (run_dir / "checkpoints" / name).unlink(missing_ok=True)
    training = training_lock(run_dir)

    def finish(seconds):
        shutil.move(hidden, late)
        training.__exit__(None, None, None)

    monkeypatch.setattr("ctc_lightning.evaluation.evaluate.time.sleep", finish)
    training.__enter__()
    assert evaluate(f"run={run_dir}", "watch=true", *WHITENED) == []
    assert measured(run_dir) == ALL


@pytest.mark.slow
def test_watching_ends_with_a_run_that_is_killed(tmp_path):
    """SIGKILL leaves "running" in provenance.json, but no lock."""
    run_dir = tmp_path / "run"
    endless = ["experiment=digits_ce", "trainer.max_epochs=100000", "callbacks.transfer_probe=null"]
    training = programs.start("train", *endless, f"hydra.run.dir={run_dir}", cwd=tmp_path)
    while training.poll() is None and not list(run_dir.glob("checkpoints/epoch_001.ckpt")):
        time.sleep(0.05)
    assert training.poll() is None, training.communicate()
    assert is_in_training(run_dir)
    training.send_signal(signal.SIGKILL)
    training.communicate()
    assert json.loads((run_dir / "provenance.json").read_text())["status"] == "running"
    watching = programs.run("transfer", f"run={run_dir}", "watch=true", *WHITENED, cwd=tmp_path)
    assert watching.returncode == 0, watching.stderr
    assert "is no longer in training and has not finished; resume it" in watching.stdout + watching.stderr
    assert (1, "whitened", "digit") in measured(run_dir)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "there is nothing to evaluate; give exactly one of run="),
        (["run=x", "checkpoint=y"], "there is run and checkpoint to evaluate"),
        (["run=nowhere"], "run=nowhere does not exist; give a run directory"),
        (["checkpoint=nowhere.ckpt"], "nowhere.ckpt does not exist; name a .ckpt file"),
        (["network.backbone=cifar/resnet8"], "has no published weights"),
        (["run=nowhere", "protocol=[]"], "there is no protocol; choose some"),
        (["run=nowhere", "device=gpu"], "device=gpu cannot be used"),
        (["run=nowhere", "input.image_size=32"], "input.image_size has no effect with run="),
        (["run=nowhere", "output=here"], "output has no effect with run="),
        (["checkpoint=nowhere.ckpt", "watch=true"], "watch has no effect with checkpoint="),
        (["network.backbone=timm/resnet18"], "there is no target: a plain backbone has no labels of its own"),
    ],
)
def test_bad_input_is_one_sentence(arguments, sentence, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=sentence):
        evaluate(*arguments)


def test_the_command_tells_what_it_measured_and_fails_with_one_sentence(run_dir):
    done = programs.run("transfer", f"run={run_dir}", *WHITENED, cwd=run_dir.parent)
    assert done.returncode == 0, done.stderr
    assert "ce, seed 0, epoch 3/3: whitened: source" in done.stdout
    assert f"All numbers: {run_dir}/results.csv" in done.stdout
    done = programs.run("transfer", f"run={run_dir}", "target=digitt", cwd=run_dir.parent)
    assert done.returncode == 2
    assert done.stderr.startswith("error: there is no target digitt; did you mean digit or digits?")
    assert len(done.stderr.strip().splitlines()) == 1


def test_one_run_that_cannot_be_evaluated_does_not_stop_the_others(run_dir, tmp_path):
    """Its configuration asks for more training images than there are."""
    broken = shutil.copytree(run_dir, tmp_path / "broken")
    for path in (broken / "checkpoints").glob("*.ckpt"):
        content = torch.load(path, weights_only=True)
        content["config"]["data"]["num_train"] = 10**6
        torch.save(content, path)
    (failure,) = evaluate(f"run=[{broken},{run_dir}]", *WHITENED)
    assert "must be at most" in failure.note
    assert failure.note in {row.note for row in rows(broken)}
    assert measured(run_dir) == ALL


def test_a_broken_first_checkpoint_costs_the_others_only_what_compares_to_it(run_dir):
    path = run_dir / "checkpoints" / "epoch_000.ckpt"
    content = torch.load(path, weights_only=True)
    content["state_dict"] = {k: w for k, w in content["state_dict"].items() if "bn" not in k or "num" in k}
    torch.save(content, path)
    failures = evaluate(f"run={run_dir}", "protocol=[whitened,geometry]")
    assert {row.metric for row in failures} == {FAILED}
    assert [unit for unit in measured(run_dir) if unit[1] == "classifier"] == [
        (epoch, "classifier", "source") for epoch in (1, 2, 3)
    ]


def test_the_source_accuracy_is_of_these_weights(evaluated_run):
    path = evaluated_run / "checkpoints" / "epoch_003.ckpt"
    content = torch.load(path, weights_only=True)
    for name in ("weight", "bias"):
        content["state_dict"][f"network.classifier.{name}"].neg_()
    before = {
        row.epoch: row.value for row in rows(evaluated_run) if (row.target, row.metric) == ("source", "top1")
    }
    torch.save(content, path)
    evaluate(f"run={evaluated_run}", *WHITENED)
    after = {
        row.epoch: row.value for row in rows(evaluated_run) if (row.target, row.metric) == ("source", "top1")
    }
    assert after[3] == pytest.approx(1 - before[3])  # two classes
    assert after[2] == before[2]
