"""Options and names of the data sets of ``conf/data`` as transfer targets."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from ctc_lightning.checks import in_range
from ctc_lightning.cli.configuration import config_dir
from ctc_lightning.evaluation.results import SOURCE

# They say how images are read, not which
_HOW = ("cache_dir", "num_workers", "eval_batch_size", "resplit")


@dataclass(frozen=True)
class DataOptions:
    """Options of all targets that are other data sets.

    Args:
        given: of the data set's YAML, as the user set them; None: not set. ``name`` is what tables call the
            target.
        defaults: likewise, for options that are not given and have a value in the YAML.
        prefix: of the options in messages.

    Raises:
        ValueError: a default ``val_share`` outside [0, 1).
    """

    given: Mapping[str, Any] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)
    prefix: str = "data."

    def __post_init__(self) -> None:
        for name in ("given", "defaults"):
            set_ones = {key: value for key, value in getattr(self, name).items() if value is not None}
            object.__setattr__(self, name, set_ones)
        where = self.prefix.removesuffix("data.") + "data_defaults"
        in_range(where, "[0, 1)", example=0.1, val_share=self.defaults.get("val_share", 0))

    def config(self, data_set: str) -> DictConfig:
        """``conf/data/DATA_SET.yaml`` with the options that it has."""
        cfg = data_config(data_set)
        changes = {key: value for key, value in self.defaults.items() if cfg.get(key) is not None}
        changes |= {key: value for key, value in self.given.items() if key in cfg and key != "name"}
        return OmegaConf.merge(cfg, changes)  # type: ignore[return-value]

    def name_of(self, target: str) -> str:
        """What tables call a target: of a folder of one's own by the folder's name, ``image_folder:B``."""
        data_set, slash, label = target.partition("/")
        if "name" in self.given:
            return f"{self.given['name']}{slash}{label}"
        place = self.place_of(data_set)
        return f"{data_set}:{Path(place).name or place}{slash}{label}" if place else target

    def place_of(self, data_set: str) -> str:
        """The folder of a data set whose YAML names none; "" for others."""
        if "root" not in self.given or data_set not in data_sets():
            return ""
        cfg = data_config(data_set)
        return str(_resolved(self.given["root"])) if "root" in cfg and cfg.root is None else ""

    def ask_for_other_images(self, recorded: Mapping[str, Any]) -> bool:
        """Whether they name other images than those a run was trained on, of a data set of the same name.

        Args:
            recorded: ``data`` of the run's configuration.
        """
        if recorded["name"] not in data_sets():
            return False
        cfg = data_config(recorded["name"])
        which = [key for key in self.given if key in cfg and key not in _HOW]
        return any(not self._is_recorded(key, recorded) for key in which)

    def _is_recorded(self, key: str, recorded: Mapping[str, Any]) -> bool:
        given, there = self.given[key], recorded.get(key)
        return given == there or (
            key == "root" and there is not None and _resolved(given) == _resolved(there)
        )

    def check_used(
        self, targets: Sequence[str], own_labels: Sequence[str], recorded: Mapping[str, Any]
    ) -> None:
        """Refuse an option that no target reads, and a name that does not tell them apart.

        Args:
            targets: names, as `ctc_lightning.evaluation.targets.expand` returns them.
            own_labels: those that are the run's own data.
            recorded: ``data`` of the run's configuration; what it says already may be said again.

        Raises:
            ValueError: names the option and the remedy.
        """
        others = [target for target in targets if target not in own_labels]
        configs = [data_config(name) for name in dict.fromkeys(t.partition("/")[0] for t in others)]
        for key, value in self.given.items():
            if any(key in cfg for cfg in configs) or (not others and self._is_recorded(key, recorded)):
                continue
            raise ValueError(
                f"{self.prefix}{key}={value}: {', '.join(others)} has no option {key}; leave it out."
                if others
                else f"{self.prefix}{key}={value} is for targets that are other data sets, and these are the "
                f"run's own images ({', '.join(targets) or 'source'}); leave it out, or set target=DATA_SET."
            )
        if (name := self.given.get("name")) is None:
            return
        if len(configs) > 1:
            raise ValueError(
                f"{self.prefix}name={name} names one data set, and there are {len(configs)} "
                f"({', '.join(others)}); evaluate it by itself."
            )
        if name in ("own", SOURCE, *own_labels, *data_sets()) or "/" in str(name):
            raise ValueError(
                f"{self.prefix}name={name} is a data set or a label of the run, or has a slash; choose "
                "another name."
            )


def _resolved(root: Any) -> Path:
    if "://" in str(root):  # it is in no folder
        return Path(root)
    return Path(root).expanduser().resolve()


def data_sets() -> list[str]:
    """Those of this package, and those in folders that ``hydra.searchpath`` adds."""
    searched = re.findall(r"file://([^,\]'\"]+)", " ".join(_searchpath()))
    folders = [config_dir(), *map(Path, searched)]
    return sorted({path.stem for folder in folders for path in (folder / "data").glob("*.yaml")})


def _searchpath() -> list[str]:
    given = HydraConfig.get().overrides.hydra if HydraConfig.initialized() else []
    return [override for override in given if override.startswith("hydra.searchpath=")]


def data_config(data_set: str) -> DictConfig:
    """``conf/data/DATA_SET.yaml`` as a training would compose it, on the configuration's search path.

    Raises:
        HydraException: there is no such file, or it cannot be composed.
    """
    return _composed(data_set, *_searchpath())


@lru_cache
def _composed(data_set: str, *searchpath: str) -> DictConfig:
    overrides = [f"data={data_set}", *searchpath]
    if GlobalHydra.instance().is_initialized():
        return compose("train", overrides).data
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        return compose("train", overrides).data
