"""The methods as a whole against naive transcriptions, in float64.

B: images, F: features, N: training images, K: negatives, D: projection; P: positive and negatives, 1 + K
"""

import math
from copy import deepcopy

import pytorch_lightning as pl
import torch
from hydra import compose, initialize_config_dir
from torch import exp, log
from torch.nn.functional import cross_entropy

from ctc_lightning.paths import config_dir
from ctc_lightning.train import build

TINY = [
    "data=digits",
    "data.source_label=digit",
    "data.num_train=50",
    "data.num_val=20",
    "data.num_test=20",
    "data.batch_size=8",
    "trainer.precision=64-true",
    "+trainer.enable_checkpointing=false",
    "trainer.enable_progress_bar=false",
    "paths.run_dir=none",
]
N, K, TAU = 50, 16, 0.1
STEPS_PER_EPOCH = 6  # batches of 8, the last two of 50 images dropped
FIRST, SECOND = 6, 3  # epochs of the reference's stages


class Record(pl.Callback):
    """Everything that a training did, step by step; the state is that before the step."""

    def __init__(self):
        self.steps = []

    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        state = {name: tensor.clone() for name, tensor in module.state_dict().items()}
        self.steps.append({"epoch": trainer.current_epoch, "batch": batch, "state": state})

    def on_before_optimizer_step(self, trainer, module, optimizer):
        grad = {name: p.grad.clone() for name, p in module.named_parameters() if p.grad is not None}
        group = optimizer.param_groups[0]
        self.steps[-1] |= {"grad": grad, "lr": group["lr"], "weight_decay": group["weight_decay"]}

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        self.steps[-1]["loss"] = outputs["loss"]


def train(*overrides):
    """Train by the code under test: its record, what it started from, and its data."""
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
    return record.steps, start, data


class Transcription:
    """Plain SGD with momentum 0.9, and its record."""

    def __init__(self, **trained):
        self.parameters = {f"{part}.{n}": p for part, m in trained.items() for n, p in m.named_parameters()}
        self.velocity = {}
        self.steps = []

    def step(self, loss, lr, weight_decay, **state):
        """g ← ∂loss + wd θ, v ← 0.9 v + g, θ ← θ − lr v, for whatever has a gradient."""
        for p in self.parameters.values():
            p.grad = None
        loss.backward()
        grad = {name: p.grad for name, p in self.parameters.items() if p.grad is not None}
        state = {name: value.detach().clone() for name, value in (self.parameters | state).items()}
        self.steps.append(
            {"loss": loss.detach(), "grad": grad, "state": state, "lr": lr, "weight_decay": weight_decay}
        )
        with torch.no_grad():
            for name, g in grad.items():
                self.velocity[name] = (
                    0.9 * self.velocity.get(name, 0) + g + weight_decay * self.parameters[name]
                )
                self.parameters[name] -= lr * self.velocity[name]


def unit(x_BD):
    return x_BD / x_BD.square().sum(1, keepdim=True).sqrt()


def average(bank_ND, index_B, key_BD):
    """M_i ← normalise(0.9 M_i + 0.1 k_i)."""
    for i, k_D in zip(index_B, key_BD.detach(), strict=True):
        bank_ND[i] = unit((0.9 * bank_ND[i] + 0.1 * k_D)[None])[0]


def info_nce(query_BD, positive_BD, negatives_B):
    """−(1/B) Σ_b log [ exp(q·k⁺/τ) / ( exp(q·k⁺/τ) + Σ_j exp(q·k⁻_j/τ) ) ]."""
    loss = 0.0
    for q_D, positive_D, negatives in zip(query_BD, positive_BD, negatives_B, strict=True):
        s = exp(q_D @ positive_D / TAU)
        loss -= log(s / (s + sum(exp(q_D @ k_D / TAU) for k_D in negatives)))
    return loss / len(query_BD)


