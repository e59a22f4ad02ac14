"""ResNet-50 on ImageNet's shapes, on a GPU: ``python benchmarks/gpu_imagenet.py --output runs/gpu_imagenet``.

Images a second, peak memory, share of the matrix rate and largest items of cross-entropy, queue and bank: 224
pixels, bfloat16, channels_last, compiled by the experiments' own callback, random images on the device, no
loader. ``--device cpu --quick`` is a dry run of all of it on any machine.
"""

import argparse
import json
import sys
from pathlib import Path
from statistics import median

import torch
from gpu_case import METHODS, Case
from gpu_report import known_rates, markdown, plain
from side_by_side import cpu, interleave, ratios, verdict
from step_ratio import BANK_LIMIT, QUEUE_LIMIT


def read_options() -> argparse.Namespace:
    """What was asked for; leaves with exit code 2 if this machine cannot do it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--quick", action="store_true", help="a dry run: small network, images and memories")
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=20, help="timed as one in each round")
    parser.add_argument("--backend", default="inductor", help="of torch.compile")
    parser.add_argument("--cudnn-benchmark", action="store_true", help="let cuDNN try its convolutions")
    parser.add_argument("--tf32", action="store_true", help="multiply float32, the contrast's, by TF32")
    parser.add_argument("--peak", type=float, nargs=2, metavar=("BFLOAT16", "FLOAT32"), help="dense TFLOP/s")
    parser.add_argument("--epochs", type=int, default=100, help="to project")
    parser.add_argument("--price", type=float, default=2.5, help="dollars per GPU and hour, assumed")
    parser.add_argument(
        "--efficiency", type=float, nargs=2, default=(0.95, 0.9), help="on 8 and 64 GPUs, assumed"
    )
    parser.add_argument("--output", type=Path, default=Path("runs/gpu_imagenet"))
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        refuse("this machine has no CUDA GPU; run it on one, or do a dry run with --device cpu --quick.")
    if options.device == "cpu" and not options.quick:
        refuse("on a CPU there is only the dry run; add --quick.")
    if options.quick:
        options.batch_size, options.rounds, options.steps, options.backend = 4, 2, 1, "eager"
        options.peak = options.peak or (1.0, 1.0)
    options.peak = options.peak or known_rates(torch.cuda.get_device_name(), tf32=options.tf32)
    if options.peak is None:
        name = torch.cuda.get_device_name()
        refuse(f"the matrix rate of {name} is not known here; give --peak with its dense TFLOP/s.")
    torch.backends.cudnn.benchmark = options.cudnn_benchmark
    torch.set_float32_matmul_precision("high" if options.tf32 else "highest")
    return options


def refuse(sentence: str) -> None:
    """Say why not; exit code 2."""
    print(f"gpu_imagenet: {sentence}", file=sys.stderr)
    sys.exit(2)


def machine(options: argparse.Namespace) -> str:
    """What the figures were measured on."""
    device = torch.cuda.get_device_name() if options.device == "cuda" else cpu()
    cudnn = f"CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}"
    setting = f"batch {options.batch_size}, {options.rounds} rounds of {options.steps} steps in turn"
    extras = ", cuDNN tries its convolutions" if options.cudnn_benchmark else ""
    extras += ", float32 by TF32" if options.tf32 else ""
    return f"{device}; torch {torch.__version__}, {cudnn}; {setting}{extras}: median (quartiles)."


def main() -> None:
    """Time all methods in turn, write table and JSON."""
    options = read_options()
    cases = {method: Case(method, options) for method in METHODS}
    seconds = interleave({method: case.seconds for method, case in cases.items()}, options.rounds)
    measured = {method: case.measured(seconds[method]) for method, case in cases.items()}
    text = markdown(
        measured,
        rates=tuple(options.peak),
        epochs=options.epochs,
        efficiencies=(1.0, *options.efficiency),
        price=options.price,
    )
    dry = "DRY RUN: the figures mean nothing.\n\n" if options.quick else ""
    text = f"{dry}{machine(options)}\n\n{text}\n"
    print(text)
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "gpu_imagenet.md").write_text(text)
    record = {"dry_run": options.quick, "machine": machine(options), "methods": plain(measured)}
    (options.output / "gpu_imagenet.json").write_text(json.dumps(record, indent=2))
    if options.quick:
        return
    cost = {method: median(ratios(seconds[method], seconds["cross-entropy"])) for method in METHODS}
    verdict(
        f"the queue costs at most {QUEUE_LIMIT} × cross-entropy, the bank of all rows {BANK_LIMIT:.2f} ×",
        kept=cost["queue"] <= QUEUE_LIMIT and cost["bank, all rows"] <= BANK_LIMIT,
    )


if __name__ == "__main__":
    main()
