"""A path of logistic regressions, ours against ssl-transfer's: ``python benchmarks/logreg_path.py``.

N: images, F: features, L: classes
"""

import argparse
import os
import warnings
from collections.abc import Callable
from time import perf_counter, process_time

import numpy as np
import sklearn
import torch
from numpy.typing import NDArray
from side_by_side import clock, cpu, table, verdict
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits
from torch.nn.functional import cross_entropy

from ctc_lightning.evaluation.logistic_regression import fit_path

LIMIT = 5
PRECISION = 1e-4  # nats per image
STRENGTHS = np.logspace(-6, 5, 45)
NOISE = 6  # of the images, in the standard deviation of the classes' centres
UNSEEN = 1000  # images that only show how hard the task is
Floats = NDArray[np.float64]
Path = tuple[list[Floats], list[int]]  # weights with biases, and steps, of each value


def features(num_images: int, num_features: int, num_classes: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Rectified like pooled features of a network, their variance falling with the direction's number."""
    random = np.random.default_rng(0)
    label_N = np.arange(num_images) % num_classes
    spectrum_F = np.arange(1, num_features + 1) ** -0.5
    centre_LF = random.normal(size=(num_classes, num_features))
    noise_NF = NOISE * random.normal(size=(num_images, num_features))
    turn_FF = np.linalg.qr(random.normal(size=(num_features, num_features)))[0]
    h_NF = ((centre_LF[label_N] + noise_NF) * spectrum_F) @ turn_FF
    return torch.tensor(h_NF, dtype=torch.float32).relu(), torch.tensor(label_N)


def sklearn_path(h_NF: Floats, label_N: Floats, strengths: Floats, tolerance: float) -> Path:
    """As ssl-transfer@416913f linear.py does: warm from the weakest on, at most 100 iterations."""
    model, found, iterations = LogisticRegression(warm_start=True, tol=tolerance), [], []
    for strength in strengths:
        model.set_params(C=1 / strength).fit(h_NF, label_N)
        found.append(np.column_stack([model.coef_, model.intercept_]))
        iterations.append(int(model.n_iter_[0]))
    return found, iterations


def our_path(h_NF: torch.Tensor, label_N: torch.Tensor, num_classes: int, strengths: Floats) -> Path:
    """From the strongest on, returned in the order of ``strengths``."""
    path = list(fit_path(h_NF, label_N, num_classes, strengths.tolist()))[::-1]
    found = [np.column_stack([linear.weight_LF.numpy(), linear.bias_L.numpy()]) for linear in path]
    return found, [linear.steps for linear in path]


def objective(h_NF: torch.Tensor, label_N: torch.Tensor, found: Floats, strength: float) -> float:
    """(1/N) (Σ CE + λ/2 |W|²) in float64."""
    weight_LF, bias_L = torch.tensor(found[:, :-1]), torch.tensor(found[:, -1])
    loss = cross_entropy(h_NF.double() @ weight_LF.T + bias_L, label_N)
    return float(loss + strength / 2 * weight_LF.square().sum() / len(label_N))


def accuracy(h_NF: torch.Tensor, label_N: torch.Tensor, found: Floats) -> float:
    """Top-1."""
    z_NL = h_NF.double().numpy() @ found[:, :-1].T + found[:, -1]
    return float((z_NL.argmax(1) == label_N.numpy()).mean())


def timed(name: str, run: Callable[[], Path]) -> tuple[float, float, Path]:
    """Wall and CPU seconds, which are printed with the load, and the result."""
    begun, begun_cpu = perf_counter(), process_time()
    found, steps = run()
    wall, own = perf_counter() - begun, process_time() - begun_cpu
    load = os.getloadavg()[0]
    print(f"{name}: {wall:.1f} s, CPU {own:.1f} s, {sum(steps)} steps, load {load:.1f} after", flush=True)
    return wall, own, (found, steps)


def main() -> None:
    """One round of both paths; the objectives of each value."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--values", type=int, default=5, help="of λ, evenly among all 45")
    parser.add_argument(
        "--rule", choices=["today", "summed"], default="summed", help="when scikit-learn stops"
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--features", type=int, default=2048)
    parser.add_argument("--classes", type=int, default=100)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    warnings.simplefilter("ignore", ConvergenceWarning)  # the table says where
    print(
        f"{cpu()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before; torch {torch.__version__},"
    )
    print(f"scikit-learn {sklearn.__version__}, {options.threads} thread(s), one round.")
    print(f"N {options.images}, F {options.features}, L {options.classes}.\n", flush=True)
    h_NF, label_N = features(options.images + UNSEEN, options.features, options.classes)
    unseen = h_NF[options.images :], label_N[options.images :]
    h_NF, label_N = h_NF[: options.images], label_N[: options.images]
    strengths = STRENGTHS[np.linspace(0, len(STRENGTHS) - 1, options.values).round().astype(int)]
    # scikit-learn before 1.4 compared its tol with the gradient of the summed loss, since then of the mean
    tolerance = 1e-4 if options.rule == "today" else 1e-4 / options.images
    h, label = h_NF.double().numpy(), label_N.numpy()
    with threadpool_limits(options.threads):
        ours, our_cpu, (our_found, our_steps) = timed(
            "ours", lambda: our_path(h_NF, label_N, options.classes, strengths)
        )
        theirs, their_cpu, (their_found, their_steps) = timed(
            "scikit-learn", lambda: sklearn_path(h, label, strengths, tolerance)
        )
    rows, worst = [], 0.0
    for i, strength in enumerate(strengths):
        reached = [objective(h_NF, label_N, found[i], float(strength)) for found in (our_found, their_found)]
        right = [accuracy(*unseen, found[i]) for found in (our_found, their_found)]
        worst = max(worst, reached[0] - reached[1])
        steps = [f"{our_steps[i]}", f"{their_steps[i]}"]
        rows.append([f"{strength:.1e}", *steps, *(f"{x:.6f}" for x in reached), *(f"{x:.3f}" for x in right)])
    print()
    table(
        ["λ", "our steps", "its iterations", "our objective", "its", "our top-1 on unseen images", "its"],
        *rows,
    )
    short = sum(steps >= 100 for steps in their_steps)
    cpu_time = clock() is process_time  # as in the other benchmarks: with one thread
    faster = their_cpu / our_cpu if cpu_time else theirs / ours
    print(f"\n{faster:.1f} × faster ({'CPU' if cpu_time else 'wall'} time).")
    print(f"Our objective is at most {worst:.1e} nats per image above scikit-learn's.")
    print(f"scikit-learn stops at its 100 iterations at {short} of {len(strengths)} values.")
    verdict(
        f"at least {LIMIT} × faster, objectives at most {PRECISION} above",
        kept=faster >= LIMIT and worst <= PRECISION,
    )


if __name__ == "__main__":
    main()
