"""The methods as a whole against naive transcriptions, in float64.

B: images, F: features, N: training images, K: negatives, D: projection; P: positive and negatives, 1 + K
"""

import math
from collections import deque
from copy import deepcopy

import pytest
import pytorch_lightning as pl
import torch
from hydra import compose, initialize_config_dir
from torch import exp, log, nn
from torch.nn.functional import cross_entropy

from ctc_lightning.paths import config_dir
from ctc_lightning.train import build

N, K, TAU, QUEUE_SIZE = 50, 16, 0.1, 20  # batches of 8, so that the queue wraps within a batch
TINY = f"""data=digits data.source_label=digit data.num_train={N} data.num_val=20 data.num_test=20
    data.batch_size=8 model.temperature={TAU} model.momentum=0.9 trainer.precision=64-true
    +trainer.enable_checkpointing=false trainer.enable_progress_bar=false paths.run_dir=none""".split()
FIRST, SECOND = 6, 3  # epochs of the reference's two stages
exactly = {"rtol": 1e-9, "atol": 1e-9}


class Record(pl.Callback):
    """What a training did, step by step; ``state`` is that before the step."""

    def __init__(self):
        self.steps = []

    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        state = {name: tensor.clone() for name, tensor in module.state_dict().items()}
        self.steps.append({"epoch": trainer.current_epoch, "batch": batch, "state": state})

    def on_before_optimizer_step(self, trainer, module, optimizer):
        (group,) = optimizer.param_groups
        grad = {name: p.grad.clone() for name, p in module.named_parameters() if p.grad is not None}
        self.steps[-1] |= {"grad": grad, "lr": group["lr"], "weight_decay": group["weight_decay"]}

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        self.steps[-1]["loss"] = outputs["loss"]


def train(*overrides):
    """Train by the code under test: its record, what it started from, and the training images."""
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        cfg = compose("train", overrides=[*TINY, *overrides])
    cfg.callbacks = cfg.logger = {}
    trainer, module, data = build(cfg)
    standardise, record, start = data.standardise, Record(), deepcopy(module).double().train()
    data.standardise = lambda image: standardise(image).double()
    for stage in module.stages.values():
        stage.contrast.register_forward_pre_hook(lambda _, met: record.steps[-1].update(keys=met[1]))
    trainer.callbacks.append(record)
    trainer.fit(module, data)
    return record.steps, start, data.standardise(data.image_sets["source"]["train"].image)


class Transcription:
    """Plain SGD with momentum 0.9, and its record."""

    def __init__(self, **trained):
        self.theta = named("", **trained)
        self.velocity, self.steps = dict.fromkeys(self.theta, 0), []

    def step(self, loss, lr, weight_decay, **state):
        """v ← 0.9 v + (∂loss + wd θ), θ ← θ − lr v, for every θ that has a gradient."""
        for p in self.theta.values():
            p.grad = None
        loss.backward()
        grad = {name: p.grad for name, p in self.theta.items() if p.grad is not None}
        state = {name: value.detach().clone() for name, value in (self.theta | state).items()}
        rates = {"lr": lr, "weight_decay": weight_decay}
        self.steps.append({"loss": loss.detach(), "grad": grad, "state": state} | rates)
        with torch.no_grad():
            for name, g in grad.items():
                self.velocity[name] = 0.9 * self.velocity[name] + g + weight_decay * self.theta[name]
                self.theta[name] -= lr * self.velocity[name]


def named(prefix, **modules):
    return {f"{prefix}{part}.{name}": p for part, m in modules.items() for name, p in m.named_parameters()}


def unit(x_BD):
    return x_BD / x_BD.square().sum(-1, keepdim=True).sqrt()


def cosine(part):
    return 0.5 * (1 + math.cos(math.pi * part))


def average(bank_ND, index_B, key_BD):
    for i, k_D in zip(index_B, key_BD.detach(), strict=True):
        bank_ND[i] = unit(0.9 * bank_ND[i] + 0.1 * k_D)


def info_nce(query_BD, positive_BD, negatives_B):
    loss = 0.0
    for q_D, positive_D, negatives in zip(query_BD, positive_BD, negatives_B, strict=True):
        s = exp(q_D @ positive_D / TAU)
        loss -= log(s / (s + sum(exp(q_D @ k_D / TAU) for k_D in negatives)))
    return loss / len(query_BD)


def all_rows(query_BD, bank_ND, index_B):
    others_B = [torch.cat([bank_ND[:i], bank_ND[i + 1 :]]) for i in index_B]
    return info_nce(query_BD, bank_ND[index_B], others_B)


def scores(anchor_BD, bank_ND, chosen_BP):
    row_BPD = bank_ND.index_select(0, chosen_BP.view(-1)).view(*chosen_BP.shape, -1)
    return exp(torch.bmm(row_BPD, anchor_BD[:, :, None]).squeeze(2) / TAU)


def binary_nce(s_BP):
    c, eps = K / N, 1e-7
    log_positive, log_negative = log(s_BP[:, 0] / (s_BP[:, 0] + c + eps)), log(c / (s_BP[:, 1:] + c + eps))
    return -(log_positive.sum() + log_negative.sum()) / len(s_BP)


