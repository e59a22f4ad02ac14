"""What a format is: files that another program loads, and the lines that load them."""

# B images, L classes or F features

from abc import ABC, abstractmethod
from pathlib import Path

from torch import Tensor

from ctc_lightning.checks import in_range
from ctc_lightning.export.trained import Trained


class Format(ABC):
    """Writes a network and reads it back as its user will.

    Args:
        tolerance: how far the outputs of the network that was read back may be from the checkpoint's,
            relative to the largest of these or to 1, whatever is larger.

    Raises:
        ValueError: a tolerance that is not above 0.
    """

    library: str
    """What loads it, as the Hugging Face Hub calls it."""

    def __init__(self, tolerance: float) -> None:
        in_range("format", "(0, inf)", example=1e-6, tolerance=tolerance)
        self.tolerance = tolerance

    @abstractmethod
    def write(self, trained: Trained, folder: Path) -> str:
        """Write the files and compare what they give.

        Args:
            trained: the network.
            folder: where they go; it exists and is empty.

        Returns:
            Python code that loads them from the current directory, for the model card.

        Raises:
            ValueError: the format cannot hold this network.
        """

    def compare(self, trained: Trained, found_BL: Tensor, expected_BL: Tensor) -> None:
        """Refuse an export that does not give the checkpoint's outputs.

        Raises:
            ValueError: says by how much they differ.
        """
        limit = self.tolerance * max(1.0, float(expected_BL.abs().max()))
        differs = (
            float((found_BL - expected_BL).abs().max())
            if found_BL.shape == expected_BL.shape
            else float("inf")
        )
        if not differs <= limit:
            raise ValueError(
                f"{trained.title} as {self.library} gives other outputs than the checkpoint: they differ by "
                f"{differs:.1e}, at most {limit:.1e} is allowed; choose format=safetensors or raise "
                "format.tolerance."
            )
