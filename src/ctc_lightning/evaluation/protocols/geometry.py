"""How the target's test images lie in feature space: collapse, rank, norm, spread, likeness to other moments.

N: test images, F: features, L: target classes
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from ctc_lightning.checks import count
from ctc_lightning.evaluation.measured import Measured
from ctc_lightning.evaluation.protocol import Protocol, Task
from ctc_lightning.evaluation.training_free import LOCAL, each_of, shuffled_by_class, value_of
from ctc_lightning.metrics import (
    Alignment,
    EffectiveRank,
    FeatureNorm,
    LinearCKA,
    NearestCentreAgreement,
    NeuralCollapse,
    Uniformity,
    VariabilityCollapseIndex,
)


class FeatureGeometry(Protocol):
    """Numbers of the test split's features, those with * also of the target's labels.

    - ``nc1``*, ``nc2_equinorm``*, ``nc2_equiangular``*, ``nc2_maximal_angle``*: `NeuralCollapse` onto the
      means of the *target's* classes: low where they are compact and far apart.
    - ``nc3``*, ``nc4``: only of the source task, whose classifier the network has: how far its weights are
      from the class means (`NeuralCollapse`), and the share of test images that it classifies as the nearest
      mean of the training images does (`NearestCentreAgreement`).
    - ``vci``*: `VariabilityCollapseIndex`, likewise.
    - ``alignment``*: `Alignment` of pairs of images of one class, in [0, 4]. Each image is paired with the
      one that follows it in a circle through its class, of random order (the task's seed); a class with a
      single image has no pair.
    - ``uniformity``: `Uniformity`, in [−8, 0], the lower the more evenly the images spread.
    - ``effective_rank``: `EffectiveRank` of centred features, in [1, F].
    - ``feature_norm``, ``feature_norm_variation``: `FeatureNorm`'s mean and coefficient of variation.
    - ``cka_NAME``: debiased `LinearCKA` with the features of the same images at another moment of the run,
      for each NAME of the task's ``compared_to`` ("first", "previous"); at most 1, 0 on average for
      unrelated features.

    What cannot be computed, as the collapse of a class with a single image, is left out with a logged
    warning; of a multi-label target there are only those without *.

    Args:
        uniformity_images: uniformity is of at most so many images, drawn with the task's seed, >= 2; None: of
            all. Its time grows with their square: 0.6 s for 6000 images of 64 features on one thread.

    Raises:
        ValueError: ``uniformity_images`` < 2.
    """

    version = 1
    measures_source = True
    compares_checkpoints = True

    def __init__(self, *, uniformity_images: int | None) -> None:
        count("geometry", least=2, null=True, uniformity_images=uniformity_images)
        self.uniformity_images = uniformity_images

    def measure(self, task: Task) -> list[Measured]:
        """All numbers.

        Raises:
            ValueError: none can be computed.
        """
        computations: dict[str, Callable[[Task], list[Measured]]] = {
            "effective_rank": _effective_rank,
            "feature_norm": _feature_norm,
            "uniformity": self._uniformity,
        }
        if not task.multi_label:
            computations |= {"nc": _neural_collapse, "vci": _vci, "alignment": _alignment}
            if task.classifier is not None:
                computations["nc4"] = _nearest_centre
        computations |= {f"cka_{name}": partial(_cka, name) for name in task.compared_to}
        return each_of("geometry", task, {name: partial(f, task) for name, f in computations.items()})

    def _uniformity(self, task: Task) -> list[Measured]:
        h_NF = task.features["test"]
        if self.uniformity_images is not None and self.uniformity_images < len(h_NF):
            drawn_N = torch.randperm(len(h_NF), generator=torch.Generator().manual_seed(task.seed))
            h_NF = h_NF[drawn_N[: self.uniformity_images].to(h_NF.device)]
        value = value_of(Uniformity(h_NF.shape[1], **LOCAL), task.device, h_NF)
        return [Measured("uniformity", value, n=len(h_NF))]


def _neural_collapse(task: Task) -> list[Measured]:
    h_NF, label_N = _labelled(task)
    weight_LF = None if task.classifier is None else task.classifier.weight.detach()
    metric = NeuralCollapse(h_NF.shape[1], task.num_classes, weight_LF, **LOCAL)
    found = value_of(metric, task.device, h_NF, label_N)
    return [Measured(name, value, n=len(h_NF)) for name, value in found.items()]


def _nearest_centre(task: Task) -> list[Measured]:
    assert task.classifier is not None, "a target has none"
    h_NF = task.features["test"]
    known = NeuralCollapse(h_NF.shape[1], task.num_classes, **LOCAL).to(task.device)
    known.update(task.features["train"], task.label["train"].to(task.device))
    weight_LF, bias_L = task.classifier.weight.detach(), task.classifier.bias.detach()
    metric = NearestCentreAgreement(known.moments.mean_LF, weight_LF.double(), bias_L.double(), **LOCAL)
    return [Measured("nc4", value_of(metric, task.device, h_NF), n=len(h_NF))]


def _vci(task: Task) -> list[Measured]:
    h_NF, label_N = _labelled(task)
    metric = VariabilityCollapseIndex(h_NF.shape[1], task.num_classes, **LOCAL)
    return [Measured("vci", value_of(metric, task.device, h_NF, label_N), n=len(h_NF))]


def _alignment(task: Task) -> list[Measured]:
    h_NF, label_N = _labelled(task)
    by_class_N, place_N = shuffled_by_class(label_N, task.seed)
    last_N = torch.cat([place_N[1:] == 0, torch.ones(1, dtype=torch.bool)])
    start_N = torch.arange(len(label_N)) - place_N
    follower_N = by_class_N[torch.where(last_N, start_N, torch.arange(len(label_N)) + 1)]
    paired_N = by_class_N != follower_N
    pairs = (h_NF[index_N[paired_N].to(h_NF.device)] for index_N in (by_class_N, follower_N))
    value = value_of(Alignment(h_NF.shape[1], **LOCAL), task.device, *pairs)
    return [Measured("alignment", value, n=int(paired_N.sum()))]


def _effective_rank(task: Task) -> list[Measured]:
    h_NF = task.features["test"]
    return [
        Measured(
            "effective_rank", value_of(EffectiveRank(h_NF.shape[1], **LOCAL), task.device, h_NF), n=len(h_NF)
        )
    ]


def _feature_norm(task: Task) -> list[Measured]:
    h_NF = task.features["test"]
    found = value_of(FeatureNorm(h_NF.shape[1], **LOCAL), task.device, h_NF)
    names = {"mean": "feature_norm", "variation": "feature_norm_variation"}
    return [Measured(names[name], value, n=len(h_NF)) for name, value in found.items()]


def _cka(name: str, task: Task) -> list[Measured]:
    h_NF, other_NG = task.features["test"], task.compared_to[name]
    metric = LinearCKA(h_NF.shape[1], other_NG.shape[1], debiased=True, **LOCAL)
    return [Measured(f"cka_{name}", value_of(metric, task.device, h_NF, other_NG), n=len(h_NF))]


def _labelled(task: Task) -> tuple[Tensor, Tensor]:
    return task.features["test"], task.label["test"]
