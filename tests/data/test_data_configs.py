"""conf/data: every choice composes, and shows the numbers that the code has."""

from dataclasses import asdict
from inspect import Parameter, signature
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.errors import ConfigCompositionException
from hydra.utils import instantiate
from omegaconf import OmegaConf

from ctc_lightning.data import (
    CachedDataModule,
    Digits,
    FileDataModule,
    Glyphs,
    GlyphStyle,
    Identity,
    ImageDataModule,
    RandomCrop,
)

CONF = Path(__file__).parents[2] / "conf"
CHOICES = {"glyphs": (Glyphs, 2), "digits": (Digits, 1)}
IN_MEMORY = [
    "cifar10", "cifar100", "cinic10", "stl10", "svhn", "tiny_imagenet", "emnist", "fashion_mnist",
    "image_folder_small",
]  # fmt: skip
FILES = [
    "imagenet", "imagenet100", "image_folder", "food101", "birdsnap", "sun397",
    "stanford_cars", "fgvc_aircraft", "voc2007", "dtd", "oxford_pets", "caltech101", "flowers102", "eurosat",
]  # fmt: skip
BASES = {CachedDataModule: IN_MEMORY, FileDataModule: FILES}


def composed(choice, *overrides):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose(overrides=[f"+data={choice}", "+seed=3", "+paths=default", *overrides])
    OmegaConf.set_struct(cfg, value=False)
    cfg.paths.run_dir = "run"
    return cfg.data


@pytest.mark.parametrize("choice", CHOICES)
def test_a_choice_instantiates_with_two_crops(choice):
    cls, pad = CHOICES[choice]
    data = instantiate(composed(choice))
    assert type(data) is cls
    assert data.name == choice
    assert data.seed == 3
    assert (data.augmentation.pad, data.key_augmentation.pad) == (pad, pad)


def test_files_and_choices_are_the_same():
    known = {*CHOICES, *IN_MEMORY, *FILES, "imagenet_stream", "hugging_face"}
    assert {path.stem for path in (CONF / "data").glob("*.yaml")} == known


def test_the_run_s_seed_draws_the_glyphs_instances_but_not_the_alphabet_nor_the_digits_splits():
    glyphs, digits = (instantiate(composed(choice)) for choice in CHOICES)
    assert (glyphs.instance_seed, glyphs.template_seed) == (3, 500)
    assert digits.split_seed == 0


@pytest.mark.parametrize("choice", CHOICES)
def test_yaml_and_signature_have_the_same_options_and_numbers(choice):
    """The seeds and augmentations are the run's to choose; all else is written twice and must agree."""
    config = composed(choice)
    options = {
        name: p.default
        for cls in (CHOICES[choice][0], ImageDataModule)
        for name, p in reversed(signature(cls.__init__).parameters.items())
        if name not in {"self", "loading"} and p.default is not p.empty
    } | {"name": choice}
    assert set(config) - {"_target_"} == set(options)
    chosen = {"seed", "instance_seed", "augmentation", "key_augmentation", "style"}
    assert {k: config[k] for k in options if k not in chosen} == {
        k: v for k, v in options.items() if k not in chosen
    }


def test_yaml_shows_every_number_of_the_glyphs_style():
    shown = OmegaConf.to_container(composed("glyphs").style)
    assert shown.pop("_target_") == "ctc_lightning.data.GlyphStyle"
    assert shown == {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(GlyphStyle()).items()}


@pytest.mark.parametrize("choice", CHOICES)
def test_the_views_are_chosen_apart(choice):
    data = instantiate(composed(choice, "data/augmentation@data.key_augmentation=none"))
    assert isinstance(data.augmentation, RandomCrop)
    assert isinstance(data.key_augmentation, Identity)
    data = instantiate(composed(choice, "data.key_augmentation=null", "data.augmentation.pad=4"))
    assert data.augmentation.pad == 4
    assert data.key_augmentation is None


def test_command_line_numbers_reach_the_images():
    data = instantiate(
        composed(
            "glyphs", "data.style.image_size=16", "data.num_train=64", "data.num_val=16", "data.num_test=16"
        )
    )
    data.setup()
    assert data.image_shape == (3, 16, 16)
    assert len(data.image_sets["source"]["train"].image) == data.num_images == 64


def test_a_misspelt_key_is_named():
    with pytest.raises(ConfigCompositionException, match="bach_size"):
        composed("glyphs", "data.bach_size=3")


# ---------------------------------------------------------------------------------- data sets from files


@pytest.mark.parametrize(
    ("cls", "choice"), [(cls, choice) for cls, names in BASES.items() for choice in names]
)
def test_a_data_set_that_is_not_here_is_one_sentence_with_the_place_and_the_remedy(cls, choice, tmp_path):
    class_list = tmp_path / "classes.txt"
    class_list.write_text("n01440764\nn01443537\n")
    listed = [f"data.collection.class_list={class_list}"] if choice == "imagenet100" else []
    if choice.startswith("image_folder"):
        listed = [f"data.root={tmp_path / 'nowhere'}"]
    data = instantiate(
        composed(choice, f"paths.data={tmp_path / 'nowhere'}", f"paths.cache={tmp_path}", *listed)
    )
    assert type(data) is cls
    assert data.name == choice
    with pytest.raises(ValueError, match=r"nowhere") as told:
        data.setup()
    assert "\n" not in str(told.value)
    assert "data.root" in str(told.value)


@pytest.mark.parametrize(("cls", "base"), [(CachedDataModule, "in_memory"), (FileDataModule, "files")])
def test_the_bases_show_every_option(cls, base):
    """What every data set of a kind can be told, but for its name and its collection."""
    shown = OmegaConf.load(CONF / "data" / "base" / f"{base}.yaml")
    options = {
        name: parameter.default
        for one in reversed(cls.__mro__)
        if issubclass(one, ImageDataModule)
        for name, parameter in signature(one.__init__).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY
    }
    views = {"augmentation", "key_augmentation"}
    assert set(shown) - {"_target_", "defaults"} == set(options) - views - {"name", "collection"}
    for name, default in options.items():
        if name in shown and name not in ("seed", "eval_batch_size") and default is not Parameter.empty:
            assert shown[name] == default, name


@pytest.mark.parametrize("choice", ["crop_flip", "moco_v2", "imagenet_train", "none"])
def test_query_and_key_take_any_augmentation_apart(choice):
    data = instantiate(composed("cifar10", f"data/augmentation@data.key_augmentation={choice}"))
    other = instantiate(composed("cifar10", f"data/augmentation={choice}", "data.key_augmentation=null"))
    assert type(data.key_augmentation) is type(other.augmentation)
    assert other.key_augmentation is None


def test_the_label_set_of_cifar100_is_one_override():
    fine, coarse = composed("cifar100"), composed("cifar100", "data.source_label=coarse")
    assert (instantiate(fine).source_label, dict(instantiate(fine).targets)) == ("fine", {"coarse": "source"})
    assert (instantiate(coarse).source_label, dict(instantiate(coarse).targets)) == (
        "coarse",
        {"fine": "source"},
    )
