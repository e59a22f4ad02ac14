"""What the module promises about a training as a whole. B: images, K: slots, R: stored rows, D: projection"""

import math
import random
from copy import deepcopy

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from pytorch_lightning.callbacks import LambdaCallback
from torch.nn.functional import cross_entropy

from ctc_lightning.cli.configuration import config_dir
from ctc_lightning.module import CTCModule
from ctc_lightning.networks import create_network
from ctc_lightning.optim import Cosine
from ctc_lightning.stage import Stage
from ctc_lightning.train import build

NUM_BATCHES = 8  # an epoch, of 8 images
TINY = f"""data=digits data.source_label=digit data.num_train={8 * NUM_BATCHES} data.num_val=20
    data.num_test=20 data.batch_size=8 callbacks=none logger.csv=null paths.run_dir=none
    trainer.enable_progress_bar=false trainer.enable_checkpointing=false"""
TWO_STAGES = "model=ctc_two_stage model.stages.instance.epochs=2"
REFERENCE = "model=ctc_two_stage_reference model.num_negatives=16"
REFERENCE_HEADS = {"stages.temporal.projector", "stages.temporal.key_encoder.encoder.1"}
NETWORK = {"network.backbone", "network.classifier", "network.projector"}
TRAINED = {
    "model=ce": NETWORK - {"network.projector"},
    "model=ctc_queue": NETWORK,
    "model=ctc_bank": NETWORK,
    TWO_STAGES: NETWORK,
    REFERENCE: NETWORK - {"network.projector"} | REFERENCE_HEADS,
}


def build_tiny(overrides, **hooks):
    """Trainer, module and data, with these hooks of a callback."""
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        trainer, module, data = build(compose("train", overrides=f"{TINY} {overrides}".split()))
    trainer.callbacks.append(LambdaCallback(**hooks))
    return trainer, module, data


def train(overrides, checkpoint=None, **hooks):
    trainer, module, data = build_tiny(overrides, **hooks)
    trainer.fit(module, data, ckpt_path=checkpoint, weights_only=True)
    return module


def state(module):
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def weights(module):
    return [p.detach().clone() for p in module.parameters()]


def parts(module, condition):
    """Which parts of the module have a parameter of which ``condition`` is true."""
    known = NETWORK | REFERENCE_HEADS
    names = [name for name, p in module.named_parameters() if condition(p)]
    return {next((part for part in known if name.startswith(part)), name) for name in names}


def test_under_accumulation_keys_follow_each_optimizer_step_and_each_micro_batch_is_remembered():
    seen = []

    def observe(trainer, module, outputs, batch, batch_idx):
        encoder, past = module.stage.encoder(module.network), module.stage.key_encoder
        seen.append((trainer.global_step, weights(encoder), weights(past), batch.index))

    start = []
    module = train(
        """model=ctc_queue model.momentum=0.75 model.queue_size=100 trainer.max_epochs=2
        trainer.accumulate_grad_batches=3""",
        on_train_start=lambda _, module: start.extend(weights(module.stages)),
        on_train_batch_end=observe,
    )
    assert [step for step, *_ in seen] == [0, 0, 1, 1, 1, 2, 2, 3, 3, 3, 4, 4, 4, 5, 5, 6]
    steps_done, expected = 0, start
    for step, now, past, _ in seen:
        if step > steps_done:
            expected = [0.75 * then + 0.25 * today for then, today in zip(expected, now, strict=True)]
        torch.testing.assert_close(past, expected)
        steps_done = step

    memory, index_N = module.stage.memory, torch.cat([index_B for *_, index_B in seen])
    assert torch.equal(memory.index_K.roll(-int(memory.cursor)), index_N[-100:])


@pytest.mark.parametrize(
    "overrides",
    [
        "model=ctc_queue model.stages.contrast.memory.exclude=none",
        "model=ctc_bank model.momentum=0",
    ],
)
def test_nothing_stored_is_todays_embedding(overrides):
    trainer, module, data = build_tiny(f"{overrides} trainer.precision=64-true trainer.max_epochs=2")
    today, nearest = [], []
    stage = module.stages["contrast"]
    stage.key_encoder.register_forward_hook(lambda _, views, key_BD: today.append(key_BD))

    def observe(_, arguments):
        query_BD, keys = arguments
        today_BD = torch.cat([query_BD.detach(), today.pop()])
        if len(keys.row_RD) > 0:  # a queue starts empty
            nearest.append(torch.cdist(today_BD, keys.row_RD).min())

    stage.contrast.register_forward_pre_hook(observe)
    trainer.fit(module, data)
    assert len(nearest) >= 2 * NUM_BATCHES - 1
    assert min(nearest) > 1e-4


def test_no_query_meets_an_older_key_of_its_own_image():
    trainer, module, data = build_tiny("model=ctc_queue model.queue_size=100 trainer.max_epochs=3")
    stage, batches, kept_out = module.stages["contrast"], [], 0
    trainer.callbacks.append(LambdaCallback(on_train_batch_start=lambda *a: batches.append(a[2])))

    def observe(_, arguments):
        nonlocal kept_out
        own_BK = batches[-1].index[:, None] == stage.memory.index_K
        query_BD, keys = arguments
        met_BK = keys.negative(query_BD) > -torch.inf
        assert torch.equal(met_BK, ~own_BK[:, : met_BK.shape[1]])
        kept_out += int(own_BK.sum())

    stage.contrast.register_forward_pre_hook(observe)
    trainer.fit(module, data)
    assert kept_out > 64


