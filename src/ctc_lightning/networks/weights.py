"""Load a backbone's weights from a local file."""

import json
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

_CLASSIFIERS = {"fc", "classifier", "head", "heads", "head_dist"}
_BACKBONE, _CLASSIFIER = "network.backbone.", "network.classifier."


def load_weights(backbone: nn.Module, path: Path) -> None:
    """Load a state dict, name to tensor, into the backbone, stem included.

    The file may also hold the classifier that backbones do without (names under ``fc``, ``classifier``,
    ``head`` or ``heads``), so files published by timm and torchvision fit as they are. Anything else must
    match in name and shape.

    Args:
        backbone: the network to fill, in place.
        path: as `read_weights`.

    Raises:
        ValueError: no such file, not a state dict, or one of another network.
    """
    load_state(backbone, read_weights(path), path)


def load_state(backbone: nn.Module, state: Mapping[str, Tensor], path: Path) -> None:
    """Load what `read_weights` read; ``path`` is for messages."""
    shapes = {name: tensor.shape for name, tensor in backbone.state_dict().items()}
    problems = {
        "lacks": [name for name in shapes if name not in state],
        "has another shape for": [n for n in shapes if n in state and state[n].shape != shapes[n]],
        "also holds": [n for n in state if n not in shapes and n.partition(".")[0] not in _CLASSIFIERS],
    }
    if any(problems.values()):
        found = "; ".join(f"{what} {_shorten(n)}" for what, n in problems.items() if n)
        raise ValueError(f"the weights file {path} is of another network: it {found}")
    backbone.load_state_dict({name: state[name] for name in shapes})


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read a state dict, name to tensor, without running anything that the file holds.

    Args:
        path: ``*.safetensors``; a file of ``torch.save``, read with ``weights_only=True``; or a checkpoint of
            ``ctc_lightning.train``, whose backbone is taken with its own names, and whose classifier as
            ``classifier.weight`` and ``classifier.bias``.

    Raises:
        ValueError: no such file, or not a state dict.
    """
    if not path.is_file():
        raise ValueError(f"there is no weights file {path}: give pretrained a file's path, true or false")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, EOFError, RuntimeError) as error:
        raise ValueError(f"cannot read the weights file {path}: {error}") from error
    state = _of_checkpoint(state)
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ValueError(f"the weights file {path} must hold one dict from parameter name to tensor")
    return state


def read_classes(path: Path) -> tuple[str, ...]:
    """Names of a classifier's classes, in order: of our checkpoints and exports; empty where none are given.

    Args:
        path: a file that `read_weights` can read.
    """
    if path.suffix == ".safetensors":
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get("classes", "[]")
        try:
            names = json.loads(text)
        except json.JSONDecodeError:  # somebody else's
            return ()
    else:
        content = torch.load(path, map_location="cpu", weights_only=True)
        names = content.get("classes") if isinstance(content, dict) else ()
    return tuple(map(str, names)) if isinstance(names, list) else ()


def _of_checkpoint(content: Any) -> Any:
    """Backbone and classifier of one of our checkpoints; anything else as it is."""
    state = content.get("state_dict") if isinstance(content, dict) else None
    if not isinstance(state, dict) or not any(name.startswith(_BACKBONE) for name in state):
        return content
    parts = {_BACKBONE: "", _CLASSIFIER: "classifier."}
    return {
        own + name.removeprefix(prefix): tensor
        for prefix, own in parts.items()
        for name, tensor in state.items()
        if name.startswith(prefix)
    }


def _shorten(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
