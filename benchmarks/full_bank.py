"""InfoNCE over all rows of a bank against every logit at once: ``python benchmarks/full_bank.py``.

B: queries, N: images, D: projection
"""

from statistics import median

import torch
from sampled_bank import peak_mib
from side_by_side import interleave, ratios, seconds_of, spread, start, table, verdict
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from ctc_lightning.batch import Batch
from ctc_lightning.contrast import InfoNCE
from ctc_lightning.memory import MemoryBank
from ctc_lightning.memory.bank import RowDtype
from ctc_lightning.memory.protocol import Exclude

D, TEMPERATURE, NUM_CLASSES = 128, 0.1, 1000
IMAGENET = 1_281_167
SIZES = [(64, 1500), (64, 50_000), (256, 50_000), (256, IMAGENET)]  # B, N: glyphs, CIFAR, ImageNet
MOST_MIB = 200e6 / 2**20


class FullBankLoss:
    """A bank of N rows and InfoNCE as a stage composes them, and the naive loss on the same rows."""

    def __init__(self, num_queries: int, num_images: int, exclude: Exclude, dtype: RowDtype) -> None:
        torch.manual_seed(0)
        label_N = torch.arange(num_images) % NUM_CLASSES
        index_B = torch.randperm(num_images)[:num_queries]
        self.batch = Batch(torch.empty(0), torch.empty(0), label_N[index_B], index_B)
        self.query_BD = normalize(torch.randn(num_queries, D), dim=-1).requires_grad_()
        self.bank = MemoryBank(0.9, exclude=exclude, dtype=dtype)
        self.bank.allocate(D, label_N)
        self.contrast = InfoNCE(TEMPERATURE)
        self.check()

    def loss(self) -> Tensor:
        """The package's."""
        return self.contrast(self.query_BD, self.bank.draw(self.query_BD, self.query_BD, self.batch))

    def naive(self) -> Tensor:
        """Softmax over all rows of which row i is the right one, and others of its class may be left out."""
        label_B, index_B = self.batch.label, self.batch.index
        logit_BN = self.query_BD @ self.bank.row_ND.to(self.query_BD.dtype).T / TEMPERATURE
        if self.bank.exclude == "class":
            positive_B1 = logit_BN.gather(1, index_B[:, None])
            logit_BN = logit_BN.masked_fill(label_B[:, None] == self.bank.label_N, -torch.inf)
            logit_BN = logit_BN.scatter(1, index_B[:, None], positive_B1)
        return cross_entropy(logit_BN, index_B)

    def check(self) -> None:
        """Both give one loss and one gradient."""
        ours, naive = self.loss(), self.naive()
        torch.testing.assert_close(ours, naive, rtol=1e-5, atol=0)
        ours_BD, naive_BD = (torch.autograd.grad(loss, self.query_BD)[0] for loss in (ours, naive))
        torch.testing.assert_close(ours_BD, naive_BD, rtol=1e-5, atol=1e-5 * float(naive_BD.abs().max()))

    def step(self) -> None:
        """Forward and backward."""
        self.loss().backward()

    def naive_step(self) -> None:
        """Forward and backward, naively."""
        self.naive().backward()


def measure(
    num_queries: int, num_images: int, exclude: Exclude, dtype: RowDtype, rounds: int
) -> tuple[list[str], float, float]:
    """A table's row, the median speed-up and the package's MiB."""
    loss = FullBankLoss(num_queries, num_images, exclude, dtype)
    seconds = interleave({"naive": seconds_of(loss.naive_step), "ours": seconds_of(loss.step)}, rounds)
    faster = ratios(seconds["naive"], seconds["ours"])
    naive_mib, mib = peak_mib(loss.naive_step), peak_mib(loss.step)
    return (
        [
            f"B {num_queries}, N {num_images}, {exclude}, {dtype}",
            f"{loss.bank.row_ND.nbytes / 2**20:.0f}",
            *(f"{spread(seconds['naive'], scale=1e3)}", f"{naive_mib:.0f}"),
            *(f"{spread(seconds['ours'], scale=1e3)}", f"{mib:.1f}"),
            spread(faster),
        ],
        median(faster),
        mib,
    )


def main() -> None:
    """Every size with the default's rows; ImageNet's also in half precision, and without whole classes."""
    rounds = start(rounds=5)
    default: tuple[Exclude, RowDtype] = ("image", "float32")
    others: list[tuple[Exclude, RowDtype]] = [("image", "float16"), ("class", "float16")]
    cases = [(B, N, *default) for B, N in SIZES] + [(*SIZES[-1], *other) for other in others]
    rows, faster, mib = zip(*(measure(*case, rounds) for case in cases), strict=True)
    table(("", "bank, MiB", "naive, ms", "MiB", "package, ms", "MiB", "× faster"), *rows)
    at_imagenet = slice(len(SIZES) - 1, None)
    verdict(
        "over all of ImageNet at most 200 MB beyond the bank, and no slower than every logit at once",
        kept=max(mib[at_imagenet]) <= MOST_MIB and min(faster[at_imagenet]) >= 1,
    )


if __name__ == "__main__":
    main()
