"""The operations that AutoAugment and RandAugment choose from, by their names, and applying them."""

# B images, M of them chosen, C channels, H rows, W columns

import torch
from torch import Tensor

from ctc_lightning.data.augmentation import geometry, photometric
from ctc_lightning.data.augmentation.chance import Kernel, changed

MOVES = {
    "ShearX": "shear_x",
    "ShearY": "shear_y",
    "TranslateX": "translate_x",
    "TranslateY": "translate_y",
    "Rotate": "rotate",
}
BLENDS = {
    "Brightness": photometric.brightness,
    "Color": photometric.saturation,
    "Contrast": photometric.contrast,
    "Sharpness": photometric.sharpness,
}
OTHERS = {
    "Posterize": photometric.posterize,
    "Solarize": photometric.solarize,
    "AutoContrast": photometric.autocontrast,
    "Equalize": photometric.equalize,
    "Invert": photometric.invert,
}
_MOVED = -1  # the group of all moves
NAMES = ("Identity", *MOVES, *BLENDS, *OTHERS)
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


def applied(image_BCHW: Tensor, operation_B: Tensor, amount_B: Tensor) -> Tensor:
    """Each image after one operation.

    Args:
        image_BCHW: uint8; fastest as channels_last.
        operation_B: int64 places in ``NAMES``, on the generator's device.
        amount_B: float64, what it is done with, likewise.

    Returns:
        uint8, channels_last.
    """
    is_move_B = torch.zeros_like(operation_B, dtype=torch.bool)
    move = {}
    for name, argument in MOVES.items():
        is_it_B = operation_B == NAMES.index(name)
        move[argument] = amount_B * is_it_B
        is_move_B |= is_it_B
    matrix_B23 = geometry.matrices(*image_BCHW.shape[2:], **move)
    group_B = operation_B.masked_fill(is_move_B, _MOVED)

    def moved(some_MCHW: Tensor, row_M: Tensor) -> Tensor:
        matrix_M23 = matrix_B23[row_M].to(some_MCHW.device, torch.float32, non_blocking=True)
        return geometry.warped(some_MCHW, matrix_M23)

    def kernel(operation: photometric.Operation, offset: float) -> Kernel:
        def adjusted(some_MCHW: Tensor, row_M: Tensor) -> Tensor:
            amount_M = offset + amount_B[row_M]
            return operation(some_MCHW, amount_M.to(some_MCHW.device, torch.float32, non_blocking=True))

        return adjusted

    kernels: dict[int, Kernel] = {_MOVED: moved}  # all moves by one gather
    kernels |= {NAMES.index(name): kernel(operation, 1) for name, operation in BLENDS.items()}
    kernels |= {NAMES.index(name): kernel(operation, 0) for name, operation in OTHERS.items()}
    return changed(image_BCHW, group_B, kernels)
