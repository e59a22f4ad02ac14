"""The reference code's SGD probe, its quirks as switches. B: batch, N: images, F: features, L: classes."""

from dataclasses import replace

import torch
from torch import Tensor
from torch.optim.lr_scheduler import CosineAnnealingLR

from ctc_lightning.checks import count, in_range
from ctc_lightning.evaluation.classification_metrics import score
from ctc_lightning.evaluation.heads import label_loss, new_head, own_randomness
from ctc_lightning.evaluation.measured import Measured
from ctc_lightning.evaluation.probe_inputs import FrozenFeatures, ProbeInputs, TrainModeFeatures
from ctc_lightning.evaluation.protocol import ClassifierProtocol, Predicted, Task


class ReferenceProbe(ClassifierProtocol):
    """Min over W, b of CE(W f(x) + b, y): SGD without augmentation, ηₑ = η·½(1 + cos(πe/E)), e = 0..E-1.

    The head starts as `new_head` and learns ``train`` and ``val`` together, for ``test``; another one learns
    ``train`` alone, for the numbers on ``val``. Both are measured after the last epoch; nothing is chosen. In
    each epoch the images come in a new random order, the last batch with those that are left. The weight
    decay holds for b too.

    Source: dt-tradeoff@a36516b transfer.py:30-37 (values), :180-200 (head, optimizer), :203-243 (loop).
    Unlike there, a target with several labels is learnt by binary cross-entropy.

    Args:
        learning_rate: η > 0.
        momentum: in [0, 1).
        weight_decay: ≥ 0.
        batch_size: B > 0.
        epochs: E > 0.
        batch_norm_in_train_mode: True, as in transfer.py:205: f is in train mode while the head learns, so
            that BatchNorm normalises by the batch (and dropout is active), and its running statistics move to
            the target's, with which it then predicts. Needs the images, all of them in memory.
        best_epoch_on_test: True, as in transfer.py:240: of the epochs the first that is best on ``test`` by
            the target's metric is reported, which is too good a number.
        evaluate_on_val: True, as in dataset/cinic10.py:187-188: the head learns ``train`` alone and is
            measured on ``val`` under the names of the test metrics; ``test`` is not used.

    Raises:
        ValueError: a value outside its range.
    """

    version = 1

    def __init__(
        self,
        *,
        learning_rate: float,
        momentum: float,
        weight_decay: float,
        batch_size: int,
        epochs: int,
        batch_norm_in_train_mode: bool,
        best_epoch_on_test: bool,
        evaluate_on_val: bool,
    ) -> None:
        in_range("reference probe", "(0, inf)", learning_rate=learning_rate)
        in_range("reference probe", "[0, 1)", momentum=momentum)
        in_range("reference probe", "[0, inf)", weight_decay=weight_decay)
        count("reference probe", batch_size=batch_size, epochs=epochs)
        self.learning_rate = learning_rate
        self.momentum = momentum
        self.weight_decay = weight_decay
        self.batch_size = batch_size
        self.epochs = epochs
        self.batch_norm_in_train_mode = batch_norm_in_train_mode
        self.best_epoch_on_test = best_epoch_on_test
        self.evaluate_on_val = evaluate_on_val

    @property
    def uses_images(self) -> bool:  # type: ignore[override]
        """Only with BatchNorm in train mode; else the frozen features are enough."""
        return self.batch_norm_in_train_mode

    def measure(self, task: Task) -> list[Measured]:
        """As all classifiers; with ``evaluate_on_val`` the test metrics are those of ``val``."""
        if self.evaluate_on_val:
            task = replace(
                task,
                label={**task.label, "test": task.label["val"]},
                features={**task.features, "test": task.features["val"]},
            )
        return super().measure(task)

    def predict(self, task: Task) -> Predicted:
        """Learn, and predict the test split, or with ``evaluate_on_val`` ``val`` in its place.

        Raises:
            ValueError: the images are needed and not at hand, or too large; or the probe diverges.
        """
        asked = "val" if self.evaluate_on_val else "test"
        test_NL, test_label, epoch = self._fitted(
            task, "train" if self.evaluate_on_val else "trainval", asked, best=self.best_epoch_on_test
        )
        val_NL, val_label = test_NL, test_label
        if not self.evaluate_on_val:
            val_NL, val_label, _ = self._fitted(task, "train", "val", best=False)
        notes = {
            f"epoch={epoch} of the {asked} split": self.best_epoch_on_test,
            "BatchNorm in train mode": self.batch_norm_in_train_mode,
            "measured on val": self.evaluate_on_val,
        }
        chosen = "; ".join(note for note, holds in notes.items() if holds)
        return Predicted(test_NL, val_NL, chosen, test_label, val_label)

    def _fitted(self, task: Task, learnt: str, asked: str, *, best: bool) -> tuple[Tensor, Tensor, int]:
        """(N, L) logits of the ``asked`` split and its labels on the CPU, and after how many epochs."""
        with own_randomness(task.seed):
            inputs = self._inputs(task)
            x_NX, label = inputs.examples(learnt)
            head = new_head(inputs.num_features, task.num_classes, task.seed).to(task.device)
            sgd = torch.optim.SGD(
                head.parameters(),
                lr=self.learning_rate,
                momentum=self.momentum,
                weight_decay=self.weight_decay,
            )
            cosine = CosineAnnealingLR(sgd, T_max=self.epochs)
            order = torch.Generator().manual_seed(task.seed)
            answer, best_score, best_epoch = torch.empty(0), -1.0, self.epochs
            for epoch in range(1, self.epochs + 1):
                for index_B in torch.randperm(len(label), generator=order).split(self.batch_size):
                    h_BF = inputs.learning(x_NX[index_B.to(x_NX.device)])
                    loss = label_loss(head(h_BF), label[index_B.to(label.device)])
                    sgd.zero_grad()
                    loss.backward()
                    sgd.step()
                cosine.step()
                if best or epoch == self.epochs:
                    logits_NL, asked_label = inputs.logits(head, asked)
                    if not logits_NL.isfinite().all():
                        raise ValueError(
                            f"reference probe: diverged on {task.target} with learning_rate "
                            f"{self.learning_rate}; lower it, or look at the scale of the features."
                        )
                    here = score(logits_NL, asked_label, task.metric) if best else 0.0
                    if not len(answer) or here > best_score:
                        answer, best_score, best_epoch = logits_NL, here, epoch
        return answer, asked_label, best_epoch

    def _inputs(self, task: Task) -> ProbeInputs:
        if not self.batch_norm_in_train_mode:
            return FrozenFeatures(task)
        if task.images is None:
            raise ValueError(
                f"reference probe: batch_norm_in_train_mode needs the images of {task.target}, and only "
                "frozen features are at hand; turn it off, or measure from a checkpoint."
            )
        return TrainModeFeatures(task.images)
