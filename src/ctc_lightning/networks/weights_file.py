"""Read a file of weights without running anything that it holds."""

import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch.serialization import get_unsafe_globals_in_checkpoint, safe_globals

from ctc_lightning.networks.state_dict import first

_SHOWN = 40  # characters of a text file
# Of a file that is cut, or of something else: torch fails wherever it happens to notice
_DAMAGED: tuple[type[Exception], ...] = (
    *(OSError, EOFError, SafetensorError, RuntimeError, ValueError),
    *(LookupError, AttributeError, TypeError, AssertionError),
)


class StandIn:
    """An inert object in place of one of another program's classes: keeps nothing, runs nothing."""

    def __init__(self, *_: Any) -> None: ...

    def __setstate__(self, state: Any) -> None: ...


class _Dict:
    """Stands in for a subclass of dict."""

    def __new__(cls, *_: Any) -> dict[str, Any]:  # type: ignore[misc]
        return {}


def read_weights_file(path: Path) -> Any:
    """Read ``*.safetensors``, or a file of ``torch.save`` with ``weights_only=True``, on the CPU.

    Objects of classes that ``weights_only`` refuses, such as the options that other programs save beside
    their weights, become a `StandIn`.

    Raises:
        ValueError: there is no such file, or it cannot be read; says why, without a remedy.
    """
    if not path.is_file():
        raise ValueError(f"{path} {'is a folder' if path.is_dir() else 'does not exist'}")
    names: list[str] = []
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        zipped = zipfile.is_zipfile(path)
        names = get_unsafe_globals_in_checkpoint(path) if zipped else []
        with safe_globals([_stand_in(name) for name in names]):
            return torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except PermissionError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror})") from error
    except pickle.UnpicklingError as error:
        if names:
            raise ValueError(
                f"{path} holds pickled objects ({first(names)}), which would run code"
            ) from error
        raise ValueError(f"{path} {_fault(path)}") from error
    except _DAMAGED as error:
        raise ValueError(f"{path} {_fault(path)}") from error


def _stand_in(name: str) -> type:
    """A class of this full name."""
    module, _, own = name.rpartition(".")
    base = _Dict if own.lower().endswith("dict") else StandIn
    return type(own, (base,), {"__module__": module, "__qualname__": own})


def full_name(stand_in: StandIn) -> str:
    """Of the class that it stands in for."""
    return f"{type(stand_in).__module__}.{type(stand_in).__qualname__}"


def _fault(path: Path) -> str:
    """What is wrong with a file that cannot be read."""
    with path.open("rb") as file:
        begin = file.read(_SHOWN)
    if not begin:
        return "is empty"
    text = begin.decode("utf-8", "ignore")
    if text and all(letter.isprintable() or letter.isspace() for letter in text):
        return f"is a text file (it begins with {' '.join(text.split())!r})"
    return "is damaged, half-written or of another kind"


def tensors_of(content: Any, prefix: str = "") -> dict[str, torch.Tensor]:
    """All tensors in nested dicts, by their dotted names."""
    if isinstance(content, torch.Tensor):
        return {prefix.removesuffix("."): content}
    found: dict[str, torch.Tensor] = {}
    if isinstance(content, Mapping):
        for key, value in content.items():
            found |= tensors_of(value, f"{prefix}{key}.")
    return found


def stand_ins_of(content: Any) -> list[str]:
    """Full names of the classes that the values of a dict, or the content itself, are stand-ins for."""
    values = content.values() if isinstance(content, Mapping) else [content]
    return [full_name(value) for value in values if isinstance(value, StandIn)]
