"""Mistakes: each ends before training, in one sentence that names what is wrong and what would be right."""

import pickle
import re
import sys

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.errors import InstantiationException
from pytorch_lightning.utilities.exceptions import MisconfigurationException

import programs
from ctc_lightning.cli import errors as config_errors
from ctc_lightning.cli.configuration import config_dir
from ctc_lightning.cli.errors import explain, plain_errors, refuse_unused, users_mistakes
from ctc_lightning.train import main, train

SMALL = ["debug=fast", "trainer.enable_progress_bar=false"]


@pytest.fixture
def complaint(tmp_path, monkeypatch):
    """A function of the command line: what the user is told, without a single optimizer step."""
    monkeypatch.setattr(torch.optim.SGD, "step", lambda *_, **__: pytest.fail("training began"))

    def attempt(*overrides):
        with initialize_config_dir(str(config_dir()), version_base="1.3"):
            cfg = compose("train", overrides=[*SMALL, f"paths.run_dir={tmp_path}", *overrides])
        refuse_unused(cfg, overrides)
        train(cfg)

    def told(*overrides):
        with pytest.raises(users_mistakes()) as caught:
            attempt(*overrides)
        sentence = explain(caught.value, "train", overrides)
        assert "\n" not in sentence
        assert not re.search(r"full_key|object_type|hydra\.cc|HYDRA_FULL_ERROR", sentence)
        return sentence

    return told


@pytest.mark.parametrize(
    ("override", "nearest"),
    [
        ("model.tempratur=1", "model.temperature"),
        ("data.num_trian=9", "data.num_train"),
        ("trainer.max_epoch=3", "trainer.max_epochs"),
        ("trainer.max_step=3", "trainer.max_steps"),
        ("trainer.gradient_clip_value=3", "trainer.gradient_clip_val"),
        ("model.stages.contrst.weight=2", "model.stages.contrast.weight"),
        ("model.stages.contrast.memory.sise=3", "model.stages.contrast.memory.size"),
        ("callbacks.transfer_prob=null", "callbacks.transfer_probe"),
        ("lr=0.1", "optim.optimizer.lr"),
        ("max_epochs=3", "trainer.max_epochs"),
        ("~model.queue_siz", "model.queue_size"),
        ("modl=ce", "model"),
        ("experimnt=glyphs_ce", "experiment"),
        ("memory@model.stages.contrst.memory=bank", "memory@model.stages.contrast.memory"),
        ("memry@model.stages.contrast.memory=bank", "memory@model.stages.contrast.memory"),
    ],
)
def test_a_misspelt_key_or_group_is_named_with_the_nearest(override, nearest, complaint):
    wrong = override.lstrip("~").partition("=")[0]
    assert re.search(
        rf"there is no {re.escape(wrong)} .*did you mean {re.escape(nearest)}\b", complaint(override)
    )


