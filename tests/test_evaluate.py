"""`ctc_lightning.evaluate`: the numbers of ``transfer``, and nothing of the caller's is changed."""

import copy
import random
import shutil

import numpy as np
import pandas as pd
import pytest
import pytorch_lightning as pl
import torch
from hydra import compose, initialize_config_dir
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from ctc_lightning import CTCModule, evaluate, load_data
from ctc_lightning.cli.configuration import config_dir
from ctc_lightning.evaluation.results import ResultsTable
from ctc_lightning.export.command import export
from ctc_lightning.train import train
from ctc_lightning.transfer import transfer

SIZES = {"num_train": 200, "num_val": 60, "num_test": 100}
PROTOCOLS = {"whitened": {"strengths": [1.0, 0.1]}, "knn": {"neighbours": [1, 5]}}
WORDS = ["protocol=[whitened,knn]", "protocol.whitened.strengths=[1.0,0.1]", "protocol.knn.neighbours=[1,5]"]
KEY = ["epoch", "step", "protocol", "target", "metric"]
SAME = ["value", "low", "high", "n", "chosen", "settings", "images"]


def composed(config, *words):
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        return compose(config, list(words))


@pytest.fixture(scope="module")
def of_transfer(tmp_path_factory):
    """A run of two epochs as it was trained, and the table that ``transfer`` writes for it."""
    folder = tmp_path_factory.mktemp("runs")
    sizes = [f"data.{name}={size}" for name, size in SIZES.items()]
    quiet = ["trainer.enable_progress_bar=false", "callbacks.transfer_probe=null"]
    run_dir = f"paths.run_dir={folder / 'trained'}"
    train(composed("train", "experiment=digits_ce", "trainer.max_epochs=2", *sizes, *quiet, run_dir))
    shutil.copytree(folder / "trained", folder / "measured")
    words = [f"run={folder / 'measured'}", "target=[own,digits/source]", *WORDS]
    assert transfer(composed("transfer", *words)) == []
    return folder / "trained", ResultsTable(folder / "measured" / "results.csv").rows()


@pytest.fixture
def run(of_transfer, tmp_path):
    return shutil.copytree(of_transfer[0], tmp_path / "measured")


@pytest.fixture
def expected(of_transfer):
    return pd.DataFrame(of_transfer[1])


@pytest.fixture
def digit():
    """The run's images with their other label."""
    return load_data("digits", source_label="digit", **SIZES)


def last(run):
    return run / "checkpoints" / "last.ckpt"


def assert_same(table, expected, columns=SAME):
    left, right = (frame.sort_values(KEY).reset_index(drop=True) for frame in (table, expected))
    pd.testing.assert_frame_equal(left[[*KEY, *columns]], right[[*KEY, *columns]], check_dtype=False)


def assert_values(table, expected):
    """The numbers of one checkpoint; a module does not know which epoch it is of."""
    columns = ["protocol", "metric", "value", "low", "high", "n", "chosen"]
    left, right = (frame[columns].sort_values(columns[:2]) for frame in (table, expected))
    pd.testing.assert_frame_equal(left.reset_index(drop=True), right.reset_index(drop=True))


def at_the_end(expected, target="digit"):
    return expected[(expected.epoch == 2) & (expected.target == target)]


class Features(nn.Module):
    """(B, C, H, W) to (B, 12), without saying so."""

    def __init__(self, channels=1):
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Conv2d(channels, 12, 3), nn.BatchNorm2d(12), nn.Dropout(0.5))

    def forward(self, images):
        return self.layers(images).mean((2, 3))


# --------------------------------------------------------------------------- the numbers of transfer


def test_of_a_run_the_table_is_that_of_transfer(run, expected):
    table = evaluate(run, ["own", "digits/source"], PROTOCOLS)
    assert list(table.columns) == list(ResultsTable(run / "results.csv").rows()[0]._fields)
    assert_same(table, expected)
    assert_same(pd.DataFrame(ResultsTable(run / "results.csv").rows()), expected)


def test_nothing_is_measured_twice(run, expected, monkeypatch):
    evaluate(run, protocols=PROTOCOLS)
    monkeypatch.setattr("ctc_lightning.evaluation.protocol.ClassifierProtocol.measure", None)
    again = evaluate(run, protocols=PROTOCOLS)
    assert_same(again[again.target == "digit"], expected[expected.target == "digit"])


def test_the_table_holds_what_was_asked_for(run):
    evaluate(run, protocols=PROTOCOLS)
    table = evaluate(last(run), "digits/source", {"knn": PROTOCOLS["knn"]})
    assert set(table.protocol) == {"knn", "classifier"}
    assert set(table.target) == {"source"}
    assert set(table.epoch) == {2}


