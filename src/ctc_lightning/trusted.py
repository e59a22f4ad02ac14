"""Whether a configuration from a file runs only known classes: files may come from strangers."""

from collections.abc import Iterator, Mapping
from typing import Any

from hydra.utils import get_object
from torch.optim import Optimizer

from ctc_lightning.networks import create_network

_OURS = tuple(
    f"ctc_lightning.{room}."
    for room in ("networks", "data", "stage", "key_encoder", "memory", "contrast", "optim")
)


def check_targets(cfg: Mapping[str, Any], *, trust: bool) -> None:
    """Refuse a configuration that could run more than our networks, data and methods.

    Args:
        cfg: plain values, with ``_target_`` at any depth.
        trust: let everything pass.

    Raises:
        ValueError: names the first target that is none of our classes and none of torch's optimizers, or the
            first interpolation, which could hide one.
    """
    for text in [] if trust else _dubious(cfg):
        raise ValueError(
            f"the configuration in the checkpoint would run {text}, which is none of ctc_lightning's "
            "networks and data; set trust=true if you know where the file comes from."
        )


def _dubious(node: Any) -> Iterator[str]:
    if isinstance(node, Mapping):
        if "_target_" in node and not _is_known(str(node["_target_"])):
            yield str(node["_target_"])
        for key, value in node.items():
            if key != "_target_":
                yield from _dubious(value)
    elif isinstance(node, list | tuple):
        for value in node:
            yield from _dubious(value)
    elif isinstance(node, str) and "${" in node:
        yield node


def _is_known(target: str) -> bool:
    """Whether it is a class of our parts, `create_network`, or an optimizer of torch's."""
    if not target.startswith(("ctc_lightning.", "torch.optim.")):
        return False
    try:
        made = get_object(target)
    except (ImportError, ValueError):
        return False
    module = f"{getattr(made, '__module__', '')}."
    if module.startswith("torch.optim."):
        return isinstance(made, type) and issubclass(made, Optimizer)
    return module.startswith(_OURS) and (isinstance(made, type) or made is create_network)
