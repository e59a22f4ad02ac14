"""The methods as a whole against naive transcriptions, in float64.

B: images, F: features, N: training images, K: negatives, D: projection; P: positive and negatives, 1 + K
"""

import math
from collections import deque
from copy import deepcopy
from types import SimpleNamespace

import pytest
import pytorch_lightning as pl
import torch
from hydra import compose, initialize_config_dir
from torch import exp, log
from torch.nn.functional import cross_entropy

from ctc_lightning.cli.configuration import config_dir
from ctc_lightning.train import build

N, K, TAU, QUEUE_SIZE = 50, 16, 0.1, 20  # batches of 8: the queue wraps within one
FIRST, SECOND, STEPS_PER_EPOCH = 6, 3, 6  # epochs of the reference's two stages
TINY = f"""data=digits data.source_label=digit data.num_train={N} data.num_val=20 data.num_test=20
    data.batch_size=8 model.temperature={TAU} model.momentum=0.9 callbacks=none logger.csv=null
    paths.run_dir=none
    trainer.precision=64-true trainer.enable_progress_bar=false trainer.enable_checkpointing=false"""


def state(module):
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def grad(module):
    return {name: p.grad.clone() for name, p in module.named_parameters() if p.grad is not None}


class Record(pl.Callback):
    """What a training did, step by step; ``state`` is that before the step."""

    def __init__(self):
        self.steps = []

    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        self.steps.append(SimpleNamespace(batch=batch, state=state(module)))

    def on_before_optimizer_step(self, trainer, module, optimizer):
        (group,) = optimizer.param_groups
        vars(self.steps[-1]).update(grad=grad(module), lr=group["lr"], weight_decay=group["weight_decay"])

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        self.steps[-1].loss = outputs["loss"]


def train(overrides):
    """Train by the code under test: its record, a copy from before, and the training images."""
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        cfg = compose("train", overrides=f"{TINY} {overrides}".split())
    trainer, module, data = build(cfg)
    record, start = Record(), deepcopy(module).double()
    for stage in module.stages.values():
        stage.contrast.register_forward_pre_hook(lambda _, met: setattr(record.steps[-1], "keys", met[1]))
    trainer.callbacks.append(record)
    trainer.fit(module, data)
    return record.steps, start, data.standardise(data.image_sets["source"]["train"].image).double()


class PlainSGD:
    """Steps a module that only holds tensors, and records as above."""

    def __init__(self, module):
        self.module, self.velocity, self.steps = module.requires_grad_(True), {}, []

    def replay(self, steps):
        """The recorded steps, one by one."""
        for step in steps:
            self.steps.append(SimpleNamespace(state=state(self.module)))
            yield step

    def step(self, loss, lr, weight_decay):
        """v ← 0.9 v + (∂loss + wd θ), θ ← θ − lr v, for every θ that has a gradient."""
        self.module.zero_grad()
        loss.backward()
        vars(self.steps[-1]).update(loss=loss, grad=grad(self.module), lr=lr, weight_decay=weight_decay)
        with torch.no_grad():
            for name, theta in self.module.named_parameters():
                if theta.grad is not None:
                    push = theta.grad + weight_decay * theta
                    self.velocity[name] = 0.9 * self.velocity.get(name, 0) + push
                    theta.sub_(lr * self.velocity[name])


def unit(x_BD):
    return x_BD / x_BD.square().sum(-1, keepdim=True).sqrt()


def cosine(part):
    return 0.5 * (1 + math.cos(math.pi * part))


def average(row_ND, index_B, key_BD):
    for i, k_D in zip(index_B, key_BD.detach(), strict=True):
        row_ND[i] = unit(0.9 * row_ND[i] + 0.1 * k_D)


def info_nce(query_BD, positive_BD, negatives_B):
    loss = 0.0
    for q_D, positive_D, negatives in zip(query_BD, positive_BD, negatives_B, strict=True):
        s = exp(q_D @ positive_D / TAU)
        loss -= log(s / (s + sum(exp(q_D @ k_D / TAU) for k_D in negatives)))
    return loss / len(query_BD)


