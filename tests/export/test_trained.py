"""Which checkpoint is meant, and what of it is taken."""

import re
import shutil

import pytest
import torch

from ctc_lightning.export.trained import find_checkpoint, open_trained


@pytest.fixture
def run_dir(tmp_path):
    folder = tmp_path / "run"
    (folder / "checkpoints").mkdir(parents=True)
    for name in ("last", "best", "epoch_003", "stage_temporal"):
        (folder / "checkpoints" / f"{name}.ckpt").touch()
    return folder


@pytest.mark.parametrize(
    ("which", "name"),
    [
        (None, "last"),
        ("last", "last"),
        ("best", "best"),
        (3, "epoch_003"),
        ("stage_temporal", "stage_temporal"),
    ],
)
def test_of_a_run_one_is_chosen(which, name, run_dir):
    assert find_checkpoint(run_dir, which) == run_dir / "checkpoints" / f"{name}.ckpt"


def test_what_a_run_does_not_have_is_listed(run_dir):
    with pytest.raises(
        ValueError, match="has no checkpoint epoch_004; choose which= of best, epoch_003, last, stage"
    ):
        find_checkpoint(run_dir, 4)


def test_a_folder_without_checkpoints_and_a_choice_of_a_file_are_refused(run_dir, tmp_path):
    with pytest.raises(ValueError, match=re.escape(f"checkpoint={tmp_path} holds no checkpoints/*.ckpt")):
        find_checkpoint(tmp_path, None)
    with pytest.raises(ValueError, match="which=best has no effect"):
        find_checkpoint(run_dir / "checkpoints" / "last.ckpt", "best")


def change(file, **entries):
    content = torch.load(file, weights_only=True)
    torch.save(content | entries, file)


def test_names_of_another_number_of_classes_are_refused(checkpoint):
    source = checkpoint("cifar/resnet8")
    change(source.file, classes=["ant", "bee"])
    with pytest.raises(ValueError, match="names 2 classes and its classifier has 5; export another"):
        open_trained(source.file, classifier=True, trust=False)


def test_no_checkpoint_one_of_others_and_one_without_a_classifier_are_one_sentence(checkpoint, tmp_path):
    source = checkpoint("cifar/resnet8")
    state = torch.load(source.file, weights_only=True)["state_dict"]
    headless = shutil.copy(source.file, tmp_path / "headless.ckpt")
    change(headless, state_dict={n: w for n, w in state.items() if "classifier" not in n})
    old = shutil.copy(source.file, tmp_path / "old.ckpt")
    change(old, input=None)
    others = tmp_path / "others.pth"
    torch.save({"fc.weight": torch.zeros(2, 2)}, others)
    text = tmp_path / "text.ckpt"
    text.write_text("<html>")
    for file, message in {
        tmp_path / "nowhere.ckpt": "does not exist",
        text: "no complete checkpoint",
        others: r"was not written by ctc_lightning\.train",
        headless: "holds no classifier",
        old: "does not say what images it expects",
    }.items():
        with pytest.raises(ValueError, match=message):
            open_trained(file, classifier=True, trust=False)


def test_code_from_elsewhere_needs_trust(checkpoint):
    source = checkpoint("cifar/resnet8")
    config = torch.load(source.file, weights_only=True)["config"]
    config["network"]["_target_"] = "os.system"
    change(source.file, config=config)
    with pytest.raises(ValueError, match=r"would run os\.system"):
        open_trained(source.file, classifier=False, trust=False)


def test_random_numbers_are_left_alone(checkpoint):
    source = checkpoint("cifar/resnet8")
    before = torch.get_rng_state()
    trained = open_trained(source.file, classifier=False, trust=False)
    assert torch.equal(trained.images(), trained.images())
    assert torch.equal(torch.get_rng_state(), before)
