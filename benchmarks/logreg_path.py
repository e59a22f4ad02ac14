"""Our path of logistic regressions against ssl-transfer's: ``python benchmarks/logreg_path.py [--full]``.

N: images, F: features, L: classes
"""

import argparse
import os
import warnings
from collections.abc import Callable
from time import perf_counter

import numpy as np
import sklearn
import torch
from numpy.typing import NDArray
from side_by_side import cpu, table, verdict
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits
from torch.nn.functional import cross_entropy

from ctc_lightning.evaluation.logistic_regression import fit_path

LIMIT = 5
PRECISION = 1e-4  # nats per image
STRENGTHS = np.logspace(-6, 5, 45)
Floats = NDArray[np.float64]


def features(num_images: int, num_features: int, num_classes: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Rectified like pooled features of a network, their variance falling with the direction's number."""
    random = np.random.default_rng(0)
    label_N = np.arange(num_images) % num_classes
    spectrum_F = np.arange(1, num_features + 1) ** -0.5
    centre_LF = random.normal(size=(num_classes, num_features))
    noise_NF = 4 * random.normal(size=(num_images, num_features))
    turn_FF = np.linalg.qr(random.normal(size=(num_features, num_features)))[0]
    h_NF = ((centre_LF[label_N] + noise_NF) * spectrum_F) @ turn_FF
    return torch.tensor(h_NF, dtype=torch.float32).relu(), torch.tensor(label_N)


def sklearn_path(h_NF: Floats, label_N: Floats, strengths: Floats) -> tuple[list[Floats], list[int]]:
    """ssl-transfer@416913f linear.py: warm-started from the weakest on, scikit-learn's max_iter and tol."""
    model, found, iterations = LogisticRegression(warm_start=True), [], []
    for strength in strengths:
        model.set_params(C=1 / strength).fit(h_NF, label_N)
        found.append(np.column_stack([model.coef_, model.intercept_]))
        iterations.append(int(model.n_iter_[0]))
    return found, iterations


def our_path(
    h_NF: torch.Tensor, label_N: torch.Tensor, num_classes: int, strengths: Floats
) -> tuple[list[Floats], list[int]]:
    """From the strongest on, returned in the order of ``strengths``."""
    path = list(fit_path(h_NF, label_N, num_classes, strengths.tolist()))[::-1]
    found = [np.column_stack([linear.weight_LF.numpy(), linear.bias_L.numpy()]) for linear in path]
    return found, [linear.steps for linear in path]


def objective(h_NF: torch.Tensor, label_N: torch.Tensor, found: Floats, strength: float) -> float:
    """(1/N) (Σ CE + λ/2 |W|²) in float64."""
    weight_LF, bias_L = torch.tensor(found[:, :-1]), torch.tensor(found[:, -1])
    loss = cross_entropy(h_NF.double() @ weight_LF.T + bias_L, label_N)
    return float(loss + strength / 2 * weight_LF.square().sum() / len(label_N))


def timed(
    run: Callable[[], tuple[list[Floats], list[int]]],
) -> tuple[float, tuple[list[Floats], list[int]]]:
    """Wall seconds and the result."""
    begun = perf_counter()
    result = run()
    return perf_counter() - begun, result


def main() -> None:
    """One round of both paths; the objectives of each value."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--full", action="store_true", help="all 45 values instead of every 11th")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--features", type=int, default=2048)
    parser.add_argument("--classes", type=int, default=100)
    parser.add_argument(
        "--optimum", type=int, default=0, help="iterations of a third fit, scikit-learn's to its optimum"
    )
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    warnings.simplefilter("ignore")  # that scikit-learn stops at max_iter: the table says so
    print(
        f"{cpu()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before; torch {torch.__version__},"
    )
    print(f"scikit-learn {sklearn.__version__}, {options.threads} thread(s), wall time, one round.")
    print(f"N {options.images}, F {options.features}, L {options.classes}.\n", flush=True)
    h_NF, label_N = features(options.images, options.features, options.classes)
    strengths = STRENGTHS if options.full else STRENGTHS[::11]
    ours, (our_found, our_steps) = timed(lambda: our_path(h_NF, label_N, options.classes, strengths))
    print(f"ours {ours:.1f} s, {sum(our_steps)} steps", flush=True)
    h, label = h_NF.double().numpy(), label_N.numpy()
    with threadpool_limits(options.threads):
        theirs, (their_found, their_steps) = timed(lambda: sklearn_path(h, label, strengths))
    print(f"scikit-learn {theirs:.1f} s, {sum(their_steps)} iterations\n", flush=True)
    rows, worst = [], 0.0
    for i, strength in enumerate(strengths):
        reached = [objective(h_NF, label_N, found[i], float(strength)) for found in (our_found, their_found)]
        row = [f"{strength:.1e}", f"{our_steps[i]}", f"{their_steps[i]}", *(f"{f:.7f}" for f in reached)]
        if options.optimum:
            best = LogisticRegression(C=1 / strength, tol=1e-9, max_iter=options.optimum).fit(h, label)
            reached.append(
                objective(h_NF, label_N, np.column_stack([best.coef_, best.intercept_]), float(strength))
            )
            row.append(f"{reached[-1]:.7f}")
        worst = max(worst, reached[0] - min(reached))
        rows.append(row)
    head = ["λ", "our steps", "their iterations", "our objective", "theirs"]
    table(head + ["their optimum"] * bool(options.optimum), *rows)
    print(
        f"\n{theirs / ours:.1f} × faster; at most {worst:.1e} nats per image above the lowest objective found"
    )
    verdict(
        f"at least {LIMIT} × faster, within {PRECISION} of the lowest objective",
        kept=theirs / ours >= LIMIT and worst <= PRECISION,
    )


if __name__ == "__main__":
    main()
