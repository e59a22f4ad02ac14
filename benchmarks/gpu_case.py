"""One method's training step at ImageNet's shapes on a device: counted, compiled, timed, profiled."""

import argparse
from collections.abc import Callable, Iterator
from time import perf_counter
from typing import Any

import torch
from bare_step import BareStep
from gpu_report import TRAIN_IMAGES, Measured
from operations import operations
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from ctc_lightning.training.callbacks import Compile

HALF_BANK = ["experiment=ce_imagenet", "model=ctc_bank", "model.stages.contrast.memory.dtype=float16"]
SAMPLED = "model.stages.contrast.memory.num_negatives"
METHODS = {
    "cross-entropy": ["experiment=ce_imagenet"],
    "queue": ["experiment=ctc_imagenet"],
    "bank, all rows": HALF_BANK,
    "bank, sampled": [*HALF_BANK, f"{SAMPLED}=65536"],
}
SMALL = {  # a dry run's
    "queue": ["model.queue_size=256"],
    "bank, sampled": [f"{SAMPLED}=256"],
}
SMALL_NETWORK = ["network.backbone=timm/resnet18"]
NOTHING_LEARNT = ["optim.optimizer.lr=1e-4"]  # labels are random: nothing must overflow
NUM_CLASSES, LARGEST, PROFILED = 1000, 5, 3


class Case:
    """One method's step on the device, its operations counted, then compiled and warm.

    Args:
        method: of `METHODS`.
        options: of `gpu_imagenet`.
    """

    def __init__(self, method: str, options: argparse.Namespace) -> None:
        self.device = options.device
        before = self.allocated()
        small = [*SMALL_NETWORK, *SMALL.get(method, [])] if options.quick else []
        self.step = BareStep(
            [*METHODS[method], *NOTHING_LEARNT, *small],
            num_images=2000 if options.quick else TRAIN_IMAGES,
            num_classes=NUM_CLASSES,
            image_size=64 if options.quick else 224,
            batch_size=options.batch_size,
            device=options.device,
            precision=torch.bfloat16,
        )
        self.batch_size, self.num_steps = options.batch_size, options.steps
        self.operations = {str(dtype)[6:]: count for dtype, count in operations(self.step).items()}
        self.compiled = Compile(options.backend)
        module: Any = self.step.module
        trainer: Any = None  # the callback asks the Trainer nothing
        self.compiled.on_fit_start(trainer, module)
        self.compiled.on_train_batch_start(trainer, module, None, 0)
        for _ in range(max(3, self.num_steps // 2)):
            self.step()
        if self.device == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        self.seconds()
        self.peak_bytes = self.allocated(most=True) - before

    def allocated(self, *, most: bool = False) -> int:
        """Bytes of tensors on the device, now or at most; of a CPU this is not known."""
        if self.device == "cpu":
            return 0
        return torch.cuda.max_memory_allocated() if most else torch.cuda.memory_allocated()

    def seconds(self) -> float:
        """Of a step, over some."""
        return self.clocked(self.step, self.num_steps)

    def clocked(self, call: Callable[[], object], times: int) -> float:
        """Seconds of one call, the device's work included."""
        self.wait()
        begun = perf_counter()
        for _ in range(times):
            call()
        self.wait()
        return (perf_counter() - begun) / times

    def wait(self) -> None:
        """Until the device has done all that it was told."""
        if self.device == "cuda":
            torch.cuda.synchronize()

    def average(self) -> tuple[float | None, int]:
        """Seconds of one update of the key encoder's average, and how many parameters it has."""
        stage = self.step.module.stage
        if stage.contrast is None or not stage.key_encoder.has_own_network:
            return None, 0
        encoder = stage.encoder(self.step.module.network)
        seconds = self.clocked(lambda: stage.key_encoder.update(encoder), 5 * self.num_steps)
        return seconds, sum(parameter.numel() for parameter in encoder.parameters())

    def largest(self) -> Iterator[tuple[str, float, float]]:
        """What takes most of the device's time: name, seconds in a step, share of all."""
        on_gpu = self.device == "cuda"
        activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
        with profile(activities=activities) as profiler:
            self.clocked(self.step, PROFILED)
        where = DeviceType.CUDA if on_gpu else DeviceType.CPU
        own = "self_device_time_total" if on_gpu else "self_cpu_time_total"  # µs
        events = [
            event
            for event in profiler.key_averages()
            if event.device_type == where and not event.is_user_annotation  # kernels, not who asked for them
        ]
        spent = {event.key: getattr(event, own) for event in events}
        for name in sorted(spent, key=lambda key: -spent[key])[:LARGEST]:
            yield name, spent[name] / PROFILED / 1e6, spent[name] / sum(spent.values())

    def measured(self, seconds: list[float]) -> Measured:
        """All of it."""
        average_seconds, average_parameters = self.average()
        return Measured(
            seconds=seconds,
            batch_size=self.batch_size,
            operations=self.operations,
            peak_bytes=self.peak_bytes,
            largest=list(self.largest()),
            average_seconds=average_seconds,
            average_parameters=average_parameters,
        )
