"""Another library's network of the same architecture, filled with a checkpoint's tensors."""

# L classes, F features

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ctc_lightning.export.trained import Trained
from ctc_lightning.networks.state_dict import differences


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
        state = _neutral_norms(twin, classifiers) | state
        for place in classifiers:
            for name, tensor in trained.classifier.state_dict().items():
                there = expected.get(f"{place}.{name}", tensor)
                same = there.numel() == tensor.numel()  # a 1x1 convolution is a linear layer
                state[f"{place}.{name}"] = (tensor.reshape(there.shape) if same else tensor).detach().clone()
    if problems := differences(expected, state):
        raise ValueError(
            f"{trained.title} is not {library}'s {trained.model}: the checkpoint {problems}; choose "
            "format=safetensors or format=onnx."
        )
    twin.load_state_dict(state, strict=True)
    twin.eval()
    return state


def _neutral_norms(twin: nn.Module, classifiers: Sequence[str]) -> dict[str, Tensor]:
    """BatchNorm in the twin's heads, as LeViT has it, set to the identity: W was trained without one."""
    state: dict[str, Tensor] = {}
    for place in classifiers:
        head = place.rpartition(".")[0]
        for name, norm in twin.get_submodule(head).named_modules(prefix=head) if head else ():
            if isinstance(norm, nn.BatchNorm1d):
                norm.reset_parameters()
                assert norm.running_var is not None
                norm.running_var.fill_(1 - norm.eps)
                state |= {f"{name}.{part}": tensor for part, tensor in norm.state_dict().items()}
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