def all_rows(query_BD, bank_ND, index_B):
    """InfoNCE over the rows of a bank, of which row i is the positive."""
    others_B = [torch.cat([bank_ND[:i], bank_ND[i + 1 :]]) for i in index_B]
    return info_nce(query_BD, bank_ND[index_B], others_B)


def scores(anchor_BD, bank_ND, chosen_BP):
    """exp(M_j·anchor/τ) over each image's positive and negatives."""
    B, P = chosen_BP.shape
    row_BPD = bank_ND.index_select(0, chosen_BP.view(-1)).view(B, P, -1)
    return exp(torch.bmm(row_BPD, anchor_BD[:, :, None]).squeeze(2) / TAU)


def binary_nce(s_BP):
    """−(1/B) Σ_b [ log(s_i/(s_i + c + ε)) + Σ_j log(c/(s_j + c + ε)) ]."""
    c, eps = K / N, 1e-7
    return -(log(s_BP[:, 0] / (s_BP[:, 0] + c + eps)).sum() + log(c / (s_BP[:, 1:] + c + eps)).sum()) / len(
        s_BP
    )


def transcribe_two_stages(steps, start, image_N):
    """Variant B of the method; of ``steps`` only the batches and the images drawn as negatives are read."""
    net, (first, second) = start.network, start.stages.values()
    embed_q, embed_k = second.projector, second.key_encoder.encoder[1]
    bank, bank_q, bank_k = first.memory.row_ND, second.memory.of_queries.row_ND, second.memory.of_keys.row_ND
    out = Transcription(
        **{"network.backbone": net.backbone, "network.classifier": net.classifier},
        **{"stages.temporal.projector": embed_q, "stages.temporal.key_encoder.encoder.1": embed_k},
    )
    for step in steps:
        epoch, batch = step["epoch"] + 1, step["batch"]
        if epoch == FIRST + 1 and len(out.steps) == FIRST * STEPS_PER_EPOCH:
            frozen, z_q, z_k = deepcopy(net.backbone).eval(), None, None
            with torch.no_grad():
                bank_q[:], bank_k[:] = unit(embed_q(frozen(image_N))), unit(embed_k(frozen(image_N)))
        h_BF = net.backbone(batch.view)
        loss = cross_entropy(net.classifier(h_BF), batch.label)
        banks = {
            "stages.instance.memory.row_ND": bank,
            "stages.temporal.memory.of_queries.row_ND": bank_q,
            "stages.temporal.memory.of_keys.row_ND": bank_k,
        }
        if epoch <= FIRST:
            q_BD = unit(net.projector(h_BF))
            lr = 0.05 * 0.5 * (1 + math.cos(epoch * math.pi / (FIRST + 1)))
            out.step(loss + 0.5 * all_rows(q_BD, bank, batch.index), lr, 2 * 5e-4, **banks)
            average(bank, batch.index, q_BD)
        else:
            with torch.no_grad():
                past_BF = frozen(batch.view)
            q_BD, k_BD = unit(embed_q(h_BF)), unit(embed_k(past_BF))
            chosen_BP = torch.cat([batch.index[:, None], negatives(step)], dim=1)
            s_BP, t_BP = scores(q_BD, bank_k, chosen_BP), scores(k_BD, bank_q, chosen_BP)
            if z_q is None:
                z_q, z_k = s_BP.mean().detach() * N, t_BP.mean().detach() * N
            lr = 0.005 * 0.5 * (1 + math.cos((epoch - FIRST) * math.pi / (SECOND + 1)))
            out.step(loss + binary_nce(s_BP / z_q) + binary_nce(t_BP / z_k), lr, 5e-4, **banks)
            average(bank_q, batch.index, q_BD)
            average(bank_k, batch.index, k_BD)
    return out.steps


def negatives(step):
    """The images (B, K) that the memory chose."""
    keys = step["keys"]
    return torch.stack([j[ok] for j, ok in zip(keys.column_BK, keys.allowed_BK, strict=True)])
