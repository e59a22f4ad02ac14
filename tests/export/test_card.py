"""The model card says what the network is, how it came about and what it can do, and no secrets."""

import json
import re

import pytest
import yaml

from ctc_lightning import __version__
from ctc_lightning.evaluation.results import ResultsTable, Row

RECORD = {
    "commit": "abc1234",
    "hardware": "1 × cpu (2 cores, x86_64)",
    "python": "3.12.1",
    "versions": {"torch": "2.6.0"},
    "data": {"images": {"train": 80, "val": 10, "test": 20}},
    "command": ["train.py", "data.root=/home/someone/pictures"],
}


def row(epoch, target, metric, value, *, protocol="knn", low=float("nan"), high=float("nan")):
    return Row("run", "ctc_queue", 3, epoch, 11 * epoch, protocol, target, metric, value, low, high, n=20)


@pytest.fixture
def source(checkpoint):
    """A checkpoint of epoch 4 in a run with its records."""
    made = checkpoint("cifar/resnet8")
    run_dir = made.file.parents[1]
    (run_dir / "provenance.json").write_text(json.dumps(RECORD))
    ResultsTable(run_dir / "results.csv").put(
        [
            row(3, "hue", "top1", 0.3333, low=0.3, high=0.4),
            row(3, "hue", "val_top1", 0.3),
            row(4, "hue", "top1", 0.4444, low=0.4, high=0.5),
            row(4, "hue", "val_top1", 0.41),
            row(4, "hue", "ece", 0.0123, low=0.01, high=0.02),
            row(4, "dtd", "5way1shot", 0.5555, protocol="few_shot", low=0.5, high=0.6),
            row(4, "hue", "logme", 1.2345, protocol="scores"),
            row(4, "svhn", "failed", float("nan")),
        ]
    )
    return made


def card_of(folder):
    return (folder / "README.md").read_text()


def table_of(card):
    return [
        [cell.strip() for cell in line.strip("|").split("|")] for line in card.splitlines() if line[:1] == "|"
    ][2:]


def test_the_figures_are_those_of_the_checkpoint_s_epoch(source, exported):
    assert table_of(card_of(exported(source, "safetensors"))) == [
        ["hue", "knn", "top1", "0.4444", "0.4000–0.5000", "20"],
        ["dtd", "few_shot", "5way1shot", "0.5555", "0.5000–0.6000", "20"],
    ]


def test_without_figures_the_card_says_how_to_measure_them(checkpoint, exported):
    card = card_of(exported(checkpoint("cifar/resnet8"), "safetensors"))
    assert not table_of(card)
    assert "None were measured at epoch 4, step 44; `python -m ctc_lightning.transfer checkpoint=" in card


def test_what_was_saved_within_an_epoch_has_none_of_the_figures_of_the_epoch_before(
    source, checkpoint, exported
):
    """The run's records are there, but it has trained on since."""
    card = card_of(exported(checkpoint("cifar/resnet8", steps_since=2), "safetensors"))
    assert not table_of(card)
    assert "None: they are of whole epochs, and this is step 46, within epoch 5." in card
    assert "within epoch 5 of 7, 46 optimizer steps" in card


def test_it_says_how_the_network_came_about(source, exported):
    card = card_of(exported(source, "safetensors"))
    for fact in (
        "Method: ctc_queue, seed 3",
        "epoch 4 of 7, 44 optimizer steps",
        "Images: train 80, val 10, test 20",
        "Commit: abc1234",
        "Hardware: 1 × cpu",
        "torch 2.6.0, python 3.12.1",
        f"Exported by: ctc-lightning {__version__}",
    ):
        assert fact in card


def test_a_lone_file_has_no_records(checkpoint, exported, tmp_path):
    source = checkpoint("cifar/resnet8")
    alone = source._replace(file=source.file.rename(tmp_path / "alone.ckpt"))
    folder = exported(alone, "safetensors")
    assert folder == tmp_path / "export" / "alone_safetensors"
    assert "Commit: not recorded" in card_of(folder)


def test_damaged_records_count_as_none(source, exported):
    (source.file.parents[1] / "provenance.json").write_text("{")
    assert "Commit: not recorded" in card_of(exported(source, "safetensors"))


def test_the_configuration_is_in_it_without_the_places_of_a_machine(checkpoint, exported, tmp_path):
    source = checkpoint("timm/mobilenetv3_small_050")
    folder = exported(source, "safetensors")
    card = card_of(folder)
    (block,) = re.findall(r"```yaml\n(.*?)```", card, flags=re.DOTALL)
    config = yaml.safe_load(block)
    assert config["network"]["backbone"] == "timm/mobilenetv3_small_050"
    assert config["data"] == {"name": "pets", "crop_share": 0.875}
    assert "paths" not in config
    assert str(tmp_path) not in card
    assert "secret" not in card


def test_weights_that_it_began_with_are_named_without_their_folder(checkpoint, exported, tmp_path):
    from safetensors.torch import save_file

    file = tmp_path / "secret" / "begun.safetensors"
    file.parent.mkdir()
    save_file(checkpoint("cifar/resnet8").network.backbone.state_dict(), file)
    card = card_of(exported(checkpoint("cifar/resnet8", pretrained=str(file)), "safetensors"))
    assert "begun.safetensors" in card
    assert str(file.parent) not in card


def test_the_hub_reads_its_head(checkpoint, exported):
    source = checkpoint("timm/mobilenetv3_small_050")
    heads = {}
    for classifier in (False, True):
        folder = exported(source, "timm", f"classifier={classifier}", "overwrite=true", "license=cc-by-4.0")
        heads[classifier] = yaml.safe_load(card_of(folder).split("---")[1])
    assert heads[False]["library_name"] == "timm"
    assert heads[False]["license"] == "cc-by-4.0"
    assert heads[False]["tags"][0] == "image-feature-extraction"
    assert heads[True]["tags"][0] == "image-classification"


def test_no_licence_is_invented(checkpoint, exported):
    card = card_of(exported(checkpoint("cifar/resnet8"), "safetensors"))
    assert "license" not in yaml.safe_load(card.split("---")[1])
    assert "None has been chosen" in card
    assert "the terms of `pets`" in card


def test_the_input_and_the_classes_are_in_it(checkpoint, exported):
    source = checkpoint("cifar/resnet8")
    card = card_of(exported(source, "safetensors"))
    assert "3 × 32 × 32" in card
    assert "Shorter side to 36 pixels, bilinear" in card  # 32 / 0.875
    assert "mean: 0.4, 0.5, 0.6." in card
    assert "standard deviation: 0.2, 0.3, 0.4." in card
    assert ", ".join(f"{number} {name}" for number, name in enumerate(source.classes)) in card


def test_the_files_it_names_are_there(checkpoint, exported):
    folder = exported(checkpoint("timm/mobilenetv3_small_050"), "timm")
    named = re.search(r"Files: (.*)\.", card_of(folder))[1].replace("`", "").split(", ")
    assert {*named, "README.md"} == {file.name for file in folder.iterdir()}
