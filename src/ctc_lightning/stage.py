"""Stages: which contrast with the past applies when, and how strongly. N: training images."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from torch import Tensor, nn

from ctc_lightning.checks import in_range
from ctc_lightning.contrast.protocol import Contrast
from ctc_lightning.key_encoder.protocol import KeyEncoder
from ctc_lightning.memory.protocol import Memory
from ctc_lightning.networks.network import Network


class Stage(nn.Module):
    """L = CE + λ · contrast for some epochs. Without the three parts it is cross-entropy alone.

    Args:
        epochs: an int counts epochs, a float in (0, 1) is a share of the whole training (rounded),
            None is the rest of it.
        weight: λ >= 0.
        lr_scale: > 0; multiplies the learning rate, whose schedule restarts with the stage.
        weight_decay_scale: >= 0; multiplies the weight decay.
        key_encoder: who embeds the past view.
        memory: which keys meet the query.
        contrast: what the loss is.
        projector: a constructor ``num_features -> nn.Module`` of a query head of the stage's own; None: the
            network's.
        refresh: whether the stage begins with one pass over the training images that fills the memory.

    Raises:
        ValueError: a value out of range, or parts that do not fit each other.
    """

    def __init__(
        self,
        epochs: int | float | None = None,
        weight: float = 1.0,
        lr_scale: float = 1.0,
        weight_decay_scale: float = 1.0,
        key_encoder: KeyEncoder | None = None,
        memory: Memory | None = None,
        contrast: Contrast | None = None,
        projector: Callable[[int], nn.Module] | None = None,
        *,
        refresh: bool = False,
    ) -> None:
        super().__init__()
        if epochs is not None and not (0 < epochs < 1 or (epochs >= 1 and epochs % 1 == 0)):
            raise ValueError(
                f"stage: epochs is {epochs}; give a whole number of at least 1, a share of the training "
                "between 0 and 1, or null for the rest."
            )
        in_range("stage", "[0, inf)", weight=weight, weight_decay_scale=weight_decay_scale)
        in_range("stage", "(0, inf)", lr_scale=lr_scale)
        parts = {"key_encoder": key_encoder, "memory": memory, "contrast": contrast}
        missing = [name for name, part in parts.items() if part is None]
        if 0 < len(missing) < len(parts):
            raise ValueError(
                f"stage: a contrast needs key_encoder, memory and contrast, but {' and '.join(missing)} "
                "is null; name it, or set all three to null for cross-entropy alone."
            )
        if missing and (projector is not None or refresh):
            raise ValueError(
                f"stage: cross-entropy alone uses no projector and no refresh, but projector is {projector} "
                f"and refresh is {refresh}; leave both out, or name key_encoder, memory and contrast."
            )
        if key_encoder and memory and not (key_encoder.has_own_network or memory.stores_positive):
            raise ValueError(
                f"stage: with key_encoder=query and memory={type(memory).__name__} each query would be its "
                "own positive; take memory=bank, or key_encoder=momentum."
            )
        if refresh and memory and not memory.outlives_the_step:
            raise ValueError(
                f"stage: refresh is true, but {type(memory).__name__} keeps nothing; set refresh=false."
            )
        self.epochs = epochs
        self.weight = weight
        self.lr_scale = lr_scale
        self.weight_decay_scale = weight_decay_scale
        # All three are None, or none is: checking `contrast` is enough
        self.contrast = contrast
        self.key_encoder: KeyEncoder = key_encoder  # type: ignore[assignment]
        self.memory: Memory = memory  # type: ignore[assignment]
        self.refresh = refresh
        self._make_projector = projector
        self.projector: nn.Module | None = None

    def build(self, name: str, network: Network, label_N: Tensor | None) -> None:
        """Complete the parts once the network is known.

        Args:
            name: the stage's name, for messages.
            network: f, g and W.
            label_N: (N,) int64 labels of the training images; None: they are given to `allocate` later.

        Raises:
            ValueError: no projector, heads of different width, or too few images for the memory.
        """
        if self.contrast is None:
            return
        if self._make_projector is not None:
            self.projector = self._make_projector(network.classifier.in_features)
        if self.projector is None and network.projector is None:
            raise ValueError(
                f"stage {name!r} contrasts embeddings, but the network has no projector: set "
                "network.projector, for example projector@network.projector=linear."
            )
        encoder = self.encoder(network)
        self.key_encoder.build(encoder)
        query_head: Any = encoder[1]
        key_head: Any = getattr(self.key_encoder, "encoder", encoder)[1]
        if key_head.dim != query_head.dim:
            raise ValueError(
                f"stage {name!r}: the key encoder's projector has {key_head.dim} dimensions and the query's "
                f"{query_head.dim}; they must be equal."
            )
        if label_N is not None:
            self.allocate(network, label_N)

    def allocate(self, network: Network, label_N: Tensor) -> None:
        """Make the memory's state for the training images with these labels, (N,) int64.

        Raises:
            ValueError: too few images for the memory.
        """
        if self.contrast is not None:
            self.memory.allocate(cast("int", self.projector_of(network).dim), label_N)

    def projector_of(self, network: Network) -> nn.Module:
        """The query's head: the stage's own, else the network's g."""
        projector = self.projector or network.projector
        assert projector is not None, "build() has refused this"
        return projector

    def heads(self, network: Network) -> list[nn.Parameter]:
        """The trained parameters, beside f and W, that this stage's loss reaches."""
        if self.contrast is None:
            return []
        parts = nn.ModuleList([self.projector_of(network), self.key_encoder])
        return [parameter for parameter in parts.parameters() if parameter.requires_grad]

    def encoder(self, network: Network) -> nn.Sequential:
        """The query's encoder: f, then the head."""
        return nn.Sequential(network.backbone, self.projector_of(network))


@dataclass(frozen=True)
class Position:
    """Where in the training an epoch lies: the stage's name, its first epoch and its length in epochs."""

    name: str
    first_epoch: int
    num_epochs: int


class StageSchedule:
    """Lays the stages end to end over ``max_epochs``.

    Raises:
        ValueError: stages that are empty, do not fit, or leave epochs over.
    """

    def __init__(self, stages: Mapping[str, Stage], max_epochs: int) -> None:
        if not stages:
            raise ValueError("model.stages is empty; name at least one stage.")
        self.positions: list[Position] = []
        begin = 0
        for name, stage in stages.items():
            epochs = stage.epochs
            if epochs is None:
                length = max_epochs - begin
            else:
                length = round(epochs * max_epochs) if epochs < 1 else int(epochs)
            if length < 1:
                raise ValueError(
                    f"stage {name!r} would have {length} epochs: trainer.max_epochs is {max_epochs} and the "
                    f"stages before it take {begin}; give it at least 1."
                )
            self.positions.append(Position(name, begin, length))
            begin += length
        if begin != max_epochs:
            lengths = ", ".join(f"{p.name} {p.num_epochs}" for p in self.positions)
            raise ValueError(
                f"the stages take {begin} epochs ({lengths}) but trainer.max_epochs is {max_epochs}; make "
                "them equal, or set one stage's epochs to null for the rest."
            )

    def at(self, epoch: int) -> Position:
        """The stage of a 0-based epoch; past the end, the last one."""
        return next((p for p in self.positions if epoch < p.first_epoch + p.num_epochs), self.positions[-1])

    def ends_with(self, epoch: int) -> str | None:
        """The name of the stage whose last epoch (0-based) this is."""
        return next((p.name for p in self.positions if epoch == p.first_epoch + p.num_epochs - 1), None)
