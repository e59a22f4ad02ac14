"""Another library's network of the same architecture, filled with a checkpoint's tensors."""

# L classes, F features

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ctc_lightning.export.trained import Trained


def fill_twin(
    twin: nn.Module, trained: Trained, classifiers: Sequence[str], library: str
) -> dict[str, Tensor]:
    """Load backbone, and classifier if there is one, into another library's network, strictly.

    Args:
        twin: the network, filled in place and set to eval mode.
        trained: the checkpoint's.
        classifiers: where the twin has its classifier; two places (distilled transformers, which average two
            heads) both get it.
        library: for messages.

    Returns:
        The twin's state dict, contiguous.

    Raises:
        ValueError: the twin has other tensors.
    """
    state = {name: tensor.detach().contiguous() for name, tensor in trained.backbone.state_dict().items()}
    expected = twin.state_dict()
    if trained.classifier is not None:
        for place in classifiers:
            for name, tensor in trained.classifier.state_dict().items():
                there = expected.get(f"{place}.{name}", tensor)
                same = there.numel() == tensor.numel()  # a 1x1 convolution is a linear layer
                state[f"{place}.{name}"] = (tensor.reshape(there.shape) if same else tensor).detach().clone()
    for name in [*expected, *state]:
        here = tuple(state[name].shape) if name in state else "missing"
        there_shape = tuple(expected[name].shape) if name in expected else "missing"
        if here != there_shape:
            raise ValueError(
                f"{trained.title} is not {library}'s {trained.model}: {name} is {here} in the checkpoint and "
                f"{there_shape} there; choose format=safetensors or format=onnx."
            )
    twin.load_state_dict(state, strict=True)
    twin.eval()
    return state


@torch.no_grad()
def outputs_of(twin: nn.Module, trained: Trained) -> Tensor:
    """Of the images on which outputs are compared."""
    found: Tensor = twin(trained.images())
    return found


def call(function: str, first: str, options: dict[str, object]) -> str:
    """Python code of a call, for the model card."""
    return (
        f"{function}({', '.join([repr(first), *(f'{name}={value!r}' for name, value in options.items())])})"
    )
