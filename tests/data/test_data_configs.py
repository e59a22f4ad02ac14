"""conf/data: every choice composes, and shows the numbers that the code has."""

from dataclasses import asdict
from inspect import signature
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.errors import ConfigCompositionException
from hydra.utils import instantiate
from omegaconf import OmegaConf

from ctc_lightning.data import Digits, Glyphs, GlyphStyle, Identity, InMemoryDataModule, RandomCrop

CONF = Path(__file__).parents[2] / "conf"
CHOICES = {"glyphs": (Glyphs, 2), "digits": (Digits, 1)}


def composed(choice, *overrides):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose(overrides=[f"+data={choice}", "+seed=3", *overrides]).data


@pytest.mark.parametrize("choice", CHOICES)
def test_a_choice_instantiates_with_two_crops(choice):
    cls, pad = CHOICES[choice]
    data = instantiate(composed(choice))
    assert type(data) is cls
    assert data.name == choice
    assert data.seed == 3
    assert (data.augmentation.pad, data.key_augmentation.pad) == (pad, pad)


def test_files_and_choices_are_the_same():
    assert {path.stem for path in (CONF / "data").glob("*.yaml")} == set(CHOICES)


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
        for cls in (CHOICES[choice][0], InMemoryDataModule)
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