@pytest.mark.parametrize(
    ("override", "nearest", "another"),
    [
        ("model=ctc_queu", "ctc_queue", "ce"),
        ("data=glyph", "glyphs", "digits"),
        ("experiment=glyph_ce", "glyphs_ce", "digits_ctc_queue"),
        ("memory@model.stages.contrast.memory=bnk", "bank", "queue"),
        ("hydra/launcher=joblb", "joblib", "basic"),
    ],
)
def test_a_misspelt_choice_is_named_with_the_nearest_and_all(override, nearest, another, complaint):
    group, _, choice = re.sub("@.*(?==)", "", override).partition("=")
    said = complaint(override)
    assert said.startswith(f"{group}={choice} does not exist; did you mean {nearest}? Else choose one of ")
    assert another in said
    assert "provider" not in said


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["+model.stages.contrast.memory.sise=3"], "KeyQueue does not take sise; did you mean size?"),
        (["+data.batchsize=3"], "Glyphs does not take batchsize; did you mean batch_size"),
        (["network=any", "network.backbone=cifar/resnet9"], "no backbone 'cifar/resnet9'.*cifar/resnet8"),
        (["callbacks.transfer_probe.targets=[hie]"], "there is no target hie; did you mean hue"),
        (["data.source_label=colour"], "source_label is 'colour'.*hue"),
        (["model.stages.contrast.memory.exclude=imge"], "exclude is 'imge'; it must be one of .*'image'"),
        (
            ["callbacks.transfer_probe.data_defaults.val_share=abc"],
            "callbacks.transfer_probe.data_defaults.val_share is abc; it must be a finite number",
        ),
    ],
)
def test_a_misspelt_name_within_a_part_is_named_with_what_there_is(overrides, said, complaint):
    assert re.search(said, complaint(*overrides))


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["model=ce", "model.temperature=0.1"], "no model.temperature with model=ce; leave it out"),
        (["model=ctc_bank", "model.queue_size=64"], "no model.queue_size with model=ctc_bank; leave it out"),
        (
            ["memory@model.stages.contrast.memory=bank", "model.queue_size=64"],
            r"model.queue_size=64: no part of model=ctc_queue reads it \(it has .*MemoryBank",
        ),
        (
            ["key_encoder@model.stages.contrast.key_encoder=frozen", "model.momentum=0.9"],
            "model.momentum=0.9: no part of model=ctc_queue reads it",
        ),
        (
            ["experiment=digits_ctc_queue", "model=ce"],
            "model.queue_size=512: no part of model=ce reads it .it has no contrast",
        ),
        (
            ["model=ce", "projector@network.projector=mlp"],
            "projector@network.projector=mlp: model=ce has network.projector=null .* leave it out",
        ),
        (
            ["model=ctc_bank", "model.stages.contrast.memory.shared_negatives=false"],
            "shared_negatives is false, but with num_negatives=null nothing is drawn",
        ),
        (
            ["memory@model.stages.contrast.memory=batch", "model.stages.contrast.refresh=true"],
            "refresh is true, but BatchMemory keeps nothing; set refresh=false",
        ),
        (["++model.tau=0.1"], "model.tau=0.1: no part of model=ctc_queue reads it"),
    ],
)  # fmt: skip
def test_an_option_that_the_method_does_not_use_is_refused(overrides, said, complaint):
    assert re.search(said, complaint(*overrides))


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["model.temperature=0"], "temperature is 0; it must be above 0"),
        (["model.temperature=warm"], "contrast.temperature is warm; it must be a finite number"),
        (["model.weight=nan"], "contrast.weight is nan; it must be a finite number"),
        (["optim.optimizer.lr=abc"], "optim.optimizer.lr is abc; it must be a finite number"),
        (
            ["callbacks.transfer_probe.protocols.whitened.strengths=[1,b]"],
            r"whitened.strengths\[1\] is b; it must be a finite number",
        ),
        (["trainer.devices=[0,a]"], r"trainer.devices\[1\] is a; it must be a whole number"),
        (["optim.optimizer.lr=inf"], "optim.optimizer.lr is inf; it must be a finite number"),
        (["optim.decay_norm_and_bias=abc"], "optim.decay_norm_and_bias is abc; it must be true or false"),
        (["optim.lr_base_batch=0.5"], "optim.lr_base_batch is 0.5; it must be a whole number or null"),
        (["data.drop_last=[1]"], r"data.drop_last is \[1\]; it must be true or false"),
        (["trainer.detect_anomaly={a:1}"], "trainer.detect_anomaly is {'a': 1}; it must be true or false"),
        (["trainer.barebones=true"], "trainer.barebones is true, .* leave it out"),
        (["model.queue_size=0"], "size is 0; it must be a whole number of at least 1"),
        (["model.momentum=1.5"], r"momentum is 1.5; it must be at least 0 and at most 1"),
        (["model.weight=-1"], "weight is -1"),
        (["model.stages.contrast.epochs=0"], "epochs is 0; give a whole number of at least 1"),
        (["model.stages.contrast.epochs=2"], r"take 2 epochs .* trainer.max_epochs is 3; make them equal"),
        (["model=ctc_two_stage", "model.stages.instance.epochs=3"], "'temporal' would have 0 epochs"),
        (["network.projector=null"], r"'contrast' .* no projector: set network.projector"),
        (
            [
                "model=ctc_two_stage_reference",
                "model.stages.temporal.projector.dim=64",
                "model.num_negatives=9",
            ],
            "'temporal': .* 128 dimensions and the query's 64; they must be equal",
        ),
        (
            ["key_encoder@model.stages.contrast.key_encoder=query"],
            "key_encoder=query and memory=KeyQueue .* own positive; take memory=bank",
        ),
        (
            ["model=ctc_bank", "model.stages.contrast.memory.num_negatives=128"],
            "num_negatives is 128, but only 127 of the 128 training images .* choose at most 127",
        ),
        (["model=ctc_two_stage_reference"], "num_negatives is 1024, but only 96 .* choose at most 96"),
        (
            ["callbacks.transfer_probe.every_n_epochs=0"],
            "every_n_epochs is 0; it must be a whole number of at least 1",
        ),
        (["optim.optimizer.lr=-1"], r"optim.optimizer cannot have lr=-1,.*correct that value"),
        (["+optim.optimizer.nesterv=true"], r"optim.optimizer cannot have .*nesterv=True"),
        (["trainer.max_epochs=0"], "trainer.max_epochs is 0; give a whole number of at least 1"),
        (["trainer.max_epochs=null"], "trainer.max_epochs is None; give a whole number"),
        (["num_threads=0"], "num_threads is 0; give a whole number of at least 1"),
        (["seed=-1"], "seed is -1; give a whole number of at least 0"),
        (["data.batch_size=500"], "batch_size is 500; it must be at most the 128 training images: lower it"),
        (["network=any"], r"network.backbone has no value; .*network.backbone=VALUE"),
        (["data=image_folder"], r"data.root is null; set it to the folder .* data.root=FOLDER"),
        (["model.queue_size=64.5"], "memory.size is 64.5; it must be a whole number"),
        (["data.batch_size=32.5"], "data.batch_size is 32.5; it must be a whole number"),
        (["trainer.accumulate_grad_batches=0"], "accumulate_grad_batches is 0; give a whole number"),
        (["data.augmentation=none"], "'none', must be an augmentation: choose one by data/augmentation=crop"),
        (["callbacks.transfer_probe.targets=hie"], "there is no target hie"),
        (["trainer.overfit_batches=1"], "overfit_batches is 1, .* choose few images with data.num_train=N"),
        (["trainer.limit_train_batches=0"], "limit_train_batches is 0, .*give at least 1"),
        (
            ["trainer.check_val_every_n_epoch=0"],
            "check_val_every_n_epoch is 0; give a whole number of at least 1",
        ),
        (
            ["trainer=ddp_sim", "trainer.use_distributed_sampler=true"],
            "split images by rank; set it false",
        ),
        (["model.stages.contrast=null"], "model.stages is empty; name at least one stage"),
        (["model.stages=null"], "model.stages is empty; name at least one stage"),
        (["optim.optimizer=null"], "optim.optimizer is null; "),
        (["logger=null"], "logger=null: .* logger=none"),
        (["network=null"], "network=null: .* choose one of network=any, "),
        (["method=[a"], r"""method=\[a cannot be read .*; if the value is text, quote it: "method='\[a'"."""),
        (
            ["method=a,b"],
            r"""method has several values; for text write "method='a,b'", for a list .* -m""",
        ),
        (
            ["+trainer.max_steps=4"],
            "already at 'trainer.max_steps'. Either remove . prefix: 'trainer.max_steps=4'",
        ),
        (["trainer.devices=0"], r"devices=0.* \(in trainer\)"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_value_is_named_before_training(overrides, said, complaint):
    assert re.search(said, complaint(*overrides))


def test_the_program_says_one_line_and_ends_with_exit_code_2(tmp_path):
    done = programs.run("train", *SMALL, "model.temperature=0", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: contrast: temperature is 0; it must be above 0")
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_a_sweep_with_a_choice_that_there_is_not_does_not_begin(tmp_path, monkeypatch, capsys):
    override, said = "model=ce,ctc_queu", "model=ctc_queu does not exist; did you mean ctc_queue?"
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")  # restored afterwards, as is the next
    monkeypatch.setattr(sys, "argv", ["train.py", "-m", *SMALL, override, f"hydra.sweep.dir={tmp_path}"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith(f"error: {said}")
    assert not list(tmp_path.rglob("results.csv"))


def test_a_mistake_comes_back_whole_from_a_sweeps_other_process(tmp_path):
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        cfg = compose("train", overrides=[*SMALL, "model.temperature=0", f"paths.run_dir={tmp_path}"])
    with pytest.raises(InstantiationException) as caught:
        train(cfg)
    returned = pickle.loads(pickle.dumps(caught.value))
    assert explain(returned, "train") == explain(caught.value, "train")


def test_a_gpu_that_is_not_there_has_a_remedy():
    text = "Error in call to target 'pytorch_lightning.trainer.trainer.Trainer':\nfull_key: trainer"
    error = InstantiationException(text)
    error.__cause__ = MisconfigurationException("No supported gpu backend found!")
    assert explain(error, "train") == (
        "trainer.accelerator is gpu, and torch sees no GPU; take trainer=cpu or ddp_sim (in trainer)."
    )


def test_whoever_wants_the_traceback_gets_it(monkeypatch):
    monkeypatch.setattr(config_errors, "_WANTS_TRACEBACKS", True)
    with pytest.raises(ValueError, match="τ"), plain_errors("train"):
        raise ValueError("τ")


def test_a_mistake_of_ours_is_not_taken_for_the_users(monkeypatch):
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")  # restored afterwards
    with pytest.raises(KeyError), plain_errors("train"):
        raise KeyError
