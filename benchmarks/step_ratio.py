"""What a step with the contrast costs in steps of cross-entropy: ``python benchmarks/step_ratio.py``.

The step of `bare_step`, the same network and batch for all methods. Beside the time stands the ratio of the
operations, below which no implementation comes as long as convolutions and matrix products bound the step.
"""

from statistics import median
from typing import Any

from bare_step import BareStep
from operations import operations
from side_by_side import interleave, ratios, seconds_of, spread, start_or_try, table, verdict

QUEUE_LIMIT, BANK_LIMIT = 1.40, 1.05

SAMPLED = "model.stages.contrast.memory.num_negatives"
METHODS = {
    "cross-entropy": ["model=ce"],
    "queue": ["model=ctc_queue"],
    "bank, all rows": ["model=ctc_bank"],
    "bank, sampled": ["model=ctc_bank"],
}
RESNET18: dict[str, Any] = {"num_images": 50_000, "num_classes": 100, "image_size": 32, "batch_size": 64}
RESNET8: dict[str, Any] = {"num_images": 1500, "num_classes": 4, "image_size": 32, "batch_size": 64}
# network: its data, keys in the queue, negatives of the sampled bank, steps timed as one
CASES: dict[str, tuple[dict[str, Any], int, int, int]] = {
    "resnet18": (RESNET18, 16384, 16384, 1),  # the network is nearly all there is
    "resnet8": (RESNET8, 1024, 1024, 20),  # the embedded data's: 0.08 M parameters
}
QUICK = {"resnet8": (RESNET8, 1024, 1024, 2)}


def measure(network: str, rounds: int, *, quick: bool) -> tuple[list[list[str]], dict[str, float]]:
    """A table's rows and the median ratios of one network."""
    shape, num_keys, num_sampled, repeats = (QUICK if quick else CASES)[network]
    steps, counted = {}, {}
    for method, overrides in METHODS.items():
        own = [f"model.queue_size={num_keys}"] if method == "queue" else []
        own += [f"{SAMPLED}={num_sampled}"] if method == "bank, sampled" else []
        small_lr = "optim.optimizer.lr=1e-4"  # labels are random: nothing is learnt, nothing must overflow
        step = BareStep([f"network={network}", *overrides, *own, small_lr], **shape)
        counted[method] = sum(operations(step).values())
        steps[method] = repeated(step, repeats)
    seconds = interleave({method: seconds_of(step) for method, step in steps.items()}, rounds)
    cost = {method: ratios(seconds[method], seconds["cross-entropy"]) for method in METHODS}
    rows = [
        [
            f"{network}: {method}",
            spread(seconds[method], scale=1e3 / repeats),
            spread(cost[method]),
            f"{counted[method] / counted['cross-entropy']:.3f}",
        ]
        for method in METHODS
    ]
    return rows, {method: median(values) for method, values in cost.items()}


def repeated(step: BareStep, times: int) -> Any:
    """Several steps as one: a clock's tick must not matter."""

    def run() -> None:
        for _ in range(times):
            step()

    return run


def main() -> None:
    """Both networks; the promise is on the one that dominates its step."""
    rounds, quick = start_or_try(rounds=5)
    rows, cost = [], {}
    for network in QUICK if quick else CASES:
        its_rows, cost[network] = measure(network, rounds, quick=quick)
        rows += its_rows
    table(("training step", "ms", "× cross-entropy", "operations ×"), *rows)
    if quick:
        return
    of_resnet18 = cost["resnet18"]
    verdict(
        f"with ResNet-18 the queue costs at most {QUEUE_LIMIT} × cross-entropy, a bank {BANK_LIMIT:.2f} ×",
        kept=of_resnet18["queue"] <= QUEUE_LIMIT
        and max(of_resnet18["bank, all rows"], of_resnet18["bank, sampled"]) <= BANK_LIMIT,
    )


if __name__ == "__main__":
    main()
