"""ImageNet's experiments on a small one: trained by two processes, killed, resumed, evaluated, exported."""

import os
import signal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import pytorch_lightning as pl
import timm
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from PIL import Image
from safetensors.torch import load_file
from timm.data import ImageNetInfo

import programs
from ctc_lightning.cli.configuration import config_dir
from ctc_lightning.key_encoder import MomentumEncoder
from ctc_lightning.train import build

SYNSETS = ImageNetInfo().label_names()[::200]  # 5 of the 1000
NUM_IMAGES = {"train": 40, "val": 8}  # of each
GLOBAL_BATCH, EPOCHS = 16, 2
STEPS = len(SYNSETS) * NUM_IMAGES["train"] // GLOBAL_BATCH  # of an epoch
SMALL = [
    "network.backbone=timm/test_resnet",
    "data.image_size=32",
    "data.batch_size=8",
    "data.check_counts=false",
    "data.num_workers=0",
    f"trainer.max_epochs={EPOCHS}",
    "trainer.enable_progress_bar=false",
    "callbacks.compile.backend=eager",  # inductor starts a compiler of C++
]
QUEUE = ["experiment=ctc_imagenet", "model.queue_size=64"]
TWO_RANKS = [*QUEUE, *SMALL, "trainer=ddp_sim", "trainer.devices=2", "num_threads=1"]
TWO_RANKS += ["trainer.precision=bf16-mixed"]  # as on GPUs
KILL = "+callbacks.kill={_target_:test_resume.Kill,epoch:1,step:1}"  # every rank kills itself


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A data root with ``imagenet/SPLIT/WNID/*.JPEG`` of many sizes; a class is a colour, under noise."""
    root, rng = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    colour_LC = rng.integers(60, 196, (len(SYNSETS), 3))
    for split, count in NUM_IMAGES.items():
        for wnid, colour in zip(SYNSETS, colour_LC, strict=True):
            folder = root / "imagenet" / split / wnid
            folder.mkdir(parents=True)
            for number in range(count):
                height, width = rng.integers(30, 90, 2)
                pixels = colour + rng.integers(-60, 61, (height, width, 3))
                Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / f"{wnid}_{number}.JPEG")
    return root


@pytest.fixture(scope="module")
def program(root):
    """A function: run one of our programs on the data."""
    here = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])

    def run(module, *arguments):
        done = programs.run(
            module, *arguments, cwd=root, PYTHONPATH=here, CTC_DATA=str(root), CTC_CACHE=str(root / "cache")
        )
        return done.returncode, done.stdout + done.stderr

    return run


@pytest.fixture(scope="module")
def whole(program, tmp_path_factory):
    """The directory of a run on two ranks that was never killed."""
    run_dir = tmp_path_factory.mktemp("whole") / "run"
    code, said = program("train", *TWO_RANKS, f"hydra.run.dir={run_dir}")
    assert code == 0, said
    return run_dir


@pytest.fixture
def parts(root, tmp_path, monkeypatch):
    """A function of the command line: trainer, module and data that it builds, for one process."""
    monkeypatch.setenv("CTC_DATA", str(root))
    monkeypatch.setenv("CTC_CACHE", str(root / "cache"))
    threads = torch.get_num_threads()

    def make(*overrides):
        with initialize_config_dir(str(config_dir()), version_base="1.3"):
            given = [*SMALL, "trainer=cpu", f"paths.run_dir={tmp_path}", *overrides]
            return build(compose("train", overrides=given))

    yield make
    torch.set_num_threads(threads)
    torch.compiler.set_stance("default")


def last(run_dir):
    return torch.load(run_dir / "checkpoints" / "last.ckpt", weights_only=True)


@pytest.mark.slow
def test_two_ranks_train_on_all_images(whole):
    checkpoint = last(whole)
    assert checkpoint["global_step"] == EPOCHS * STEPS
    index_K = checkpoint["state_dict"]["stages.contrast.memory.index_K"]
    assert len(index_K.unique()) == 64, "the last four batches are of one epoch: no image is in them twice"
    assert checkpoint["config"]["trainer"]["precision"] == "bf16-mixed"
    assert checkpoint["optimizer_states"][0]["param_groups"][0]["initial_lr"] == pytest.approx(
        0.1 * GLOBAL_BATCH / 256
    )


@pytest.mark.slow
def test_killed_on_both_ranks_and_resumed_it_ends_as_if_nothing_had_been(program, whole, tmp_path):
    run_dir = tmp_path / "run"
    code, said = program("train", *TWO_RANKS, f"hydra.run.dir={run_dir}", KILL)
    assert code == -signal.SIGKILL, said
    assert last(run_dir)["global_step"] == STEPS
    code, said = program("train", *TWO_RANKS, f"hydra.run.dir={run_dir}", "resume=auto")
    assert code == 0, said
    resumed, expected = last(run_dir), last(whole)
    assert resumed["state_dict"].keys() == expected["state_dict"].keys()
    for name, tensor in expected["state_dict"].items():
        assert torch.equal(resumed["state_dict"][name], tensor), name
    momenta, expected_momenta = (
        [state["momentum_buffer"] for state in checkpoint["optimizer_states"][0]["state"].values()]
        for checkpoint in (resumed, expected)
    )
    torch.testing.assert_close(momenta, expected_momenta, rtol=0, atol=0)


@pytest.mark.slow
def test_evaluated_by_its_own_classifier(program, whole, tmp_path):
    code, said = program(
        "transfer", f"checkpoint={whole}/checkpoints/last.ckpt", "protocol=[knn]", f"output={tmp_path}"
    )
    assert code == 0, said
    rows = pd.read_csv(tmp_path / "results.csv").set_index(["protocol", "target", "metric"])
    top1 = rows.loc[("classifier", "source", "top1")]
    assert top1.n == len(SYNSETS) * NUM_IMAGES["val"]
    # in training the same network saw the same images, in bfloat16
    in_training = pd.read_csv(whole / "metrics.csv")["val/top1"].dropna().iloc[-1]
    assert top1.value == pytest.approx(in_training, abs=2 / top1.n)


@pytest.mark.slow
def test_exported_to_timm(program, whole, tmp_path):
    code, said = program(
        "export", f"checkpoint={whole}", "format=timm", "classifier=true", f"output={tmp_path / 'timm'}"
    )
    assert code == 0, said
    model = timm.create_model("test_resnet", num_classes=len(SYNSETS))
    model.load_state_dict(load_file(tmp_path / "timm" / "model.safetensors"), strict=True)
    weights = last(whole)["state_dict"]
    torch.testing.assert_close(model.fc.weight, weights["network.classifier.weight"], rtol=0, atol=0)
    torch.testing.assert_close(model.conv1[0].weight, weights["network.backbone.conv1.0.weight"])


@pytest.mark.parametrize("experiment", ["ce_imagenet", "ctc_imagenet", "ctc_imagenet_two_stage"])
def test_every_experiment_builds_and_trains_through_its_stages(experiment, parts):
    queue = ["model.queue_size=64"] if experiment == "ctc_imagenet" else []
    trainer, module, data = parts(
        f"experiment={experiment}", *queue, "trainer.limit_train_batches=2", "callbacks.compile=null"
    )
    stages = set()
    put = module.on_train_batch_end
    module.on_train_batch_end = lambda *args: (stages.add(module.stage_name), put(*args))
    trainer.fit(module, data)
    assert stages == set(module.stages)
    assert trainer.global_step == 2 * EPOCHS
    assert all(torch.isfinite(parameter).all() for parameter in module.parameters())
    assert module.label_smoothing == 0.1
    for group in trainer.optimizers[0].param_groups:
        decayed = {parameter.ndim > 1 for parameter in group["params"]}
        assert decayed == {group["weight_decay"] > 0}, "matrices and kernels decay, biases and norms do not"


@pytest.mark.parametrize(
    ("trainer", "precision", "backend"),
    [
        ("cpu", "32-true", None),
        ("ddp_sim", "32-true", None),
        ("gpu", "bf16-mixed", "inductor"),
        ("ddp", "bf16-mixed", "inductor"),
    ],
)
def test_bf16_and_the_compiler_are_for_gpus(trainer, precision, backend):
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        cfg = compose("train", ["experiment=ctc_imagenet", f"trainer={trainer}", "paths.run_dir=none"])
    assert cfg.trainer.precision == precision
    assert instantiate(cfg.callbacks.compile).backend == backend


def test_the_key_encoder_of_imagenet_follows_running_statistics(parts):
    *_, module, _ = parts(*QUEUE)
    key_encoder = module.stages["contrast"].key_encoder
    assert isinstance(key_encoder, MomentumEncoder)
    assert key_encoder.batch_norm == "running"
    assert key_encoder.momentum == 0.999


@pytest.mark.parametrize("backbone", ["timm/convnext_atto", "timm/test_vit"])
def test_any_backbone_by_one_override(backbone, parts):
    """Each parameter learns, from both losses once the queue has keys, and the key encoder follows."""
    trainer, module, data = parts(
        *QUEUE,
        f"network.backbone={backbone}",
        "trainer.limit_train_batches=2",
        "trainer.max_epochs=1",
        "callbacks.compile=null",  # the tracing of a hundred layers takes half a minute
    )
    key_encoder = module.stages["contrast"].key_encoder.encoder
    before = [parameter.clone() for parameter in key_encoder.parameters()]
    gradients = []

    class Keep(pl.Callback):
        def on_before_optimizer_step(self, trainer, pl_module, optimizer):
            gradients.append({n: p.grad.clone() for n, p in pl_module.network.named_parameters()})

    trainer.callbacks.append(Keep())
    trainer.fit(module, data)
    for name, gradient in gradients[1].items():
        assert torch.isfinite(gradient).all(), name
        assert gradient.any(), name
    assert any(not torch.equal(*pair) for pair in zip(before, key_encoder.parameters(), strict=True))