def test_a_loaded_module_has_the_numbers_and_digests_of_its_checkpoint(run, expected, digit):
    module = CTCModule.load_from_checkpoint(last(run))
    table = evaluate(module, {"digit": digit}, PROTOCOLS)
    assert_values(table, at_the_end(expected))
    assert table.settings.tolist() == at_the_end(expected).settings.tolist()
    assert table.images.tolist() == at_the_end(expected).images.tolist()


def test_a_trained_module_is_shown_images_as_in_its_training(digit):
    data = load_data("digits", **SIZES)
    data.setup()
    module = CTCModule.from_preset("ce", backbone="cifar/resnet8", num_classes=2, image_channels=1)
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = pl.Trainer(max_epochs=1, accelerator="cpu", enable_checkpointing=False, **quiet)
    trainer.fit(module, data)
    other = load_data("digits", source_label="digit", **SIZES | {"num_train": 150})
    other.setup()
    statistics = other.network_input
    shape = data.network_input
    options = {"image_size": 8, "mean": list(shape.mean), "std": list(shape.std)}
    assert statistics != shape
    attached = evaluate(module, other, {"knn": PROTOCOLS["knn"]})
    assert_values(attached, evaluate(module.backbone, other, {"knn": PROTOCOLS["knn"]}, **options))
    assert other.network_input == statistics, "the caller's data module is not changed"
    assert set(attached.epoch) == {1}


@pytest.mark.parametrize("target", ["data module", "tensors"])
def test_of_a_run_ones_own_images_are_measured_too(target, run, expected, digit):
    digit.setup()
    images = digit.image_sets["source"]
    if target == "tensors":
        digit = tuple(
            (images[split].image, images[split].labels["digit"]) for split in ("train", "val", "test")
        )
    table = evaluate(last(run), {"mine": digit}, PROTOCOLS)
    assert_values(table[table.target == "mine"], at_the_end(expected))


def test_an_exported_folder_has_the_numbers_of_its_checkpoint(run, expected, digit, tmp_path):
    words = [f"checkpoint={last(run)}", "format=safetensors", f"output={tmp_path / 'exported'}"]
    place = export(composed("export", *words), "safetensors")
    assert_values(evaluate(place, {"digit": digit}, PROTOCOLS), at_the_end(expected))


# ------------------------------------------------------------------------------ what is left as it is


def state():
    return torch.get_rng_state().tolist(), str(np.random.get_state()), random.getstate()  # noqa: NPY002


@pytest.mark.parametrize("training", [True, False])
def test_module_and_random_state_are_as_before(training, digit):
    network = Features().train(training)
    network.layers[1].eval()
    modes = [module.training for module in network.modules()]
    weights, known, before = copy.deepcopy(network.state_dict()), set(vars(network)), state()
    tuned = {"learning_rates": [0.1], "step_decays": [0.0], "steps": 3}
    evaluate(network, digit, PROTOCOLS | {"finetune": tuned})
    assert state() == before
    assert [module.training for module in network.modules()] == modes
    torch.testing.assert_close(network.state_dict(), weights, rtol=0, atol=0)
    assert set(vars(network)) == known


def test_output_keeps_the_results(digit, tmp_path):
    table = evaluate(Features(), digit, PROTOCOLS, output=tmp_path / "kept")
    kept = ResultsTable(tmp_path / "kept" / "results.csv").rows()
    assert_same(table, pd.DataFrame(kept))
    assert list((tmp_path / "kept" / "features").iterdir())


def test_ones_own_hydra_program_is_left_alone(digit, tmp_path):
    (tmp_path / "mine.yaml").write_text("a: 1\n")
    with initialize_config_dir(str(tmp_path), version_base="1.3"):
        evaluate(Features(), digit, "knn")
        assert compose("mine").a == 1


# ---------------------------------------------------------------------------------------- the targets


def tensors(num=90, size=8):
    generator = torch.Generator().manual_seed(0)
    return torch.rand(num, 1, size, size, generator=generator), torch.arange(num) % 3


def test_a_pair_gives_up_a_fifth_for_test():
    images, labels = tensors(100)
    table = evaluate(Features(), (images, labels), "knn")
    assert set(table.target) == {"images"}
    assert table[table.metric == "top1"].n.tolist() == [20]


def test_two_pairs_are_train_and_test():
    table = evaluate(Features(), (tensors(90), tensors(33)), "knn")
    assert table[table.metric == "top1"].n.tolist() == [33]