def drawn(step):
    """The (B, K) images that the memory chose as negatives."""
    keys = step["keys"]
    return torch.stack([j[ok] for j, ok in zip(keys.column_BK, keys.allowed_BK, strict=True)])


def two_stages(steps, start, image_N):
    """Variant B of the method."""
    net, first, second = start.network, start.stages["instance"], start.stages["temporal"]
    embed_q, embed_k = second.projector, second.key_encoder.encoder[1]
    bank, bank_q, bank_k = (
        m.row_ND for m in (first.memory, second.memory.of_queries, second.memory.of_keys)
    )
    banks = {
        "stages.instance.memory.row_ND": bank,
        "stages.temporal.memory.of_queries.row_ND": bank_q,
        "stages.temporal.memory.of_keys.row_ND": bank_k,
    }
    trained = {"network.backbone": net.backbone, "network.classifier": net.classifier}
    heads = {"stages.temporal.projector": embed_q, "stages.temporal.key_encoder.encoder.1": embed_k}
    out, frozen = Transcription(**trained, **heads), None
    for step in steps:
        epoch, batch = step["epoch"] + 1, step["batch"]
        if epoch <= FIRST:
            h_BF = net.backbone(batch.view)
            q_BD, lr = unit(net.projector(h_BF)), 0.05 * cosine(epoch / (FIRST + 1))
            loss = cross_entropy(net.classifier(h_BF), batch.label) + 0.5 * all_rows(q_BD, bank, batch.index)
            out.step(loss, lr, 2 * 5e-4, **banks)
            average(bank, batch.index, q_BD)
            continue
        begins = frozen is None
        with torch.no_grad():
            if begins:
                frozen = deepcopy(net.backbone).eval()
                bank_q[:], bank_k[:] = unit(embed_q(frozen(image_N))), unit(embed_k(frozen(image_N)))
            past_BF = frozen(batch.view)
        h_BF = net.backbone(batch.view)
        q_BD, k_BD = unit(embed_q(h_BF)), unit(embed_k(past_BF))
        chosen_BP = torch.cat([batch.index[:, None], drawn(step)], dim=1)
        s_BP, t_BP = scores(q_BD, bank_k, chosen_BP), scores(k_BD, bank_q, chosen_BP)
        if begins:
            z_q, z_k = N * s_BP.mean().detach(), N * t_BP.mean().detach()
        loss = cross_entropy(net.classifier(h_BF), batch.label)
        loss = loss + binary_nce(s_BP / z_q) + binary_nce(t_BP / z_k)
        out.step(loss, 0.005 * cosine((epoch - FIRST) / (SECOND + 1)), 5e-4, **banks)
        average(bank_q, batch.index, q_BD)
        average(bank_k, batch.index, k_BD)
    return out.steps


def bank(steps, start, image_N):
    """Cross-entropy and InfoNCE over all rows of a bank."""
    net, row_ND = start.network, start.stages["contrast"].memory.row_ND
    out = Transcription(network=net)
    for number, batch in enumerate(step["batch"] for step in steps):
        h_BF = net.backbone(batch.view)
        q_BD = unit(net.projector(h_BF))
        loss = cross_entropy(net.classifier(h_BF), batch.label) + 0.5 * all_rows(q_BD, row_ND, batch.index)
        out.step(loss, 0.1 * cosine(number / 30), 5e-3, **{"stages.contrast.memory.row_ND": row_ND})
        average(row_ND, batch.index, q_BD)
    return out.steps


def queue(steps, start, image_N):
    """Cross-entropy and InfoNCE against the last keys of an averaged network, the own image's left out."""
    net = start.network
    past, latest = deepcopy(nn.Sequential(net.backbone, net.projector)), deque(maxlen=QUEUE_SIZE)
    out = Transcription(network=net)
    for number, batch in enumerate(step["batch"] for step in steps):
        h_BF = net.backbone(batch.view)
        with torch.no_grad():
            k_BD = unit(past(batch.key_view))
        older_B = [[k_D for i, k_D in latest if i != own] for own in batch.index]
        loss = cross_entropy(net.classifier(h_BF), batch.label)
        loss = loss + 0.5 * info_nce(unit(net.projector(h_BF)), k_BD, older_B)
        out.step(loss, 0.1 * cosine(number / 30), 5e-3, **named("stages.contrast.key_encoder.", encoder=past))
        latest.extend(zip(batch.index, k_BD, strict=True))
        with torch.no_grad():
            for then, now in zip(past.parameters(), [*net.backbone.parameters(), *net.projector.parameters()], strict=True):
                then.copy_(0.9 * then + 0.1 * now)
    return out.steps


RUNS = {
    two_stages: f"""model=ctc_two_stage_reference optim=reference trainer.max_epochs={FIRST + SECOND}
        data.augmentation=null model.num_negatives={K}""",
    bank: "model=ctc_bank trainer.max_epochs=5",
    queue: f"model=ctc_queue trainer.max_epochs=5 model.queue_size={QUEUE_SIZE}",
}


@pytest.fixture(scope="module", params=RUNS, ids=lambda transcribe: transcribe.__name__)
def run(request):
    """What the code under test did, and what the transcription does on the same batches."""
    steps, start, image_N = train(*RUNS[request.param].split())
    return steps, request.param(steps, start, image_N)
