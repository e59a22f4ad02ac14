"""What stands for the input X: its pixels, a fixed random projection of them, or a fixed encoder's features.

N: images, M: those that are used, B: images of a batch, C: channels, H: height, W: width,
P: pixels, D: dimensions
"""

import hashlib
from abc import ABC, abstractmethod
from functools import partial
from math import sqrt
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ctc_lightning.checks import count
from ctc_lightning.evaluation.protocol import TargetImages
from ctc_lightning.evaluation.versioned import Versioned
from ctc_lightning.networks.backbone import check_name, create_backbone


class Inputs(Versioned, ABC):
    """X of a target's test images, computed once for all checkpoints and estimators that ask in a row."""

    def __init__(self) -> None:
        self._known: tuple[object, Tensor, Tensor] | None = None

    @property
    def settings(self) -> dict[str, Any]:
        """The class's name and its public attributes, which are the constructor's arguments."""
        return {"x": type(self).__qualname__, **super().settings}

    def of(self, images: TargetImages, row_M: Tensor) -> Tensor:
        """(M, D) float32 of these test images, on their device.

        Args:
            images: of the target.
            row_M: (M,) int64, ascending rows of `Task.features`.
        """
        known = self._known
        if known is None or known[0] is not images.shown or not torch.equal(known[1], row_M):
            known = self._known = images.shown, row_M, self._read(images, row_M)
        return known[2]

    def _read(self, images: TargetImages, row_M: Tensor) -> Tensor:
        """Holds no more than is asked for: all pixels of a split may be many times the memory."""
        found, kept, index = [], [], []
        for view, index_B in images.inputs("test"):
            index.append(index_B)
            asked_B = torch.isin(index_B, row_M.to(index_B.device))
            if asked_B.any():
                found.append(self(view[asked_B]).float())
                kept.append(index_B[asked_B])
        index_N = torch.cat(index)
        if torch.equal(index_N.sort().values, torch.arange(len(index_N)).to(index_N)):
            return torch.cat(found)[torch.cat(kept).argsort()]
        # images stand in for unreadable ones, so that a row is not the index: read again, by their order
        place_M = index_N.argsort(stable=True)[row_M.to(index_N.device)]
        found, first = [], 0
        for view, index_B in images.inputs("test"):
            here_B = torch.isin(torch.arange(first, first + len(index_B)).to(place_M), place_M)
            first += len(index_B)
            if here_B.any():
                found.append(self(view[here_B]).float())
        return torch.cat(found)[place_M.argsort().argsort()]

    @property
    @abstractmethod
    def name(self) -> str:
        """In the column protocol."""

    @abstractmethod
    def __call__(self, view: Tensor) -> Tensor:
        """(B, D) of (B, C, H, W) images, standardised as the network sees them."""


class Pixels(Inputs):
    """X = all pixels: D = C · H · W."""

    version = 1
    name = "pixels"

    def __call__(self, view: Tensor) -> Tensor:
        """Flatten."""
        return view.flatten(1)


class Projection(Inputs):
    """X = R x / √P, R (P, D) standard normal and fixed: what is read in D dimensions is at most I(x; T).

    Args:
        dims: D >= 1.
        seed: of R.
    """

    version = 1

    def __init__(self, *, dims: int, seed: int) -> None:
        super().__init__()
        count("input_view=projection", dims=dims)
        self.dims, self.seed = dims, seed
        self._matrix_PD = torch.empty(0, dims)

    @property
    def name(self) -> str:
        """With D."""
        return f"projection{self.dims}"

    def __call__(self, view: Tensor) -> Tensor:
        """Project."""
        pixels_BP = view.flatten(1)
        if len(self._matrix_PD) != pixels_BP.shape[1]:
            drawn = torch.Generator().manual_seed(self.seed)
            self._matrix_PD = torch.randn(pixels_BP.shape[1], self.dims, generator=drawn)
        return pixels_BP @ self._matrix_PD.to(view) / sqrt(pixels_BP.shape[1])


class Encoder(Inputs):
    """X = e(x), a fixed backbone's pooled features, the same for every checkpoint.

    Args:
        backbone: family/model, see `ctc_lightning.networks.create_backbone`.
        pretrained: true for published weights, or a file; false: random weights, drawn from ``seed``.
        seed: of weights that are not loaded.

    Attributes:
        weights: digest of the file; "" without one.

    Raises:
        ValueError: there is no such file or backbone, or it has no published weights.
    """

    version = 1

    def __init__(self, *, backbone: str, pretrained: bool | str, seed: int) -> None:
        super().__init__()
        check_name(backbone)
        if pretrained is True and backbone.startswith("cifar/"):
            raise ValueError(
                f"input_view=encoder: {backbone} has no published weights; set pretrained to a file, or to "
                "false for random weights."
            )
        self.backbone, self.pretrained, self.seed = backbone, pretrained, seed
        self.weights = _digest_of_file(pretrained) if isinstance(pretrained, str) else ""
        self._network: torch.nn.Module | None = None
        self._made_for: tuple[int, int] = (0, 0)

    @property
    def name(self) -> str:
        """Of the backbone."""
        return self.backbone.replace("/", "_")

    @torch.no_grad()
    def __call__(self, view: Tensor) -> Tensor:
        """Encode."""
        seen = (view.shape[1], view.shape[2])
        if self._network is None or self._made_for != seen:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(self.seed)
                self._network = create_backbone(
                    self.backbone, pretrained=self.pretrained, image_channels=seen[0], image_size=seen[1]
                ).eval()
            self._made_for = seen
        return self._network.to(view.device)(view)


def _digest_of_file(path: str) -> str:
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, partial(hashlib.blake2b, digest_size=8)).hexdigest()
    except OSError as error:
        raise ValueError(
            f"input_view=encoder: pretrained={path} cannot be read ({error.strerror}); give a file, true or "
            "false."
        ) from error
