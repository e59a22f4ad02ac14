"""What `gpu_imagenet` measured, as tables: shares of the matrix rate, ImageNet's hours and cost."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from side_by_side import ratios, spread

TRAIN_IMAGES, VAL_IMAGES = 1_281_167, 50_000
GPUS = (1, 8, 64)

# Dense TFLOP/s in bfloat16, in float32 (as torch multiplies unless told), in float32 by TF32: NVIDIA's data
# sheets; the first name that a device's own contains
RATES: dict[str, tuple[float, float, float]] = {
    "H100 PCIe": (756, 51, 378),
    "H100 NVL": (835, 60, 417),
    "H200 NVL": (835, 60, 417),
    "H100": (989, 67, 494),
    "H200": (989, 67, 494),
    "A100": (312, 19.5, 156),
}


def known_rates(device_name: str, *, tf32: bool) -> tuple[float, float] | None:
    """TFLOP/s in bfloat16 and float32, if this device is known."""
    for name, (half, single, by_tf32) in RATES.items():
        if name in device_name:
            return half, by_tf32 if tf32 else single
    return None


@dataclass(frozen=True)
class Measured:
    """One method's training step.

    Attributes:
        seconds: of a step, in each round.
        batch_size: images in a step.
        operations: of a step, by dtype.
        peak_bytes: the most that the device held of this method at once, its images included.
        largest: what the device spent most on: name, seconds in a step, share of all.
        average_seconds: of one update of the key encoder's average; None: it has none.
        average_parameters: how many are averaged.
    """

    seconds: list[float]
    batch_size: int
    operations: dict[str, int]
    peak_bytes: int
    largest: list[tuple[str, float, float]]
    average_seconds: float | None = None
    average_parameters: int = 0

    def images_per_second(self) -> float:
        """The median round's."""
        return self.batch_size / median(self.seconds)

    def limit_seconds(self, rates: tuple[float, float]) -> float:
        """How long the operations of a step take at the device's rate: half precision, then all others."""
        half = sum(n for dtype, n in self.operations.items() if dtype in ("bfloat16", "float16"))
        return half / (rates[0] * 1e12) + (sum(self.operations.values()) - half) / (rates[1] * 1e12)


def hours(
    measured: Measured, images_per_second_of_ce: float, epochs: int, gpus: int, efficiency: float
) -> float:
    """Of a training, its validations included, which cost a third of a step of cross-entropy for each image.

    Args:
        measured: on one GPU.
        images_per_second_of_ce: of cross-entropy's training step.
        epochs: each with a validation.
        gpus: how many.
        efficiency: the part of its speed alone that each GPU has among these.
    """
    epoch = TRAIN_IMAGES / measured.images_per_second() + VAL_IMAGES / (3 * images_per_second_of_ce)
    return epochs * epoch / (gpus * efficiency) / 3600


def markdown(
    measured: dict[str, Measured],
    *,
    rates: tuple[float, float],
    epochs: int,
    efficiencies: Sequence[float],
    price: float,
) -> str:
    """Three tables: the steps, their largest items, the projection. Cross-entropy is the first method."""
    ce = next(iter(measured.values()))
    steps = [
        [
            "training step",
            *("images/s", "× time of cross-entropy", "operations ×", "GFLOP an image"),
            *("peak memory, GiB", "% of the matrix rate"),
        ]
    ]
    items = [["method", "largest items on the device", "ms a step", "% of all"]]
    for method, one in measured.items():
        flop = sum(one.operations.values())
        steps.append(
            [
                method,
                spread(one.batch_size / seconds for seconds in one.seconds),
                spread(ratios(one.seconds, ce.seconds)),
                f"{flop / sum(ce.operations.values()):.3f}",
                f"{flop / one.batch_size / 1e9:.2f}",
                f"{one.peak_bytes / 2**30:.2f}",
                f"{100 * one.limit_seconds(rates) / median(one.seconds):.1f}",
            ]
        )
        items += [
            [method, f"`{name[:80]}`", f"{1e3 * seconds:.2f}", f"{100 * share:.1f}"]
            for name, seconds, share in one.largest
        ]
    averages = [
        f"{method}: the average of {one.average_parameters / 1e6:.1f} M parameters takes "
        f"{1e6 * one.average_seconds:.0f} µs, {1e12 * one.average_seconds / one.average_parameters:.1f} µs a "
        "million."
        for method, one in measured.items()
        if one.average_seconds is not None
    ]
    return "\n".join(
        [
            *lines(steps),
            "",
            f"The matrix rate: {rates[0]:g} TFLOP/s in half precision, {rates[1]:g} in float32.",
            *averages,
            "",
            *lines(items),
            "",
            projection(measured, epochs=epochs, efficiencies=efficiencies, price=price),
        ]
    )


def projection(
    measured: dict[str, Measured], *, epochs: int, efficiencies: Sequence[float], price: float
) -> str:
    """The table of hours and dollars."""
    ce = next(iter(measured.values()))
    rows = [[f"{epochs} epochs of ImageNet", *(f"{n} GPU{'s' * (n > 1)}" for n in GPUS)]]
    for method, one in measured.items():
        cells = [method]
        for gpus, efficiency in zip(GPUS, efficiencies, strict=True):
            time = hours(one, ce.images_per_second(), epochs, gpus, efficiency)
            cells.append(f"{time:.2f} h, ${time * gpus * price:,.0f}")
        rows.append(cells)
    left = ", ".join(f"{e:.0%} on {n}" for n, e in zip(GPUS, efficiencies, strict=True))
    assumed = (
        f"Assumed: of one GPU's speed each has {left}; ${price:.2f} per GPU and hour; a loader that keeps "
        "up; a validation after each epoch."
    )
    return "\n".join([*lines(rows), "", assumed])


def lines(rows: Sequence[Sequence[str]]) -> list[str]:
    """A Markdown table, the first row as its header."""
    head, *body = rows
    return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *body)]


def plain(measured: dict[str, Measured]) -> dict[str, Any]:
    """For JSON."""
    return {method: asdict(one) for method, one in measured.items()}
