"""I(X;T) and I(T;Y) as protocols: cross-fitted on the test images, judged on what was held out.

N: test images, M: those that are used, C: dimensions of X, F: features, L: classes, K: folds
"""

from math import isfinite, sqrt
from statistics import fmean, stdev

import torch
from scipy.stats import t as student_t
from sklearn.model_selection import KFold, StratifiedKFold
from torch import Tensor

from ctc_lightning.checks import count, in_range
from ctc_lightning.data.splits import draw as draw_share
from ctc_lightning.evaluation.measured import Measured
from ctc_lightning.evaluation.protocol import Protocol, Task
from ctc_lightning.information.estimators import Estimate, Estimator, Pairs
from ctc_lightning.information.input_view import Inputs

INFORMATION, UPPER, TRAIN = "information", "information_upper", "information_train"
_NEAR_CEILING = 0.95
_ROUNDING = (
    1e-6  # of a dimension's root mean square: float32 features vary by so much where they are the same
)
_GAP = (0.1, 0.1)  # in nats and as a share of the training value: what is more is said


class _CrossFitted(Protocol):
    """The mean over K folds of an estimate on the fold, fitted on the other folds.

    Rows, in nats: ``information``, the held-out estimate; ``information_upper``, an upper bound where the
    estimator has one; ``information_train``, the estimate on the pairs that it was fitted on. Intervals are
    95 % t-intervals over folds. Notes say where an estimate is within 5 % of the ceiling that its number of
    pairs sets, where it is 0 in every fold, and where the training estimate is well above the held-out one.

    Args:
        estimator: which.
        folds: K >= 3.
        max_images: at most so many test images, drawn with the task's seed, the same for every checkpoint.

    Raises:
        ValueError: fewer than 3 folds, or fewer images than folds.
    """

    version = 1
    measures_source = True
    splits = ("test",)

    def __init__(self, *, estimator: Estimator, folds: int, max_images: int) -> None:
        count("information", least=3, folds=folds)
        if max_images < folds:
            raise ValueError(f"information: max_images is {max_images}; it must be at least folds={folds}.")
        self.estimator, self.folds, self.max_images = estimator, folds, max_images

    def drawn(self, task: Task, label_N: Tensor | None = None) -> Tensor:
        """(M,) rows of the test images that are used, ascending; ``label_N``: of each class its share."""
        num_images = len(task.features["test"])
        if num_images < self.folds:
            raise ValueError(
                f"information: {task.target} has {num_images} test images for {self.folds} folds; add images."
            )
        if num_images <= self.max_images:
            return torch.arange(num_images)
        if label_N is not None:
            return draw_share(label_N, self.max_images, task.seed)
        draw = torch.Generator().manual_seed(task.seed)
        return torch.randperm(num_images, generator=draw)[: self.max_images].sort().values

    def estimate(self, pairs: Pairs, label_M: Tensor | None, seed: int, chosen: str) -> list[Measured]:
        """Cross-fit; ``label_M``: keep its classes' shares in every fold."""
        count = len(pairs.y_NE)
        options = {"n_splits": self.folds, "shuffle": True, "random_state": seed}
        splits = (
            KFold(**options).split(torch.zeros(count))
            if label_M is None
            else StratifiedKFold(**options).split(torch.zeros(count), label_M)
        )
        held_out: list[Estimate] = []
        train: list[float] = []
        for fold, (fitted_on, judged_on) in enumerate(splits):
            known, unseen = (pairs.rows(torch.from_numpy(rows)) for rows in (fitted_on, judged_on))
            fitted = self.estimator.fit(known, seed=seed + fold)
            held_out.append(fitted(unseen))
            if self.estimator.learns:
                train.append(fitted(known).value)
        chosen = f"{chosen}folds={self.folds}"
        if wrong := [one for one in held_out if not isfinite(one.value)]:
            raise ValueError(
                f"information: the estimate is {wrong[0].value} on a fold of {count // self.folds} images, "
                "which is no number; look at the scale of the features, or choose another estimator or noise."
            )
        note = "; ".join(_flags(held_out, train, saturates=self.estimator.saturates))
        value = [one.value for one in held_out]
        measured = [_over_folds(INFORMATION, value, count, chosen, note)]
        upper = [one.upper for one in held_out]
        if upper[0] == upper[0]:  # not NaN
            measured.append(_over_folds(UPPER, upper, count, chosen, ""))
        if train:
            measured.append(_over_folds(TRAIN, train, count, chosen, ""))
        return measured


