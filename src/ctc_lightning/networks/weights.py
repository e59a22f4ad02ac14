"""Load a backbone's weights from a local file, whoever wrote it."""

import json
import logging
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from safetensors import safe_open
from torch import Tensor, nn

from ctc_lightning.networks.state_dict import differences, first
from ctc_lightning.networks.weights_file import read_weights_file, stand_ins_of, tensors_of

log = logging.getLogger(__name__)

# Where programs keep the weights in a checkpoint, and what their modules call the backbone
_CONTAINERS = ("state_dict", "model_state_dict", "model_state", "model")
_MODULES = ("module", "_orig_mod", "network", "net", "backbone", "encoder", "encoder_q", "base_encoder")
_WRAPPERS = {*_CONTAINERS, *_MODULES}
CLASSIFIERS = {
    "fc",
    "classifier",
    "head",
    "heads",
    "head_dist",
    "last_linear",
    "classif",
    "aux_head",
    "linear",
}
# What else is trained beside a backbone, by MoCo, solo-learn and lightly
_PROJECTORS = {"projector", "projection_head", "prediction_head", "predictor", "mlp", "prototypes"}
_RENAMED = {".shortcut.": ".downsample."}  # SupContrast's ResNets
_OPTIONAL = "num_batches_tracked"  # counters that older files lack and BatchNorm does not use


def load_weights(backbone: nn.Module, path: Path) -> dict[str, Tensor]:
    """Fill the backbone, stem included, strictly: every tensor must be in the file, with its shape.

    Known wrappers are removed from the names (``state_dict``, ``model``, ``module.``, ``backbone.``,
    ``encoder_q.``, …, also nested, and ``network.backbone.`` of our own checkpoints), as are heads that
    backbones do without, copies and optimizer state; the log says what was left out. The layers of a
    ``nn.Sequential`` of the backbone's own children, and the shortcuts of SupContrast's ResNets, get their
    names here.

    Args:
        backbone: the network to fill, in place.
        path: a file, see `read_weights_file`.

    Returns:
        What was left out, by names without wrappers: the classifier may be among it.

    Raises:
        ValueError: no such file, no weights in it, or those of another network.
    """
    try:
        content = read_weights_file(path)
    except ValueError as error:
        raise ValueError(
            f"cannot load weights: {error}; give the path of a .safetensors file or of one that "
            "torch.save(model.state_dict(), FILE) wrote."
        ) from error
    state = tensors_of(content)
    expected = backbone.state_dict()
    prefix = max(_prefixes(state), key=lambda p: (_num_fitting(state, backbone, p), -len(p)), default="")
    named = dict(_named(state, backbone, prefix))
    found = {name: state[own] for name, own in named.items() if name in expected}
    if not found:
        _refuse_no_tensors(content, state, path)
    found |= {n: w for n, w in expected.items() if n not in found and n.endswith(_OPTIONAL)}
    unknown = {
        name: state[own]
        for name, own in named.items()
        if name not in expected and name.partition(".")[0] not in CLASSIFIERS | _PROJECTORS
    }
    if problems := differences(expected, found | unknown):
        raise ValueError(
            f"the weights file {path} is of another network: it {problems}; choose network.backbone, "
            "network.stem and network.backbone_options as in the training that wrote it"
            f"{'' if expected.keys() <= found.keys() else _hint(state, expected)}."
        )
    backbone.load_state_dict(found, strict=True)
    used = {own for name, own in named.items() if name in expected}
    rest = {_without_wrappers(own): tensor for own, tensor in state.items() if own not in used}
    groups = Counter(name.partition(".")[0] for name in rest)
    log.info(
        "%s: loaded %d tensors%s%s.",
        path,
        len(used),
        f" under {prefix.removesuffix('.')}" if prefix else "",
        f"; left out {first(f'{name} ({number})' for name, number in groups.items())}" if rest else "",
    )
    return rest


def read_classes(path: Path) -> tuple[str, ...]:
    """Names of a classifier's classes, in order: of our checkpoints and exports; empty where none are given.

    Args:
        path: a file that `load_weights` can read.
    """
    if path.suffix == ".safetensors":
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get("classes", "[]")
        try:
            names = json.loads(text)
        except json.JSONDecodeError:  # somebody else's
            return ()
    else:
        content = read_weights_file(path)
        names = content.get("classes") if isinstance(content, dict) else ()
    return tuple(map(str, names)) if isinstance(names, list) else ()


def _prefixes(state: Mapping[str, Tensor]) -> set[str]:
    """Every run of wrappers that a name begins with."""
    found = {""}
    for name in state:
        parts = name.split(".")
        for length, part in enumerate(parts, 1):
            if part not in _WRAPPERS:
                break
            found.add(".".join(parts[:length]) + ".")
    return found


def _named(state: Mapping[str, Tensor], backbone: nn.Module, prefix: str) -> Iterator[tuple[str, str]]:
    """(The backbone's name, the file's name) of each tensor under a prefix."""
    expected = backbone.state_dict()
    children = [name for name, _ in backbone.named_children()]
    for own in state:
        if not own.startswith(prefix):
            continue
        name = own.removeprefix(prefix)
        number, _, rest = name.partition(".")
        candidates = [name, *(name.replace(old, new) for old, new in _RENAMED.items())]
        if number.isdecimal() and int(number) < len(children):
            candidates.append(f"{children[int(number)]}.{rest}")
        yield next((candidate for candidate in candidates if candidate in expected), name), own


def _num_fitting(state: Mapping[str, Tensor], backbone: nn.Module, prefix: str) -> int:
    expected = backbone.state_dict()
    return sum(
        name in expected and expected[name].shape == state[own].shape
        for name, own in _named(state, backbone, prefix)
    )


def _without_wrappers(name: str) -> str:
    parts = name.split(".")
    while parts[1:] and parts[0] in _WRAPPERS:
        parts = parts[1:]
    return ".".join(parts)


def _hint(state: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> str:
    """A prefix that we do not know, under which everything is there."""
    sample = next(iter(expected))
    for own in state:
        prefix = own.removesuffix(sample)
        if prefix != own and all(prefix + name in state for name in expected if not name.endswith(_OPTIONAL)):
            return f"; or remove {prefix!r}, under which everything is there, from the names in the file"
    return ""


def _refuse_no_tensors(content: object, state: Mapping[str, Tensor], path: Path) -> None:
    objects = stand_ins_of(content)
    if objects or not state:
        what = f"pickled objects ({first(objects)}), which would run code" if objects else "no tensors"
        raise ValueError(
            f"the weights file {path} holds {what}: in the program that wrote it, save model.state_dict() "
            "instead."
        )
