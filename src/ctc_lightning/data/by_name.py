"""Data modules by the name of their data set: the YAML of the command line."""

from collections.abc import Sequence
from typing import Any

from hydra.utils import instantiate
from omegaconf import OmegaConf

from ctc_lightning.cli.composed import compose_options, our_hydra
from ctc_lightning.data.data_module import ImageDataModule

_SECTIONS = ("data", "paths", "seed")


def load_data(data: str, /, *, overrides: Sequence[str] = (), **options: Any) -> ImageDataModule:
    """A data set by its name, from the same YAML as ``python -m ctc_lightning.train data=DATA``.

    Args:
        data: ``cifar100``, ``image_folder``, ``glyphs``, … (``conf/data``).
        overrides: further ones as on the command line, ``["data/augmentation=moco_v2", "seed=1"]``.
        options: of the data set by name: ``root="/datasets"``, ``batch_size=128``, ``augmentation=None``.

    Returns:
        The data module. A trainer sets it up; call ``setup()`` yourself to read ``num_classes``,
        ``image_shape`` or ``image_sets`` before.

    Raises:
        ValueError: an option or a value that the command line would refuse.

    Example:
        >>> data = load_data("digits", source_label="digit", batch_size=32)
        >>> data.setup()
        >>> data.num_classes, data.image_shape, list(data.targets)
        (10, (1, 8, 8), ['source'])
    """
    words = [f"data={data}", *overrides]
    cfg, words = compose_options("train", words, options, ("data",), f"data={data}", _SECTIONS)
    with our_hydra("train", words):
        made: ImageDataModule = instantiate(cfg.data)
    config: Any = OmegaConf.to_container(cfg.data, resolve=True)
    made.config = config
    return made