def test_floats_are_shown_as_they_are(digit):
    digit.setup()
    images = digit.image_sets["source"]
    splits = ("train", "val", "test")
    ready = tuple((digit.standardise(images[s].image), images[s].labels["digit"]) for s in splits)
    assert_values(evaluate(Features(), ready, PROTOCOLS), evaluate(Features(), digit, PROTOCOLS))


def test_several_targets_of_several_kinds(digit):
    table = evaluate(Features(), [digit, tensors(), tensors(60)], "knn")
    assert list(dict.fromkeys(table.target)) == ["digits", "images", "images_2"]


def test_anybody_s_data_module_is_read_by_its_loaders():
    class Own(pl.LightningDataModule):
        def train_dataloader(self):
            return DataLoader(TensorDataset(*tensors(90)), batch_size=16)

        def test_dataloader(self):
            return DataLoader(TensorDataset(*tensors(33)), batch_size=16)

    before = state()
    table = evaluate(Features(), {"mine": Own()}, "knn")
    assert state() == before
    assert_values(table, evaluate(Features(), (tensors(90), tensors(33)), "knn"))


def test_names_are_those_of_transfer(tmp_path):
    options = {"image_size": 8, "mean": [0.5], "std": [0.5], "num_train": 200}
    table = evaluate(Features(), "digits/digit", {"knn": {"neighbours": [1]}}, **options)
    assert set(table.target) == {"digits/digit"}
    assert table[table.metric == "top1"].chosen.str.contains("k=1").all()


def test_a_target_that_fails_is_a_row_and_the_others_are_measured():
    images, labels = tensors()
    broken = images.clone()
    broken[3] = float("nan")
    table = evaluate(Features(), {"good": (images, labels), "broken": (broken, labels)}, "knn")
    failed = table[table.metric == "failed"]
    assert failed.target.tolist() == ["broken"]
    assert "not finite" in failed.note.item()
    assert (table.target == "good").any()


FLOATS = tensors()


@pytest.mark.parametrize(
    ("network", "targets", "options", "sentence"),
    [
        (Features(), None, {}, "there is no target: a module has no labels of its own"),
        (Features(), "digits/digit", {}, "nothing says what images the module expects; give image_size=S"),
        (Features(), "digits/digit", {"image_size": 8}, "image_size without mean, std; give all three"),
        (Features(3), FLOATS, {}, r"Features does not take images of shape \(1, 8, 8\)"),
        (nn.Conv2d(1, 4, 3), FLOATS, {}, r"Conv2d gives \(2, 4, 6, 6\) for 2 images; it must give features"),
        (Features(), FLOATS, {"protocols": "kn"}, "protocol=kn does not exist; did you mean knn"),
        (Features(), FLOATS, {"protocols": {"knn": {"neighbors": [1]}}}, "no option neighbors .*neighbours"),
        (Features(), FLOATS, {"protocols": []}, "there is no protocol; choose some"),
        (
            Features(),
            FLOATS,
            {"devise": "cpu"},
            "there is no option devise with evaluate; did you mean device",
        ),
        (Features(), FLOATS, {"device": "tpu9"}, "device=tpu9 cannot be used"),
        (Features(), FLOATS, {"watch": True}, "evaluate has no option watch"),
        (Features(), FLOATS, {"num_train": 5}, "num_train is for targets that are named, and there are none"),
        (Features(), 7, {}, "target images is a int; give a name, a LightningDataModule"),
        (Features(), {"source": FLOATS}, {}, "a target is called 'source', which names a label"),
        (Features(), (FLOATS[0], FLOATS[1][:5]), {}, r"are 90 with labels of shape \(5,\); give one label"),
        (Features(), (FLOATS[0][0], FLOATS[1]), {}, r"are \(1, 8, 8\) torch.float32; give \(N, C, H, W\)"),
        (
            Features(),
            (FLOATS[0], FLOATS[1] - 1),
            {},
            "labels of torch.int64 from -1; give whole numbers from 0",
        ),
        (Features(), (FLOATS[0][:0], FLOATS[1][:0]), {}, "the train images are 0 with labels"),
        (Features(), (FLOATS[0], torch.arange(90)), {}, "has 1 image, must have at least 2"),
        (Features(), FLOATS, {"image_size": 9, "mean": [0], "std": [1]}, r"the network expects \(1, 9, 9\)"),
        (3, FLOATS, {}, "network is 3; give a module, a run directory"),
        ("nowhere", FLOATS, {}, "nowhere does not exist; give a module, a run directory"),
    ],
)
def test_mistakes_are_one_sentence(network, targets, options, sentence):
    with pytest.raises(ValueError, match=sentence) as refused:
        evaluate(network, targets, **options)
    assert "\n" not in str(refused.value)