def scores(anchor_BD, row_ND, chosen_BP):
    row_BPD = row_ND.index_select(0, chosen_BP.view(-1)).view(*chosen_BP.shape, -1)
    return exp(torch.bmm(row_BPD, anchor_BD[:, :, None]).squeeze(2) / TAU)


def binary_nce(s_BP):
    c, eps = K / N, 1e-7
    log_positive, log_negative = log(s_BP[:, 0] / (s_BP[:, 0] + c + eps)), log(c / (s_BP[:, 1:] + c + eps))
    return -(log_positive.sum() + log_negative.sum()) / len(s_BP)


def drawn(step):
    """The (B, K) images that the memory chose as negatives."""
    keys = step.keys
    return torch.stack([j[ok] for j, ok in zip(keys.column_BK, keys.allowed_BK, strict=True)])


def instance_stage(sgd, steps, row_ND, rates):
    """Cross-entropy and InfoNCE over all rows of a bank."""
    net = sgd.module.network
    for number, step in enumerate(sgd.replay(steps)):
        view, _, label, index = step.batch
        h_BF = net.backbone(view)
        q_BD = unit(net.projector(h_BF))
        others_B = [torch.cat([row_ND[:i], row_ND[i + 1 :]]) for i in index]
        contrast = info_nce(q_BD, row_ND[index], others_B)
        sgd.step(cross_entropy(net.classifier(h_BF), label) + 0.5 * contrast, *rates(number))
        average(row_ND, index, q_BD)


def bank(steps, start, image_N):
    """The first stage throughout, but with a trained projector."""
    sgd = PlainSGD(start)
    instance_stage(sgd, steps, start.stages["contrast"].memory.row_ND, every_step)
    return sgd.steps


def every_step(number):
    """Learning rate and weight decay of ``optim=sgd`` over 30 steps."""
    return 0.1 * cosine(number / 30), 5e-3


