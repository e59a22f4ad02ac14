"""A network cannot solve the contrast by its batch's statistics where the key encoder does without them.

A quarter of a batch's images are noise, drawn anew for query and key: nothing in such an image tells which
key is its own. The others are the same for both, with a variance in each channel that is their batch's.
Whoever finds the key of a noise image knows it from BatchNorm, which has seen the rest of the batch.

B: images of a batch, N: those that are noise, T: batches, D: projection
"""

import pytest
import pytorch_lightning as pl
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from scipy.stats import binomtest
from torch.nn.functional import normalize
from torch.utils.data import DataLoader

from ctc_lightning.batch import Batch
from ctc_lightning.cli.configuration import config_dir
from ctc_lightning.module import CTCModule
from ctc_lightning.networks import create_network
from ctc_lightning.optim import Constant

B, N, SIZE, STEPS = 32, 8, 8, 400
NUM_KEYS, PAUSE = 4, 128  # keys to choose from; batches between two of them, which nothing is learnt from


class Signatures(pl.LightningDataModule):
    """Batches of which images are noise or carry their batch's variances."""

    batch_size = B

    def batches(self, count, seed):
        generator = torch.Generator().manual_seed(seed)
        for number in range(count):
            view, key_view = torch.randn(2, B, 3, SIZE, SIZE, generator=generator)
            deviation = torch.randn(3, 1, 1, generator=generator).exp()
            view[N:] = key_view[N:] = deviation * view[N:]
            yield Batch(view, key_view, torch.zeros(B, dtype=torch.int64), torch.arange(B) + B * number)

    def train_dataloader(self):
        return DataLoader(list(self.batches(STEPS, seed=0)), batch_size=None)

    def transfer_batch_to_device(self, batch, device, dataloader_idx):
        return batch


def trained(batch_norm=None):
    """The stage of ``experiment=ctc_imagenet`` with a small network."""
    overrides = ["experiment=ctc_imagenet", "model.queue_size=256", "model.momentum=0.9", "model.weight=1"]
    if batch_norm:
        overrides.append(f"model.stages.contrast.key_encoder.batch_norm={batch_norm}")
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        cfg = compose("train", overrides=overrides)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = create_network(
            backbone="cifar/resnet8", num_classes=2, projector=instantiate(cfg.network.projector)
        )
    module = CTCModule(
        network=network,
        stages=dict(instantiate(cfg.model.stages)),
        optimizer=lambda groups: torch.optim.SGD(groups, lr=0.05, momentum=0.9),
        schedule=Constant(),
        label_N=torch.zeros(B * STEPS, dtype=torch.int64),
        max_epochs=1,
    )
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, Signatures())
    return module


@torch.no_grad()
def found(module):
    """How often the query of a noise image is nearest to its own key among four, and how many there were.

    The other three are keys of earlier batches as they would be in the queue. The network learns no more, but
    its running statistics move on, and the key encoder follows. No key is used twice, so that where a key
    knows nothing of its query, hits are independent and each has the chance of 1 in 4.
    """
    stage, encoder = module.stages["contrast"], module.stages["contrast"].encoder(module.network)
    module.train()
    queries, keys = [], []
    for batch in Signatures().batches((1 + NUM_KEYS) * PAUSE, seed=1):
        q_BD = normalize(encoder(batch.view), dim=-1)
        k_BD = stage.key_encoder(batch.key_view, q_BD)
        stage.key_encoder.update(encoder)
        queries.append(q_BD[:N])
        keys.append(k_BD[:N])
    # the first batches let the key encoder come to rest
    key_STND = torch.stack(keys).unflatten(0, (1 + NUM_KEYS, PAUSE))[1:]
    query_TND = torch.stack(queries)[-PAUSE:]
    nearest_TN = torch.einsum("tnd,stnd->stn", query_TND, key_STND).argmax(0)
    return int((nearest_TN == NUM_KEYS - 1).sum()), nearest_TN.numel()


@pytest.mark.slow
def test_with_running_statistics_noise_has_the_chance_of_a_guess():
    """As ImageNet's experiments choose."""
    hits, count = found(trained())
    assert binomtest(hits, count, 1 / NUM_KEYS).pvalue > 0.001


@pytest.mark.slow
def test_with_its_own_statistics_it_is_found():
    """So the test above can fail: 64 of 128 batches, were one image of each tried, would have p < 1e-8."""
    hits, count = found(trained("batch"))
    assert hits > count / 2
