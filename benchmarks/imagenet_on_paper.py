"""ImageNet's hours and cost without a GPU, from operations alone: ``python benchmarks/imagenet_on_paper.py``.

Each method's operations at ImageNet's shapes are counted here; cross-entropy's speed is a premise. A step is
longer by the half-precision operations that a method adds, at the speed of cross-entropy's own, and by its
float32 ones at the device's rate: its cost if nothing but operations took time.

The default premises are NVIDIA's figures for ResNet-50 v1.5 in mixed precision on one A100 of 80 GB (2470
images/s) and on eight (6.72 times that): DeepLearningExamples@291f0d0
PyTorch/Classification/ConvNets/resnet50v1.5/README.md. The rest is assumed.
"""

import argparse
from typing import Any

import torch
from bare_step import BareStep
from gpu_case import METHODS, NOTHING_LEARNT, NUM_CLASSES
from gpu_report import RATES, TRAIN_IMAGES, Measured, projection
from operations import operations
from side_by_side import table

COUNTED = 4  # images: operations grow in proportion


def read_options() -> argparse.Namespace:
    """The premises."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images-per-second", type=float, default=2470, help="of cross-entropy on one GPU")
    parser.add_argument("--device-name", choices=list(RATES), default="A100")
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--price", type=float, default=2.0, help="dollars per GPU and hour")
    parser.add_argument("--efficiency", type=float, nargs=2, default=(0.84, 0.8), help="on 8 and 64 GPUs")
    parser.add_argument("--quick", action="store_true", help="a dry run: small images")
    return parser.parse_args()


def counted(method: str, image_size: int) -> dict[str, int]:
    """Operations for an image, by dtype."""
    shape: dict[str, Any] = {"num_images": TRAIN_IMAGES, "num_classes": NUM_CLASSES, "image_size": image_size}
    one_step = BareStep(
        [*METHODS[method], *NOTHING_LEARNT], batch_size=COUNTED, precision=torch.bfloat16, **shape
    )
    return {str(dtype)[6:]: count // COUNTED for dtype, count in operations(one_step).items()}


def step(own: dict[str, int], ce: dict[str, int], images_per_second: float, rate: float) -> Measured:
    """One image as a step: cross-entropy's time by the half-precision operations, and the float32 ones."""
    half, single = own["bfloat16"], own.get("float32", 0)
    seconds = half / ce["bfloat16"] / images_per_second + single / (rate * 1e12)
    return Measured(seconds=[seconds], batch_size=1, operations=own, peak_bytes=0, largest=[])


def main() -> None:
    """Count, project."""
    options = read_options()
    half_rate, rate, rate_by_tf32 = RATES[options.device_name]
    counts = {method: counted(method, 32 if options.quick else 224) for method in METHODS}
    ce = counts["cross-entropy"]
    in_float32, by_tf32 = (
        {method: step(own, ce, options.images_per_second, each) for method, own in counts.items()}
        for each in (rate, rate_by_tf32)
    )
    share = ce["bfloat16"] * options.images_per_second / (half_rate * 1e12)
    if options.quick:
        print("DRY RUN: the figures mean nothing.\n")
    print(
        f"ON PAPER, nothing was timed: {options.device_name}, cross-entropy at {options.images_per_second:g} "
        f"images/s, {share:.1%} of the matrix rate.\n"
    )
    table(
        ("", "GFLOP an image, bfloat16", "float32", "operations ×", "time ×, at least", "with TF32"),
        *(
            [
                method,
                f"{own['bfloat16'] / 1e9:.2f}",
                f"{own.get('float32', 0) / 1e9:.3f}",
                f"{sum(own.values()) / sum(ce.values()):.3f}",
                *(
                    f"{one[method].seconds[0] * options.images_per_second:.3f}"
                    for one in (in_float32, by_tf32)
                ),
            ]
            for method, own in counts.items()
        ),
    )
    efficiencies = (1.0, *options.efficiency)
    print()
    print(projection(in_float32, epochs=options.epochs, efficiencies=efficiencies, price=options.price))


if __name__ == "__main__":
    main()
