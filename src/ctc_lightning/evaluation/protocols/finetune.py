"""Fine-tuning: all of the network learns the target. B: batch, N: images, L: classes."""

import logging
from collections.abc import Iterator, Sequence
from itertools import count, islice, product

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import CosineAnnealingLR
from tqdm import tqdm

from ctc_lightning import checks
from ctc_lightning.evaluation.classification_metrics import score
from ctc_lightning.evaluation.heads import answers, label_loss, new_head, own_randomness
from ctc_lightning.evaluation.protocol import ClassifierProtocol, Predicted, TargetImages, Task

_log = logging.getLogger(__name__)
_MOMENTUM = 0.9
_LOOK_EVERY = 50  # steps: reading the loss makes the device wait


class FineTune(ClassifierProtocol):
    """Min over f, W, b of the loss of W f(x) + b: SGD, Nesterov momentum 0.9, ηₜ = η·½(1 + cos(πt/T)).

    Every pair (η, δ) starts from the pretrained f and the same new head, with the same batches, and learns
    ``train``; the weight decay is δ/η, so that one plain step at full learning rate shrinks a weight by δ.
    The pair with the best validation score by the target's metric, the first of equally good ones, learns
    ``train`` and ``val`` together, again from the pretrained f, and is tested once. A pair whose loss is not
    finite is out. BatchNorm is in train mode while learning, in eval mode while predicting. Parameters of f
    that were frozen learn too.

    Source: ssl-transfer@416913f finetune.py:113-151 (the loop) and :519-521 (the grid: 4 rates, 5 decays).
    Unlike there, an epoch's last incomplete batch is left out.

    Args:
        learning_rates: η, each > 0.
        step_decays: δ, each in [0, 1).
        steps: T, of each pair, > 0; epochs follow each other until they are done.
        batch_size: B, > 0.

    Raises:
        ValueError: a value outside its range.
    """

    version = 1
    uses_images = True

    def __init__(
        self, *, learning_rates: Sequence[float], step_decays: Sequence[float], steps: int, batch_size: int
    ) -> None:
        checks.in_range("finetune", "(0, inf)", learning_rates=list(learning_rates))
        checks.in_range("finetune", "[0, 1)", step_decays=list(step_decays))
        checks.count("finetune", steps=steps, batch_size=batch_size)
        self.learning_rates = list(learning_rates)
        self.step_decays = list(step_decays)
        self.steps = steps
        self.batch_size = batch_size

    def predict(self, task: Task) -> Predicted:
        """Choose on ``val``, learn ``train`` and ``val``, predict ``test``.

        Raises:
            ValueError: no images, too few of them, or nothing that converges.
        """
        if task.images is None:
            raise ValueError(
                f"finetune: {task.target} is at hand as frozen features only; measure it from a checkpoint, "
                "not during training."
            )
        pairs = list(product(self.learning_rates, self.step_decays))
        total = (len(pairs) + 1) * self.steps
        with tqdm(total=total, desc=f"finetune {task.target}", unit=" steps", delay=2, leave=False) as bar:
            best, best_score, val = None, -1.0, (torch.empty(0), torch.empty(0))
            for pair in pairs:
                found = self._tuned(task, task.images, pair, "train", "val", bar)
                if found is None:
                    _log.warning("finetune %s: %s: the loss is not finite", task.target, self._named(pair))
                    continue
                val_score = score(*found, task.metric)
                _log.info(
                    "finetune %s: %s: val %s %.4f", task.target, self._named(pair), task.metric, val_score
                )
                if best is None or val_score > best_score:
                    best, best_score, val = pair, val_score, found
            if best is None:
                raise ValueError(
                    f"finetune: the loss on {task.target} is not finite with any of the learning rates "
                    f"{self.learning_rates}; give lower ones."
                )
            test = self._tuned(task, task.images, best, "trainval", "test", bar)
        if test is None:
            raise ValueError(
                f"finetune: {self._named(best)}, chosen on the validation images of {task.target}, gives no "
                "finite loss on train and val together; leave out the highest learning rate."
            )
        (test_NL, test_label), (val_NL, val_label) = test, val
        return Predicted(test_NL, val_NL, self._named(best), test_label, val_label)

    def _tuned(
        self, task: Task, images: TargetImages, pair: tuple[float, float], learnt: str, asked: str, bar: tqdm
    ) -> tuple[Tensor, Tensor] | None:
        """(N, L) logits of the ``asked`` split and its labels on the CPU; None where learning diverged."""
        rate, decay = pair
        start = bar.n
        with own_randomness(task.seed):
            backbone = images.backbone()
            head = new_head(int(backbone.num_features), task.num_classes, task.seed)  # type: ignore[arg-type]
            model = nn.Sequential(backbone, head).to(images.device).requires_grad_().train()
            sgd = torch.optim.SGD(
                model.parameters(), lr=rate, momentum=_MOMENTUM, nesterov=True, weight_decay=decay / rate
            )
            cosine = CosineAnnealingLR(sgd, T_max=self.steps)
            seen = torch.zeros((), device=images.device)  # one loss that is not finite makes the sum so
            for step, (view_BCHW, label) in enumerate(islice(self._batches(images, learnt), self.steps), 1):
                loss = label_loss(model(view_BCHW), label)
                sgd.zero_grad()
                loss.backward()
                sgd.step()
                cosine.step()
                seen += loss.detach()
                bar.update()
                if (step % _LOOK_EVERY == 0 or step == self.steps) and not seen.isfinite():
                    bar.update(start + self.steps - bar.n)
                    return None
            model.eval()
            found = answers(model, images.batches(asked))
        return found if found[0].isfinite().all() else None

    def _batches(self, images: TargetImages, split: str) -> Iterator[tuple[Tensor, Tensor]]:
        for epoch in count():
            empty = True
            for batch in images.batches(split, batch_size=self.batch_size, train=True, epoch=epoch):
                empty = False
                yield batch
            if empty:
                raise ValueError(
                    f"finetune: the {split} images fill no batch of {self.batch_size}; choose a smaller "
                    "batch_size."
                )

    @staticmethod
    def _named(pair: tuple[float, float]) -> str:
        rate, decay = pair
        return f"lr={rate:.6g}, wd={decay / rate:.6g}"
