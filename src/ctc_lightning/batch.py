"""What a data module yields and a training step reads."""

from typing import NamedTuple

from torch import Tensor


class Batch(NamedTuple):
    """B images as the training step sees them.

    Attributes:
        view: (B, C, H, W) float, the query's augmented, standardised view.
        key_view: (B, C, H, W) float, the key's view of the same images; the same tensor as ``view``
            where both encoders look at one view.
        label: (B,) int64, the source label.
        index: (B,) int64, the image's row in the *data set* (never in the rank's shard), 0 <= index < N.
    """

    view: Tensor
    key_view: Tensor
    label: Tensor
    index: Tensor  # type: ignore[assignment]  # hides tuple.index, which nobody needs here

    @property
    def even(self) -> bool:
        """Whether B is known to be the same on all ranks in this step."""
        return False


class EvenBatch(Batch):
    """A batch of which all ranks have as many images in this step: nobody need ask how many."""

    @property
    def even(self) -> bool:
        """It is."""
        return True


class Prediction(NamedTuple):
    """What ``predict_step`` gives for B images.

    Attributes:
        probabilities: (B, C) of the classes.
        features: (B, F) of the backbone.
        index: (B,) int64, the images' numbers in the data set, by which predictions of several ranks are put
            in order; -1 where the loader does not know them.
    """

    probabilities: Tensor
    features: Tensor
    index: Tensor  # type: ignore[assignment]  # hides tuple.index