def two_stages(steps, start, image_N):
    """Variant B of the method; which negatives were drawn is all it takes from the code under test."""
    net, first, second, sgd = start.network, *start.stages.values(), PlainSGD(start)
    boundary = FIRST * STEPS_PER_EPOCH

    def lr(number, num_epochs):
        return 0.05 * cosine((number // STEPS_PER_EPOCH + 1) / (num_epochs + 1))

    net.projector.requires_grad_(False)
    instance_stage(sgd, steps[:boundary], first.memory.row_ND, lambda number: (lr(number, FIRST), 2 * 5e-4))

    (past, embed_k), embed_q = second.key_encoder.encoder, second.projector
    row_q_ND, row_k_ND = second.memory.of_queries.row_ND, second.memory.of_keys.row_ND
    past.load_state_dict(net.backbone.state_dict())
    past.eval()
    with torch.no_grad():
        row_q_ND[:], row_k_ND[:] = unit(embed_q(past(image_N))), unit(embed_k(past(image_N)))

    z = None
    for number, step in enumerate(sgd.replay(steps[boundary:])):
        view, _, label, index = step.batch
        h_BF = net.backbone(view)
        with torch.no_grad():
            past_BF = past(view)
        q_BD, k_BD = unit(embed_q(h_BF)), unit(embed_k(past_BF))
        chosen_BP = torch.cat([index[:, None], drawn(step)], dim=1)
        s_BP, t_BP = scores(q_BD, row_k_ND, chosen_BP), scores(k_BD, row_q_ND, chosen_BP)
        z = z or (s_BP.mean().item() * N, t_BP.mean().item() * N)
        loss = cross_entropy(net.classifier(h_BF), label) + binary_nce(s_BP / z[0]) + binary_nce(t_BP / z[1])
        sgd.step(loss, lr(number, SECOND) / 10, 5e-4)
        second.contrast.log_normaliser[:] = log(h_BF.new_tensor(z))
        average(row_q_ND, index, q_BD)
        average(row_k_ND, index, k_BD)
    return sgd.steps


def queue(steps, start, image_N):
    """Cross-entropy and InfoNCE against an averaged network's latest keys, but those of the own image."""
    net, past, sgd = start.network, start.stages["contrast"].key_encoder.encoder, PlainSGD(start)
    del start.stages["contrast"].memory  # nothing of it is used
    latest = deque(maxlen=QUEUE_SIZE)
    for number, step in enumerate(sgd.replay(steps)):
        view, key_view, label, index = step.batch
        h_BF = net.backbone(view)
        with torch.no_grad():
            k_BD = unit(past(key_view))
        older_B = [[k_D for i, k_D in latest if i != own] for own in index]
        contrast = info_nce(unit(net.projector(h_BF)), k_BD, older_B)
        sgd.step(cross_entropy(net.classifier(h_BF), label) + 0.5 * contrast, *every_step(number))
        latest.extend(zip(index, k_BD, strict=True))
        for name, theta in past.named_parameters():
            today = (net.backbone, net.projector)[int(name[0])].get_parameter(name[2:])
            theta.data = 0.9 * theta.data + 0.1 * today.data
    return sgd.steps


RUNS = {
    two_stages: f"""model=ctc_two_stage_reference optim=reference trainer.max_epochs={FIRST + SECOND}
        data.augmentation=null model.num_negatives={K}""",
    bank: "model=ctc_bank trainer.max_epochs=5",
    queue: f"model=ctc_queue trainer.max_epochs=5 model.queue_size={QUEUE_SIZE}",
}


@pytest.fixture(scope="module", params=RUNS, ids=lambda transcribe: transcribe.__name__)
def run(request):
    """What the code under test did, and what the transcription does with the same batches."""
    steps, start, image_N = train(RUNS[request.param])
    return steps, request.param(steps, start, image_N)


@pytest.mark.parametrize("what", ["loss", "grad", "state", "lr", "weight_decay"])
def test_every_step_is_that_of_a_naive_transcription(what, run):
    done, expected = ([getattr(step, what) for step in steps] for steps in run)
    if what == "state":
        done = [{name: before[name] for name in expected[0]} for before in done]
    torch.testing.assert_close(done, expected, rtol=1e-9, atol=1e-9)


PARTS = ["network.backbone", "network.classifier", "network.projector", "stages.instance.memory"]
PARTS += [f"stages.temporal.{part}" for part in ("memory", "projector")]
PARTS += [f"stages.temporal.key_encoder.encoder.{part}" for part in (0, 1)]


def moved(before, after):
    changed = [name for name, value in before.items() if not torch.equal(value, after[name])]
    return {part for part in PARTS if any(name.startswith(part) for name in changed)}


@pytest.mark.parametrize("run", [two_stages], indirect=True, ids=["two_stages"])
def test_a_stage_moves_its_own_parts_and_none_the_first_projector(run):
    states, boundary = [step.state for step in run[0]], FIRST * STEPS_PER_EPOCH
    network = {"network.backbone", "network.classifier"}
    heads = {"stages.temporal.projector", "stages.temporal.key_encoder.encoder.1"}
    assert moved(states[0], states[boundary - 1]) == network | {"stages.instance.memory"}
    assert moved(states[boundary], states[-1]) == network | heads | {"stages.temporal.memory"}


@pytest.mark.parametrize("run", [two_stages], indirect=True, ids=["two_stages"])
def test_the_second_stages_negatives_are_different_images_of_other_classes(run):
    steps, _ = run
    label_N = steps[0].state["stages.temporal.memory.of_keys.label_N"]
    for step in steps[FIRST * STEPS_PER_EPOCH :]:
        for own_label, image_K in zip(step.batch.label, drawn(step), strict=True):
            assert len(image_K.unique()) == K
            assert own_label not in label_N[image_K]
