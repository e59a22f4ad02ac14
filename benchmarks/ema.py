"""The key encoder's moving average, per step, against other people's: ``python benchmarks/ema.py``.

All tensors at once; a Python loop over the parameters; torch's ``AveragedModel``; timm's ``ModelEmaV3``.
"""

from collections.abc import Callable
from copy import deepcopy
from statistics import median
from typing import Any

import torch
from side_by_side import interleave, ratios, seconds_of, spread, start_or_try, table, verdict
from timm.utils import ModelEmaV3
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_avg_fn, get_ema_multi_avg_fn

from ctc_lightning.key_encoder import MomentumEncoder
from ctc_lightning.networks import create_backbone

MOMENTUM = 0.99
MOST = 1.05  # times any of the others
ALTERNATIVES = "ours", "Python loop", "torch, all at once", "torch, one by one", "timm", "ours, with buffers"
PARAMETERS_ALONE = 4  # of these; the last two average BatchNorm's running statistics too

# backbone: options, updates timed as one
NETWORKS: dict[str, tuple[dict[str, Any], int]] = {
    "cifar/resnet8": ({"stem_stride": 2}, 500),
    "cifar/resnet18": ({}, 10),
    "timm/resnet50": ({}, 5),
}
QUICK: dict[str, tuple[dict[str, Any], int]] = {"cifar/resnet8": ({"stem_stride": 2}, 5)}


def updates(encoder: nn.Sequential) -> dict[str, tuple[Callable[[], object], nn.Module]]:
    """By name: one step of the average of ``encoder``, and the copy that it moves."""
    ours, with_buffers = MomentumEncoder(MOMENTUM), MomentumEncoder(MOMENTUM, batch_norm="running")
    for own in (ours, with_buffers):
        own.build(encoder)
    looped = deepcopy(encoder)
    at_once = AveragedModel(encoder, multi_avg_fn=get_ema_multi_avg_fn(MOMENTUM))
    one_by_one = AveragedModel(encoder, avg_fn=get_ema_avg_fn(MOMENTUM))
    timms = ModelEmaV3(encoder, decay=MOMENTUM)
    for averaged in (at_once, one_by_one):
        averaged.n_averaged.fill_(1)  # at 0 torch copies instead

    @torch.no_grad()
    def loop() -> None:
        for average, today in zip(looped.parameters(), encoder.parameters(), strict=True):
            average.mul_(MOMENTUM).add_(today, alpha=1 - MOMENTUM)

    steps = (
        (lambda: ours.update(encoder), ours.encoder),
        (loop, looped),
        (lambda: at_once.update_parameters(encoder), at_once.module),
        (lambda: one_by_one.update_parameters(encoder), one_by_one.module),
        (lambda: timms.update(encoder), timms.module),
        (lambda: with_buffers.update(encoder), with_buffers.encoder),
    )
    return dict(zip(ALTERNATIVES, steps, strict=True))


@torch.no_grad()
def disturb(encoder: nn.Module) -> None:
    """Move today's weights and running statistics away from their copies."""
    tensors: list[Tensor] = [*encoder.parameters(), *(b for b in encoder.buffers() if b.is_floating_point())]
    for tensor in tensors:
        tensor.add_(torch.rand_like(tensor), alpha=0.1)


def check(steps: dict[str, tuple[Callable[[], object], nn.Module]]) -> None:
    """After one step all copies have the same parameters, and those with buffers the same statistics."""
    for step, _ in steps.values():
        step()
    copies = [copy for _, copy in steps.values()]
    for copy in copies[1:]:
        same(copies[0].parameters(), copy.parameters())
    same(*([b for b in copy.buffers() if b.is_floating_point()] for copy in copies[PARAMETERS_ALONE:]))


def same(ones: Any, others: Any) -> None:
    """Equal but for rounding: μθ' + (1 − μ)θ and θ' + (1 − μ)(θ − θ') round differently."""
    for one, other in zip(ones, others, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


def repeated(step: Callable[[], object], times: int) -> Callable[[], None]:
    """Several updates as one: a clock's tick must not matter."""

    def run() -> None:
        for _ in range(times):
            step()

    return run


def measure(name: str, options: dict[str, Any], times: int, rounds: int) -> tuple[list[list[str]], float]:
    """A table's rows of one network, and our time over the fastest other's (each with its own kind)."""
    torch.manual_seed(0)
    backbone = create_backbone(name, **options)
    num_features: Any = backbone.num_features
    encoder = nn.Sequential(backbone, nn.Linear(num_features, 128))
    steps = updates(encoder)
    disturb(encoder)
    check(steps)
    timed = {title: seconds_of(repeated(step, times)) for title, (step, _) in steps.items()}
    seconds = interleave(timed, rounds)
    millions = sum(parameter.numel() for parameter in encoder.parameters()) / 1e6
    cost = {title: ratios(seconds[title], seconds["ours"]) for title in steps}
    rows = [
        [
            f"{name}, {millions:.2f} M: {title}",
            spread(seconds[title], scale=1e6 / times / millions),
            spread(cost[title]),
        ]
        for title in steps
    ]
    others = [median(cost[title]) for title in ALTERNATIVES[1:PARAMETERS_ALONE]]
    with_buffers = median(ratios(seconds["ours, with buffers"], seconds["timm"]))
    return rows, max(1 / min(others), with_buffers)


def main() -> None:
    """Networks of three sizes."""
    rounds, quick = start_or_try(rounds=15)
    networks = QUICK if quick else NETWORKS
    rows, worst = zip(*(measure(name, *how, rounds) for name, how in networks.items()), strict=True)
    head = "one update of the average", "µs per million parameters", "× ours"
    table(head, *(row for part in rows for row in part))
    if not quick:
        verdict(f"ours takes at most {MOST} × the fastest other", kept=max(worst) <= MOST)


if __name__ == "__main__":
    main()
