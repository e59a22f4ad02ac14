"""conf/data/augmentation: every choice says what it is for, composes, runs, and can be changed by name."""

from inspect import signature
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import get_class, instantiate

from ctc_lightning.data import RandomCrop, RandomResizedCrop
from ctc_lightning.data.augmentation import Compose, split_crop

CONF = Path(__file__).parents[3] / "conf"
CHOICES = sorted(path.stem for path in (CONF / "data" / "augmentation").glob("*.yaml"))
RESIZING = {"imagenet_train", "moco_v2"}


def composed(choice, *overrides):
    chosen = [f"data/augmentation={choice}", f"data/augmentation@data.key_augmentation={choice}"]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose(overrides=["+data=glyphs", "+seed=0", *chosen, *overrides]).data


@pytest.mark.parametrize("choice", CHOICES)
def test_a_choice_says_what_it_is_for(choice):
    first, *_ = (CONF / "data" / "augmentation" / f"{choice}.yaml").read_text().splitlines()
    assert first.startswith("# ")
    assert first.endswith(".")


@pytest.mark.parametrize("choice", CHOICES)
@pytest.mark.parametrize("view", ["augmentation", "key_augmentation"])
def test_a_choice_augments_either_view(choice, view, images, generator):
    augmentation = instantiate(composed(choice)[view])
    assert augmentation(images(8), generator(0)).shape == (8, 3, 32, 32)


@pytest.mark.parametrize("choice", CHOICES)
def test_the_loaders_crop_where_images_have_their_own_sizes(choice):
    crop, _ = split_crop(instantiate(composed(choice).augmentation))
    assert isinstance(crop, RandomResizedCrop) == (choice in RESIZING)


@pytest.mark.parametrize("choice", CHOICES)
def test_a_choice_shows_every_option_of_every_step(choice):
    config = composed(choice).augmentation
    is_composed = get_class(config._target_) is Compose
    for step in [v for k, v in config.items() if k != "_target_"] if is_composed else [config]:
        options = set(signature(get_class(step._target_)).parameters)
        shown = set(step) - {"_target_"}
        assert shown == options or step._target_.endswith("RandomCrop")
        assert shown <= options


def test_a_step_is_set_or_left_out_by_its_name():
    augmentation = instantiate(
        composed("crop_flip", "data.augmentation.crop.pad=2", "data.augmentation.flip=null").augmentation
    )
    (crop,) = augmentation.steps
    assert isinstance(crop, RandomCrop)
    assert crop.pad == 2