class InputInformation(_CrossFitted):
    """I(X; T_σ), T_σ = (T − mean)/rms + σ ε: what the features, seen through noise, tell of the input.

    T = f(x) is a deterministic function with continuous values: I(X;T) itself is infinite, and an estimate
    of it says what its estimator can reach. With noise of a stated size the information is finite; σ is in
    units of the features' root mean square deviation, one number for all dimensions. The noise is the same
    draw for every checkpoint.

    Args:
        estimator: of I(X; T_σ).
        x: what stands for X; unused by an estimator that knows the noise.
        noise: σ >= 0; 0: none.
        folds: see `_CrossFitted`.
        max_images: likewise.

    Raises:
        ValueError: σ < 0; σ = 0 or images where the estimator needs noise or classes.
    """

    version = 1
    needs_labels = False

    def __init__(self, *, estimator: Estimator, x: Inputs, noise: float, folds: int, max_images: int) -> None:
        super().__init__(estimator=estimator, folds=folds, max_images=max_images)
        in_range("information", "[0, inf)", noise=noise)
        if estimator.needs == "classes":
            raise ValueError(
                f"information: {type(estimator).__name__} estimates what features say about classes, and "
                "estimator@xt asks about images; choose it with estimator@ty, or another estimator@xt."
            )
        if estimator.needs == "noise" and not noise:
            raise ValueError(
                f"information: {type(estimator).__name__} needs noise on the features, and noise is 0; set "
                "noise=0.5, or choose another estimator@xt."
            )
        self.x, self.noise = (x if estimator.uses_x else None), float(noise)
        self.uses_images = estimator.uses_x

    def measure(self, task: Task) -> list[Measured]:
        """See `_CrossFitted`.

        Raises:
            ValueError: features that are the same for every image; see `Estimator.fit`.
        """
        rows_M = self.drawn(task)
        clean_MF = _standardised(task.features["test"][rows_M.to(task.device)], task.target)
        draw = torch.Generator().manual_seed(task.seed)
        noise_MF = torch.randn(clean_MF.shape, generator=draw).to(clean_MF)
        x_MC = clean_MF
        chosen = ""
        if self.x is not None:
            assert task.images is not None, "asked for by uses_images"
            x_MC = self.x.of(task.images, rows_M)
            chosen = "".join(f"{key}={value}; " for key, value in self.x.settings.items())
        pairs = Pairs(x_MC, clean_MF + self.noise * noise_MF, clean_MF if self.noise else None, self.noise)
        return self.estimate(pairs, None, task.seed, f"{chosen}noise={self.noise}; ")


class LabelInformation(_CrossFitted):
    """I(T; Y), Y the target's label: of the source task, of another one, or a factor Z of the images.

    Args:
        estimator: of I(T; Y).
        folds: see `_CrossFitted`.
        max_images: likewise.

    Raises:
        ValueError: the estimator needs noise on y or independent dimensions, which classes have not.
    """

    version = 1
    takes_multi_label = False

    def __init__(self, *, estimator: Estimator, folds: int, max_images: int) -> None:
        super().__init__(estimator=estimator, folds=folds, max_images=max_images)
        if estimator.needs == "noise":
            raise ValueError(
                f"information: {type(estimator).__name__} needs noise on y, and classes have none; choose it "
                "with estimator@xt, or another estimator@ty."
            )
        if estimator.needs == "independent":
            raise ValueError(
                f"information: {type(estimator).__name__} without shrinkage needs independent dimensions "
                "of y, and one-hot classes sum to 1; leave 0 out of its shrinkages, or choose another "
                "estimator@ty."
            )

    def measure(self, task: Task) -> list[Measured]:
        """See `_CrossFitted`.

        Raises:
            ValueError: a multi-label target, a class with fewer images than folds; see `Estimator.fit`.
        """
        if task.multi_label:
            raise ValueError(
                f"information: images of {task.target} may have several labels; choose a single-label target."
            )
        rows_M = self.drawn(task, task.label["test"])
        label_M = task.label["test"][rows_M]
        there, label_M = label_M.unique(return_inverse=True)
        rarest = int(torch.bincount(label_M).min())
        if rarest < self.folds:
            raise ValueError(
                f"information: a class of {task.target} has {rarest} test images, each of {self.folds} folds "
                f"needs one; add images, lower folds (3 at least), or raise max_images ({len(rows_M)} of "
                f"{len(task.label['test'])} images are used)."
            )
        h_MF = task.features["test"][rows_M.to(task.device)]
        one_hot_ML = torch.nn.functional.one_hot(label_M, len(there)).float().to(task.device)
        pairs = Pairs(_standardised(h_MF, task.target), one_hot_ML)
        return self.estimate(pairs, label_M, task.seed, "")


def _standardised(h_NF: Tensor, target: str) -> Tensor:
    """(T − mean)/rms, rms² the mean variance over dimensions, flat ones 0; in float64 on the way."""
    centred_NF = h_NF.double() - h_NF.double().mean(0)
    # what rounding alone makes differ tells nothing, however large it becomes when divided by its own size
    deviation_F = centred_NF.square().mean(0).sqrt()
    flat_F = deviation_F <= _ROUNDING * h_NF.double().square().mean(0).sqrt()
    centred_NF[:, flat_F] = 0
    rms = centred_NF.square().mean().sqrt()
    if not rms > 0:
        raise ValueError(
            f"information: the features of all test images of {target} are the same, which tells nothing of "
            "them; the network has collapsed, look at its training."
        )
    return (centred_NF / rms).float()


def _over_folds(metric: str, values: list[float], count: int, chosen: str, note: str) -> Measured:
    mean = fmean(values)
    half = float(student_t.ppf(0.975, len(values) - 1)) * stdev(values) / sqrt(len(values))
    return Measured(metric, mean, mean - half, mean + half, count, chosen, note)


def _flags(held_out: list[Estimate], train: list[float], *, saturates: bool) -> list[str]:
    value, ceiling = (
        fmean(column) for column in ([e.value for e in held_out], [e.ceiling for e in held_out])
    )
    flags = []
    if saturates and value > _NEAR_CEILING * ceiling:
        flags.append(f"within 5 % of its ceiling of {ceiling:.2f} nats")
    if all(one.value == 0 for one in held_out):
        flags.append("0 because nothing that was learnt held on other pairs")
    gap = fmean(train) - value if train else 0.0
    if gap > _GAP[0] and gap > _GAP[1] * fmean(train):
        flags.append(f"training estimate {gap:.2f} nats above")
    return flags
