"""What Lightning's users do with a module: evaluation loops, trainer options and callbacks.

This file is also the program of two ranks; Lightning starts rank 1.
"""

import sys
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import (
    EarlyStopping,
    LearningRateFinder,
    ModelCheckpoint,
    StochasticWeightAveraging,
)
from torch.optim.swa_utils import SWALR
from torch.utils.data import DataLoader, TensorDataset

import programs
from ctc_lightning.batch import Prediction
from ctc_lightning.data import Digits, IndexedDataset
from ctc_lightning.module import CTCModule
from ctc_lightning.training.callbacks import (
    Compile,
    MilestoneCheckpoint,
    Preemption,
    Provenance,
    RandomState,
    ReplacedImages,
    StopWhenDiverged,
    Summary,
    TransferProbe,
    WeightAverage,
)

N, NUM_TEST, B = 24, 10, 8
QUIET = {"accelerator": "cpu", "logger": False, "enable_progress_bar": False, "enable_model_summary": False}


def images(num, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return TensorDataset(torch.randn(num, 1, 8, 8, generator=generator), torch.arange(num) % 10)


def train_loader():
    return DataLoader(IndexedDataset(images(N)), B, shuffle=True)


def held_out():
    return DataLoader(images(NUM_TEST, seed=1), 4)


def module(preset="ctc_queue", **options):
    torch.manual_seed(0)
    options = {"backbone": "cifar/resnet8", "num_classes": 10, "image_channels": 1, "lr": 0.02} | options
    return CTCModule.from_preset(preset, **options)


def trainer(folder, **options):
    return pl.Trainer(**{**QUIET, "enable_checkpointing": False, "default_root_dir": folder, **options})


def fit(folder, preset="ctc_queue", **options):
    made, used = module(preset), trainer(folder, **{"max_epochs": 2, **options})
    used.fit(made, train_loader(), held_out())
    assert all(parameter.isfinite().all() for parameter in made.parameters())
    return used


# --------------------------------------------------------------------------------------------- our callbacks


def test_our_callbacks_work_with_ordinary_loaders(tmp_path):
    of_the_run = [
        MilestoneCheckpoint(str(tmp_path), every_n_epochs=1),
        Preemption(str(tmp_path), requeue=False),
        StopWhenDiverged(str(tmp_path), max_loss=None, every_n_steps=1),
        Summary(str(tmp_path), "whitened"),
    ]
    callbacks = [*of_the_run, Compile("eager"), RandomState(), ReplacedImages(), WeightAverage(decay=0.9)]
    used = fit(tmp_path, callbacks=callbacks, enable_checkpointing=True)
    assert used.global_step == 6
    loaded = CTCModule.load_from_checkpoint(tmp_path / "epoch_002.ckpt")
    assert loaded.hparams == used.lightning_module.hparams


@pytest.mark.parametrize(
    ("indexed", "said"), [(True, r"step 1 \(training images \d+(, \d+)+\); lower"), (False, "step 1; lower")]
)
def test_a_diverged_loss_names_the_images_that_the_loader_numbers(tmp_path, indexed, said):
    loader = train_loader() if indexed else DataLoader(images(N), B)
    used = trainer(tmp_path, max_epochs=1, callbacks=[StopWhenDiverged(str(tmp_path), 1e-9, 1)])
    with pytest.raises(ValueError, match=said):
        used.fit(module("ce"), loader)


@pytest.mark.parametrize(
    "made",
    [
        lambda folder: Provenance(str(folder)),
        lambda folder: TransferProbe({}, every_n_epochs=1, run_dir=str(folder), method="ce", seed=0),
    ],
)
def test_a_callback_that_needs_our_data_is_refused_before_the_first_step(tmp_path, made):
    used, callback = trainer(tmp_path, callbacks=[]), made(tmp_path)
    used.callbacks.append(callback)
    with pytest.raises(
        ValueError, match=f"{type(callback).__name__} needs a data module .* given loaders; use"
    ):
        used.fit(module(), train_loader())
    assert not any(tmp_path.rglob("*.*"))


# ----------------------------------------------------------------------------------------- evaluation loops


def test_test_gives_four_scores(tmp_path):
    made = module()
    (scores,) = trainer(tmp_path).test(made, held_out(), verbose=False)
    view, label = images(NUM_TEST, seed=1).tensors
    hit = made.eval()(view).argmax(1) == label
    assert set(scores) == {"test/top1", "test/mean_per_class", "test/ce", "test/ece"}
    assert scores["test/top1"] == pytest.approx(hit.double().mean().item())
    assert trainer(tmp_path).test(made, held_out(), verbose=False) == [scores], "nothing is left over"


def test_predict_gives_probabilities_features_and_numbers(tmp_path):
    made, data = module(), images(NUM_TEST, seed=1)
    view = data.tensors[0]
    numbered, unlabelled = DataLoader(IndexedDataset(data), 4), DataLoader(TensorDataset(view), 4)
    for loader in (numbered, held_out(), unlabelled, DataLoader(view, 4)):
        predictions = trainer(tmp_path).predict(made, loader)
        assert all(isinstance(part, Prediction) for part in predictions)
        found = Prediction(*map(torch.cat, zip(*predictions, strict=True)))
        assert found.index.tolist() == list(range(NUM_TEST))
        torch.testing.assert_close(found.features, made.eval().backbone(view))
        torch.testing.assert_close(found.probabilities, made(view).softmax(1))


def test_our_data_module_is_tested_and_predicted(tmp_path):
    data = Digits(source_label="digit", num_train=N, num_val=10, num_test=NUM_TEST, batch_size=B)
    made = module()
    trainer(tmp_path).test(made, data, verbose=False)
    predictions = trainer(tmp_path).predict(made, data)
    assert torch.cat([part.index for part in predictions]).tolist() == list(range(NUM_TEST))


def test_validate_comes_before_fit(tmp_path):
    made, used = module("ctc_bank"), trainer(tmp_path, max_epochs=1)
    (before,) = used.validate(made, held_out(), verbose=False)
    assert set(before) == {"val/ce", "val/top1"}
    used.fit(made, train_loader(), held_out())
    used.save_checkpoint(tmp_path / "x.ckpt")
    (after,) = trainer(tmp_path).validate(made, held_out(), verbose=False)
    (restored,) = trainer(tmp_path).validate(
        module("ctc_bank"), held_out(), ckpt_path=tmp_path / "x.ckpt", weights_only=True, verbose=False
    )
    assert restored == pytest.approx(after)


# ------------------------------------------------------------------------------------------ trainer options


@pytest.mark.parametrize("preset", ["ctc_queue", "ctc_bank", "ctc_two_stage", "ctc_two_stage_reference"])
def test_fast_dev_run(preset, tmp_path):
    options = {"num_negatives": 4} if preset == "ctc_two_stage_reference" else {}
    used = trainer(tmp_path, fast_dev_run=True)
    used.fit(module(preset, **options), train_loader(), held_out())
    assert used.global_step == 1


@pytest.mark.parametrize(
    ("options", "steps"),
    [
        ({"overfit_batches": 1}, 2),
        ({"limit_train_batches": 2}, 4),
        ({"limit_train_batches": 0.34}, 2),
        ({"val_check_interval": 0.34}, 6),
        ({"val_check_interval": 1}, 6),
        ({"max_epochs": None, "max_steps": 5}, 5),
        ({"max_steps": 4}, 4),
        ({"max_time": "00:01:00:00"}, 6),
        ({"gradient_clip_val": 0.1}, 6),
        ({"gradient_clip_val": 0.1, "gradient_clip_algorithm": "value"}, 6),
        ({"precision": "bf16-mixed"}, 6),
        ({"accumulate_grad_batches": 2}, 4),
        ({"accumulate_grad_batches": 3, "gradient_clip_val": 0.1, "precision": "bf16-mixed"}, 2),
        ({"profiler": "simple"}, 6),
        ({"detect_anomaly": True}, 6),
        ({"num_sanity_val_steps": 2, "check_val_every_n_epoch": 2}, 6),
    ],
)
@pytest.mark.parametrize("preset", ["ctc_queue", "ctc_bank"])
def test_trainer_options(preset, options, steps, tmp_path):
    assert fit(tmp_path, preset, **options).global_step == steps


def test_the_schedule_is_laid_out_over_the_steps_of_the_trainer(tmp_path):
    """ctc_two_stage: 6 steps are 2 epochs of 3, one for each stage; the cosine ends at 0."""
    seen = []

    class Watch(pl.Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            seen.append(pl_module.stage_name)

    used = fit(tmp_path, "ctc_two_stage", max_epochs=None, max_steps=6, callbacks=[Watch()])
    assert seen == ["instance"] * 3 + ["temporal"] * 3
    assert used.optimizers[0].param_groups[0]["lr"] == pytest.approx(0, abs=1e-9)


def test_a_training_without_a_length_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"max_epochs is -1 .* give max_epochs=N beside max_time"):
        fit(tmp_path, max_epochs=None, max_time="00:00:01:00")
    with pytest.raises(ValueError, match="stage 'temporal' would have 0 epochs"):
        fit(tmp_path, "ctc_two_stage", max_epochs=1)


# ------------------------------------------------------------------------------------------------ callbacks


def test_callbacks_watch_the_validation_accuracy(tmp_path):
    best = ModelCheckpoint(tmp_path / "kept", monitor="val/top1", mode="max", save_last=True)
    stop = EarlyStopping(monitor="val/top1", mode="max", patience=1, min_delta=1.1)
    used = fit(tmp_path, max_epochs=5, callbacks=[best, stop], enable_checkpointing=True)
    assert used.current_epoch == 2
    assert best.best_model_score == pytest.approx(float(best.best_model_score), abs=1)
    loaded = CTCModule.load_from_checkpoint(best.best_model_path)
    (scores,) = trainer(tmp_path).validate(loaded, held_out(), verbose=False)
    assert scores["val/top1"] == pytest.approx(float(best.best_model_score))


@pytest.mark.parametrize("preset", ["ctc_queue", "ctc_bank"])
def test_a_run_is_continued_from_its_last_checkpoint(preset, tmp_path):
    whole = module(preset)
    in_order = DataLoader(IndexedDataset(images(N)), B)

    def used(folder):
        kept = ModelCheckpoint(tmp_path / folder, save_last=True)
        return trainer(tmp_path, max_epochs=3, callbacks=[kept], enable_checkpointing=True)

    class Stop(pl.Callback):
        def on_train_epoch_end(self, trainer, pl_module):
            trainer.should_stop = trainer.current_epoch == 1

    used("whole").fit(whole, in_order)
    first = used("parts")
    first.callbacks.insert(0, Stop())
    first.fit(module(preset), in_order)
    assert first.current_epoch == 2
    resumed = module(preset)
    used("parts").fit(resumed, in_order, ckpt_path="last", weights_only=True)
    torch.testing.assert_close(resumed.state_dict(), whole.state_dict(), rtol=0, atol=0)


def test_weights_are_averaged_at_the_end(tmp_path):
    used = fit(
        tmp_path,
        max_epochs=4,
        callbacks=[StochasticWeightAveraging(swa_lrs=0.01, swa_epoch_start=2, annealing_epochs=1)],
    )
    assert isinstance(used.lr_scheduler_configs[0].scheduler, SWALR)


def test_the_learning_rate_finder_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"LearningRateFinder replaces .*; leave it out and compare"):
        fit(tmp_path, callbacks=[LearningRateFinder()])


