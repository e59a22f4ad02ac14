"""`load_data`: the data modules that the command line makes, by name."""

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.utils import instantiate
from PIL import Image

from ctc_lightning import CTCModule, load_data
from ctc_lightning.cli.configuration import config_dir

DATA_SETS = sorted(path.stem for path in (config_dir() / "data").glob("*.yaml"))
TINY = {"num_train": 24, "num_val": 20, "num_test": 20, "batch_size": 8}


def of_command_line(*words):
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        cfg = compose("train", list(words))
        return instantiate(cfg.data)


def plain(value):
    """Everything that an object was made with, as far down as it goes."""
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if type(value).__module__.startswith("ctc_lightning"):
        return type(value).__qualname__, plain(vars(value))
    return getattr(value, "__qualname__", str(value))


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for label in ("cat", "dog"):
        (tmp_path / "pets" / label).mkdir(parents=True)
        for number in range(20):
            pixels = rng.integers(0, 256, (8, 8, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "pets" / label / f"{number}.png")
    return tmp_path / "pets"


@pytest.mark.parametrize("name", DATA_SETS)
def test_every_data_set_is_that_of_the_command_line(name, tmp_path):
    (tmp_path / "list.txt").write_text("n01440764\nn01443537\n")
    listed = [f"data.collection.class_list={tmp_path / 'list.txt'}"] if name == "imagenet100" else []
    listed += ["data.collection.labels=[kind]"] if name == "hugging_face" else []  # else it is opened
    embedded = name in ("digits", "glyphs")
    options = {"batch_size": 7, "seed": 3} | ({} if embedded else {"root": tmp_path})
    words = [f"data={name}", *(f"data.{key}={value}" for key, value in options.items()), *listed]
    data = load_data(name, overrides=listed, **options)
    assert (data.config["batch_size"], data.config["seed"]) == (7, 3)
    del data.config
    assert plain(data) == plain(of_command_line(*words))


def test_the_images_are_those_of_the_command_line(folder, tmp_path):
    options = {"root": folder, "image_size": 8, "num_train": 9, "batch_size": 4, "cache_dir": tmp_path / "c"}
    options |= {"collection": {"test_share": 0.5}}
    loaded = load_data("image_folder_small", **options)
    del options["collection"]
    words = [f"data.{key}={value}" for key, value in options.items()]
    words += ["data.collection.test_share=0.5", "data=image_folder_small"]
    made = of_command_line(*words)
    for data in (loaded, made):
        data.setup()
    for split, images in made.image_sets["source"].items():
        torch.testing.assert_close(loaded.image_sets["source"][split].image, images.image)
        torch.testing.assert_close(loaded.image_sets["source"][split].labels, images.labels)
    assert (loaded.digest, loaded.classes) == (made.digest, ("cat", "dog"))
    for batch, other in zip(loaded.memory_batches(2, "cpu"), made.memory_batches(2, "cpu"), strict=True):
        torch.testing.assert_close(batch, other, rtol=0, atol=0)


def test_groups_and_the_run_s_seed_are_overrides():
    data = load_data("glyphs", overrides=["data/augmentation=none", "seed=5"], key_augmentation=None)
    assert type(data.augmentation).__name__ == "Identity"
    assert data.key_augmentation is None
    assert (data.seed, data.instance_seed) == (5, 5)


@pytest.mark.parametrize("name", ["num_classes", "classes", "image_shape", "mean", "std"])
def test_what_the_images_tell_is_known_after_setup(name):
    data = load_data("digits", source_label="digit", **TINY)
    with pytest.raises(AttributeError, match=f"^{name} is known after setup: call data.setup\\(\\) first"):
        getattr(data, name)
    with pytest.raises(AttributeError, match="has no attribute 'nam'"):
        data.nam  # noqa: B018
    data.setup()
    assert getattr(data, name) is not None


def test_a_bare_trainer_trains_on_it():
    data = load_data("digits", source_label="digit", **TINY)
    data.setup()
    shape = {"num_classes": data.num_classes, "image_channels": data.image_shape[0]}
    module = CTCModule.from_preset("ctc_bank", backbone="cifar/resnet8", **shape)
    trainer = pl.Trainer(
        max_epochs=1,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, data)
    assert trainer.global_step == 3
    assert "test/top1" in trainer.test(module, data, verbose=False)[0]


@pytest.mark.parametrize(
    ("name", "options", "sentence"),
    [
        ("cifra100", {}, "data=cifra100 does not exist; did you mean cifar100"),
        ("cifar100", {"batchsize": 4}, "no option batchsize with data=cifar100; did you mean batch_size?"),
        ("cifar100", {"batch_size": "four"}, "data.batch_size is four; it must be a whole number"),
        ("cifar100", {"batch_size": 0}, "batch_size is 0; it must be a whole number of at least 1"),
        ("cifar100", {"augmentation": object()}, "not a supported primitive type"),
        ("cifar100", {"overrides": ["data.bach_size=3"]}, "no data.bach_size .*did you mean data.batch_size"),
        ("digits", {"source_label": "hue"}, "source_label is 'hue', must be one that digits has"),
        ("emnist", {"collection": {"spilt": "letters"}}, "EMNIST does not take spilt; did you mean split?"),
        ("image_folder", {}, "data.root is null; set it"),
    ],
)
def test_what_the_command_line_refuses_is_refused(name, options, sentence):
    with pytest.raises(ValueError, match=sentence) as refused:
        load_data(name, **options)
    assert "\n" not in str(refused.value)


def test_ones_own_hydra_program_is_left_alone(tmp_path):
    (tmp_path / "mine.yaml").write_text("a: 1\n")
    with initialize_config_dir(str(tmp_path), version_base="1.3"):
        load_data("digits")
        assert compose("mine").a == 1
    assert not GlobalHydra.instance().is_initialized()
