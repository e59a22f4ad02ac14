"""The operations that AutoAugment and RandAugment choose from, by their names, and applying them."""

# B images, M of them chosen, C channels, H rows, W columns

import torch
from torch import Tensor

from ctc_lightning.data.augmentation import geometry, photometric
from ctc_lightning.data.augmentation.chance import change

MOVES = ("ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate")
BLENDS = {
    "Brightness": photometric.brightness,
    "Color": photometric.saturation,
    "Contrast": photometric.contrast,
    "Sharpness": photometric.sharpness,
}
TABLES = {"Posterize": photometric.posterize, "Solarize": photometric.solarize}
FIXED = {
    "AutoContrast": photometric.autocontrast,
    "Equalize": photometric.equalize,
    "Invert": photometric.invert,
}
NAMES = ("Identity", *MOVES, *BLENDS, *TABLES, *FIXED)
SIGNED = torch.tensor([name in MOVES or name in BLENDS for name in NAMES])
"""Whether an operation's amount may be negative, in the order of ``NAMES``."""


def magnitudes(name: str, num_bins: int, height: int, width: int) -> Tensor:
    """(num_bins,) float64: an operation's amounts from weak to strong.

    Pixels, degrees, bits, the threshold, or by how much a blend's factor differs from 1.
    """
    if name == "Posterize":
        return (8 - torch.arange(num_bins) / ((num_bins - 1) / 4)).round().double()
    first, last = {
        "ShearX": (0.0, 0.3),
        "ShearY": (0.0, 0.3),
        "TranslateX": (0.0, 150 / 331 * width),
        "TranslateY": (0.0, 150 / 331 * height),
        "Rotate": (0.0, 30.0),
        "Brightness": (0.0, 0.9),
        "Color": (0.0, 0.9),
        "Contrast": (0.0, 0.9),
        "Sharpness": (0.0, 0.9),
        "Solarize": (1.0, 0.0),
    }.get(name, (0.0, 0.0))
    # Float32 first, as torchvision: a threshold must not end up on the other side of a pixel's value.
    amount = torch.linspace(first, last, num_bins).double()
    return 255 * amount if name == "Solarize" else amount


def apply(image_BCHW: Tensor, operation_B: Tensor, amount_B: Tensor) -> None:
    """Apply to each image one operation.

    Args:
        image_BCHW: uint8, channels_last; changed in place.
        operation_B: int64 places in ``NAMES``, on the generator's device.
        amount_B: float64, what it is done with, likewise.
    """
    H, W = image_BCHW.shape[2:]
    moving = []
    for number in operation_B.unique().tolist():
        name = NAMES[number]
        row_M = (operation_B == number).nonzero()[:, 0]
        amount_M = amount_B[row_M]
        if name in MOVES:
            moving.append((row_M, geometry.matrix(name, amount_M, H, W)))
        elif name in BLENDS:
            change(image_BCHW, row_M, BLENDS[name], 1 + amount_M)
        elif name in TABLES:
            change(image_BCHW, row_M, TABLES[name], amount_M)
        elif name in FIXED:
            change(image_BCHW, row_M, FIXED[name])
    if moving:  # all of them by one gather
        rows, matrices = zip(*moving, strict=True)
        change(image_BCHW, torch.cat(rows), geometry.warped, torch.cat(matrices))