def test_the_backbone_is_compiled(tmp_path):
    plain, made = module(), module()
    made.backbone.compile(backend="eager")
    view = images(4).tensors[0]
    torch.testing.assert_close(torch.compile(made.backbone, backend="eager")(view), plain.backbone(view))
    used = trainer(tmp_path, max_epochs=1)
    used.fit(made, train_loader())
    used.save_checkpoint(tmp_path / "x.ckpt")
    loaded = CTCModule.load_from_checkpoint(tmp_path / "x.ckpt")
    torch.testing.assert_close(loaded.state_dict(), made.state_dict(), rtol=0, atol=0)


# ------------------------------------------------------------------------------------------------ two ranks


@pytest.mark.slow
def test_two_processes_train_alike_and_predict_every_image(tmp_path):
    done = programs.run(__file__, tmp_path)
    assert done.returncode == 0, done.stderr
    mine, theirs = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    for preset in ("ctc_queue", "ctc_bank", "ctc_two_stage"):
        trained = [
            {name: t for name, t in seen[preset].items() if "running_" not in name} for seen in (mine, theirs)
        ]
        torch.testing.assert_close(*trained, rtol=0, atol=0)
    assert sorted([*mine["index"].tolist(), *theirs["index"].tolist()]) == list(range(NUM_TEST + 1))
    assert mine["top1"] == theirs["top1"]


if __name__ == "__main__":
    folder, seen = Path(sys.argv[1]), {}
    two = {"devices": 2, "strategy": "ddp_find_unused_parameters_true", "max_epochs": 2}
    for preset in ("ctc_queue", "ctc_bank", "ctc_two_stage"):
        made, used = module(preset), trainer(folder, **two)
        used.fit(made, train_loader(), held_out())
        seen[preset] = made.state_dict()
    odd = DataLoader(images(NUM_TEST + 1, seed=1), 4)
    (scores,) = used.test(made, odd, verbose=False)
    seen["top1"] = torch.tensor(scores["test/top1"])
    predictions = used.predict(made, odd)
    seen["index"] = torch.cat([part.index for part in predictions])
    torch.save(seen, folder / f"{used.global_rank}.pt")
