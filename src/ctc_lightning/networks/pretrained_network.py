"""A network that somebody has trained: its backbone and, where it fits, its classifier."""

# L classes, F features

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ctc_lightning.data.class_names import difference, reorder
from ctc_lightning.networks.network import Network, create_network
from ctc_lightning.networks.weights import CLASSIFIERS, load_weights, read_classes

log = logging.getLogger(__name__)


class PretrainedNetwork(Network):
    """f begins with a file's weights, and so does W if the file has a classifier of L classes.

    A file's classifier is one linear layer beside the backbone that is called as in torchvision, timm and
    solo-learn (``fc``, ``head``, ``classifier``, …). Where the file names its classes, `match_classes`
    compares them with the data's; otherwise they must be the data's, in the same order, and only their number
    is checked.

    Args:
        pretrained: a file, see `load_weights`; True: the library's published backbone, W at random; False:
            both at random.
        keep_classifier: False: W is drawn at random, as for other classes than the file's.
        options: all others of `create_network`.

    Attributes:
        classes: names of the classes of W's rows, as the file has them; empty where W is not the file's.

    Raises:
        ValueError: as `create_network`; ``pretrained`` is None; no such file, or one of another network.
    """

    def __init__(
        self,
        *,
        pretrained: bool | str | Path | None = False,
        keep_classifier: bool = True,
        **options: Any,
    ) -> None:
        if pretrained is None:
            raise ValueError(
                "there are no weights to begin with: give checkpoint=FILE (network.pretrained=FILE), or "
                "checkpoint=true for published ones."
            )
        path = None if isinstance(pretrained, bool) else Path(pretrained)
        made = create_network(pretrained=path is None and bool(pretrained), **options)
        super(Network, self).__init__()  # takes over what is made: W is drawn once
        self.backbone, self.projector, self.classifier = made.backbone, made.projector, made.classifier
        beside = {} if path is None else load_weights(self.backbone, path)
        self.pretrained = pretrained
        self.classes: tuple[str, ...] = ()
        if path is not None and keep_classifier:
            self._load_classifier(beside, path)

    def _load_classifier(self, beside: Mapping[str, Tensor], path: Path) -> None:
        found = classifier_of(beside, self.classifier.in_features)
        if found is None:
            log.info("%s holds no classifier: it is initialised from scratch.", path)
            return
        weight_LF, bias_L = found
        here, there = self.classifier.out_features, len(weight_LF)
        if here != there:
            log.info(
                "%s classifies %d classes and the data have %d: the classifier is initialised from scratch.",
                path,
                there,
                here,
            )
            return
        with torch.no_grad():
            self.classifier.weight.copy_(weight_LF)
            self.classifier.bias.copy_(bias_L)
        self.classes = read_classes(path)
        log.info("The classifier of %d classes is loaded from %s.", here, path)

    def match_classes(self, classes: Sequence[str]) -> None:
        """Bring W's rows into the order of the data's classes, by name.

        Args:
            classes: L names, in the order of the labels; empty where they have none.

        Raises:
            ValueError: W stands for other classes.
        """
        if not reorder(self.classifier, self.classes, classes):
            raise ValueError(
                f"the classifier in {self.pretrained} is of other classes than the data: "
                f"{difference(self.classes, classes)}; set network.keep_classifier=false to initialise it "
                "from scratch, or rename the classes."
            )
        self.classes = tuple(classes)


def classifier_of(beside: Mapping[str, Tensor], num_features: int) -> tuple[Tensor, Tensor] | None:
    """The only linear layer, weight (L, F) and bias (L,), among the heads of a file; else None.

    A head of several layers, as a projector or one with a norm, is none.
    """
    heads = {name: tensor for name, tensor in beside.items() if name.partition(".")[0] in CLASSIFIERS}
    if sorted(name.rpartition(".")[2] for name in heads) != ["bias", "weight"]:
        return None
    bias, weight = (heads[name] for name in sorted(heads, key=lambda name: name.rpartition(".")[2]))
    weight_LF = weight.flatten(1) if weight.ndim > 1 else weight  # timm has 1x1 convolutions
    return (weight_LF, bias) if weight_LF.shape == (*bias.shape, num_features) else None
