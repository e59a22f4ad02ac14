"""The configuration of the command line, composed from Python."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ctc_lightning.cli.configuration import config_dir
from ctc_lightning.cli.errors import explain, nearest
from ctc_lightning.cli.option_types import check_types
from ctc_lightning.cli.overrides import literal


@contextmanager
def our_hydra(config_name: str, words: Sequence[str] = ()) -> Iterator[None]:
    """Hydra on our configuration, whatever Hydra program is running around it.

    Args:
        config_name: of the configuration, for suggestions in errors.
        words: the overrides, likewise.

    Raises:
        ValueError: what Hydra and OmegaConf raise, in one sentence.
    """
    around = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(config_dir()), version_base="1.3"):
            yield
    except (HydraException, OmegaConfBaseException) as error:
        raise ValueError(explain(error, config_name, words)) from error
    finally:
        GlobalHydra.instance().hydra = around


def compose_options(
    config_name: str,
    words: Sequence[str],
    options: Mapping[str, Any],
    places: Sequence[str],
    where: str,
    sections: Sequence[str] = (),
) -> tuple[DictConfig, list[str]]:
    """A configuration with options by their own names.

    Args:
        config_name: a file of ``conf``.
        words: overrides as on the command line.
        options: see `set_options`.
        places: likewise.
        where: likewise.
        sections: the keys at the top to keep; empty: all.

    Returns:
        The configuration, and all overrides that make it.

    Raises:
        ValueError: an option that does not exist, or a value of the wrong type.
    """
    words = literal(words)
    with our_hydra(config_name, words):
        cfg = compose(config_name, words)
        cfg = OmegaConf.masked_copy(cfg, list(sections)) if sections else cfg
        words += set_options(cfg, options, places, where)
        check_types(cfg)
    return cfg, words


def set_options(cfg: DictConfig, options: Mapping[str, Any], places: Sequence[str], where: str) -> list[str]:
    """Set options by their own names, in place.

    Args:
        cfg: the configuration.
        options: name -> value; a mapping is merged.
        places: the nodes where an option is looked for, in this order; "" for the top.
        where: of the options, for errors.

    Returns:
        The same as overrides.

    Raises:
        ValueError: an option that does not exist.
    """
    words = []
    for name, given in options.items():
        key, value = _key(cfg, places, name, where), str(given) if isinstance(given, Path) else given
        OmegaConf.update(cfg, key, value)
        words.append(f"{key}={value}")
    return words


def _key(cfg: DictConfig, places: Sequence[str], name: str, where: str) -> str:
    """The dotted key of an option."""
    known: list[str] = []
    for place in places:
        section = OmegaConf.select(cfg, place) if place else cfg
        found = [str(key) for key in section if place or not OmegaConf.is_dict(section._get_node(key))]
        if name in found:
            return f"{place}.{name}".removeprefix(".")
        known += found
    raise ValueError(
        f"there is no option {name} with {where}; {nearest(name, known)}leave it out, or give it "
        "in overrides=[...] as on the command line."
    )