@pytest.mark.parametrize("overrides", ["model=ctc_queue", REFERENCE])
def test_evaluation_leaves_training_untouched(overrides):
    ends = []
    for limit in (0, 1.0):
        module = train(f"{overrides} trainer.max_epochs=3 trainer.limit_val_batches={limit}")
        numpy_next = np.random.rand()  # noqa: NPY002 - the global generator is meant
        ends.append((state(module), torch.rand(9), random.random(), numpy_next))
    without, evaluated = ends
    torch.testing.assert_close(evaluated, without, rtol=0, atol=0)


@pytest.mark.parametrize("overrides", TRAINED)
def test_the_optimizer_holds_exactly_what_is_trained(overrides):
    module = train(f"{overrides} trainer.max_epochs=3")
    (group,) = module.trainer.optimizers[0].param_groups
    held = {id(p) for p in group["params"]}
    assert len(held) == len(group["params"])
    assert held == {id(p) for p in module.parameters() if p.requires_grad}
    assert parts(module, lambda p: id(p) in held) == TRAINED[overrides]


@pytest.mark.parametrize("overrides", TRAINED)
def test_gradients_reach_the_network_and_no_key_encoder(overrides):
    reached = {}

    def observe(trainer, module, optimizer):
        reached.setdefault(module.stage_name, set()).update(parts(module, lambda p: p.grad is not None))

    train(f"{overrides} trainer.max_epochs=3", on_before_optimizer_step=observe)
    expected = dict.fromkeys(reached, TRAINED[overrides])
    if overrides == REFERENCE:
        expected["instance"] = expected["instance"] - REFERENCE_HEADS
    assert reached == expected


def test_cross_entropy_alone_is_plain_training():
    seen = []
    trainer, module, data = build_tiny(
        """model=ce trainer.precision=64-true trainer.max_epochs=3
        optim.schedule._target_=ctc_lightning.optim.Constant optim.optimizer.lr=0.05""",
        on_train_batch_end=lambda trainer, module, outputs, batch, _: seen.append((outputs["loss"], batch)),
    )
    net = deepcopy(module.network).double()
    trainer.fit(module, data)
    sgd = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-3)
    assert len(seen) == 3 * NUM_BATCHES
    for loss, batch in seen:
        expected = cross_entropy(net(batch.view), batch.label)
        sgd.zero_grad()
        expected.backward()
        sgd.step()
        torch.testing.assert_close(loss, expected.detach(), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(state(module.network), state(net), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("accumulate", "steps_per_epoch"), [(1, NUM_BATCHES), (3, 3)])
def test_stages_switch_at_their_epoch_with_their_rate_and_decay(accumulate, steps_per_epoch):
    seen = []

    def observe(trainer, module, optimizer):
        (group,) = optimizer.param_groups
        seen.append((trainer.current_epoch, module.stage_name, group["lr"], group["weight_decay"]))

    train(
        f"""{TWO_STAGES} trainer.max_epochs=5 trainer.accumulate_grad_batches={accumulate}
        optim.optimizer.lr=0.1 optim.optimizer.weight_decay=0.01
        model.stages.instance.weight_decay_scale=3 model.stages.temporal.weight_decay_scale=0.5
        model.stages.temporal.lr_scale=0.2""",
        on_before_optimizer_step=observe,
    )
    assert [(epoch, name) for epoch, name, *_ in seen] == [
        (epoch, "instance" if epoch < 2 else "temporal") for epoch in range(5) for _ in range(steps_per_epoch)
    ]
    for i, (_, _, lr, weight_decay) in enumerate(seen):
        first, length, base = (0, 2, 0.1) if i < 2 * steps_per_epoch else (2, 3, 0.02)
        part = (i / steps_per_epoch - first) / length
        assert lr == pytest.approx(base * 0.5 * (1 + math.cos(math.pi * part)))
        assert weight_decay == pytest.approx(0.03 if first == 0 else 0.005)


@pytest.mark.parametrize(("finished", "begins_anew"), [(1, False), (2, True), (3, False)])
def test_a_resumed_run_begins_a_stage_only_at_its_beginning(finished, begins_anew, tmp_path):
    overrides = f"{TWO_STAGES} trainer.max_epochs=4"

    def save(trainer, module):
        trainer.save_checkpoint(tmp_path / f"{trainer.current_epoch + 1}.ckpt")

    uninterrupted, resumed_at = train(overrides, on_train_epoch_end=save), []
    resumed = train(
        overrides,
        checkpoint=tmp_path / f"{finished}.ckpt",
        on_train_batch_start=lambda _, module, *rest: resumed_at.append(state(module)),
    )
    saved = torch.load(tmp_path / f"{finished}.ckpt", weights_only=True)["state_dict"]
    changed = {name for name, tensor in saved.items() if not torch.equal(tensor, resumed_at[0][name])}
    encoder, bank = "stages.temporal.key_encoder.", "stages.temporal.memory.row_ND"
    assert any(name.startswith(encoder) for name in changed) == (bank in changed) == begins_anew
    assert all(name.startswith(encoder) or name == bank for name in changed)
    torch.testing.assert_close(state(resumed), state(uninterrupted), rtol=0, atol=0)


def test_a_single_class_is_refused():
    network = create_network(backbone="cifar/resnet8", num_classes=1, projector=None)
    with pytest.raises(ValueError, match="has 1 class, must have at least 2: use data of several classes"):
        CTCModule(network, {"only": Stage()}, torch.optim.SGD, Cosine())
