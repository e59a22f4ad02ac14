"""Compare the configuration's values with the types that constructors annotate, and name the option."""

import inspect
import math
from collections.abc import Iterator, Mapping, Sequence
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

from hydra.core.hydra_config import HydraConfig
from hydra.utils import get_object
from omegaconf import DictConfig, ListConfig, OmegaConf

from ctc_lightning.cli.configuration import config_dir

_WORDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a finite number",
    str: "text",
    NoneType: "null",
}
# Sections without a `_target_`: what is made of their options
_MADE_OF = {
    "data_defaults.": "ctc_lightning.data.from_collection.CollectionDataModule",
    "optim.": "ctc_lightning.module.CTCModule",
}


def check_types(cfg: DictConfig) -> None:
    """Refuse values of another type, infinity and NaN: Python takes text for true, and NaN passes all checks.

    Args:
        cfg: the composed configuration of the program that Hydra runs.

    Raises:
        ValueError: names the option, its value and what it can be.
    """
    for key, value, types in [*_of_program(cfg), *_of_parts(cfg)]:
        if float in types:
            types.discard(int)
        if not any(_is(value, one) for one in types):
            words = " or ".join(word for one, word in _WORDS.items() if one in types)
            raise ValueError(f"{key} is {value}; it must be {words}.")


def parameters(target: Any) -> dict[str, Any]:
    """What a function, or a class and its bases, can be given by name, and the annotation of each."""
    found: dict[str, Any] = {}
    for called in reversed(target.__mro__) if inspect.isclass(target) else [target]:
        try:
            signature = inspect.signature(called, eval_str=True)
        except NameError:  # a type that is imported only for type checkers
            signature = inspect.signature(called)
        found |= {name: parameter.annotation for name, parameter in signature.parameters.items()}
    return found


def _is(value: Any, wanted: type) -> bool:
    if wanted is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return isinstance(value, wanted) and not (wanted is int and isinstance(value, bool))


def _of_program(cfg: DictConfig) -> Iterator[tuple[str, Any, set[type]]]:
    """The options at the top that are true or false by default."""
    name = HydraConfig.get().job.config_name if HydraConfig.initialized() else "train"
    files = [f"{name}.yaml", "evaluation/default.yaml"]
    for file in (file for file in files if (config_dir() / file).is_file()):  # not of somebody's own program
        defaults: Any = OmegaConf.to_container(OmegaConf.load(config_dir() / file))
        for key in defaults:
            if isinstance(defaults[key], bool) and key in cfg:
                yield key, cfg[key], {bool}


def _of_parts(node: DictConfig, prefix: str = "") -> Iterator[tuple[str, Any, set[type]]]:
    """The options of constructors that are annotated with plain types, or with lists or mappings of them."""
    try:
        of_targets = prefix.endswith("data_defaults.")
        target = next((made for end, made in _MADE_OF.items() if prefix.endswith(end)), node.get("_target_"))
        annotations = parameters(get_object(target)) if target else {}
    except (ImportError, ValueError):  # a package that is missing, a function of C: instantiation says more
        annotations = {}
    for key in map(str, node):
        if OmegaConf.is_missing(node, key) or (of_targets and node[key] is None):
            continue
        if types := _plain_types(annotations.get(key)):
            yield f"{prefix}{key}", node[key], types
        elif types := _plain_types(annotations.get(key), of_elements=True):
            yield from _elements(f"{prefix}{key}", node[key], types)
        elif not OmegaConf.is_interpolation(node, key) and isinstance(node[key], float):
            yield f"{prefix}{key}", node[key], {float}
        elif not OmegaConf.is_interpolation(node, key) and isinstance(node[key], DictConfig):
            yield from _of_parts(node[key], f"{prefix}{key}.")


def _plain_types(annotation: Any, *, of_elements: bool = False) -> set[type]:
    """The types of a union of plain types, or of the elements of its lists and mappings; none for others."""
    types = set(get_args(annotation)) if get_origin(annotation) in (Union, UnionType) else {annotation}
    types = {one for one in types if getattr(one, "__module__", None) != "torch"}  # tensors: YAML has none
    if of_elements:
        parts = [get_args(one)[-1:] for one in types if get_origin(one) in (list, Mapping, Sequence)]
        types = set().union(*parts)
    return types if types <= _WORDS.keys() else set()


def _elements(key: str, value: Any, types: set[type]) -> Iterator[tuple[str, Any, set[type]]]:
    if isinstance(value, DictConfig):
        yield from ((f"{key}.{name!s}", value[name], set(types)) for name in value)
    elif isinstance(value, ListConfig):
        yield from ((f"{key}[{place}]", one, set(types)) for place, one in enumerate(value))
    elif isinstance(value, float):  # one instead of a list
        yield key, value, {float}
