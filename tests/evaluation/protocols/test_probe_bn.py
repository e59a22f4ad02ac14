"""The probe behind BatchNorm learns as PyTorch's own layers and SGD, and chooses on validation alone.

B: batch, N: images, F: features, L: classes
"""

from dataclasses import replace
from inspect import signature
from itertools import product
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf
from torch import nn
from torch.optim.lr_scheduler import MultiStepLR

from ctc_lightning.evaluation.classification_metrics import score
from ctc_lightning.evaluation.heads import label_loss, new_head
from ctc_lightning.evaluation.protocols.probe_bn import BatchNormProbe

OPTIONS = {
    "learning_rates": [0.001, 0.2, 0.05],
    "weight_decays": [0.0, 0.05],
    "momentum": 0.9,
    "batch_size": 32,
    "epochs": 6,
    "milestones": [0.5, 0.8],
    "decay": 0.1,
}


def probe(**options):
    return BatchNormProbe(**{**OPTIONS, **options})


def logits_of_torch(task, splits, asked, rate, weight_decay, *, batch_size=32):
    """(N, L) on the ``asked`` split, of a model of PyTorch's own parts that has learnt ``splits``."""
    h_NF, label = (torch.cat([of[name] for name in splits]) for of in (task.features, task.label))
    model = nn.Sequential(
        nn.BatchNorm1d(h_NF.shape[1], affine=False),
        new_head(h_NF.shape[1], task.num_classes, task.seed),
    )
    sgd = torch.optim.SGD(model.parameters(), lr=rate, momentum=0.9, weight_decay=weight_decay)
    steps = MultiStepLR(
        sgd, milestones=[3, 4], gamma=0.1
    )  # a half of 6 epochs, and 0.8 of them, rounded down
    order = torch.Generator().manual_seed(task.seed)
    for _ in range(6):
        for index_B in torch.randperm(len(h_NF), generator=order).split(batch_size):
            if len(index_B) == batch_size:
                loss = label_loss(model(h_NF[index_B]), label[index_B])
                sgd.zero_grad()
                loss.backward()
                sgd.step()
        steps.step()
    return model.eval()(task.features[asked]).detach()


@pytest.mark.parametrize("task_name", ["noisy_task", "noisy_multi_label_task"])
@pytest.mark.parametrize(("rate", "weight_decay"), [(0.2, 0.0), (0.05, 0.05)])
def test_learns_as_torch_does(rate, weight_decay, task_name, request):
    task = request.getfixturevalue(task_name)
    found = probe(learning_rates=[rate], weight_decays=[weight_decay]).predict(task)
    val_NL = logits_of_torch(task, ["train"], "val", rate, weight_decay)
    test_NL = logits_of_torch(task, ["train", "val"], "test", rate, weight_decay)
    # some 70 float32 steps from equal starts, sums in another order
    torch.testing.assert_close(found.val, val_NL, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found.test, test_NL, rtol=1e-4, atol=1e-4)
    assert found.chosen == f"lr={rate}, wd={weight_decay:g}"


@pytest.mark.parametrize("task_name", ["noisy_task", "noisy_multi_label_task"])
def test_chooses_as_a_loop_over_the_pairs(task_name, request):
    task = request.getfixturevalue(task_name)
    pairs = list(product(OPTIONS["learning_rates"], OPTIONS["weight_decays"]))
    scores = [
        score(logits_of_torch(task, ["train"], "val", *pair), task.label["val"], task.metric)
        for pair in pairs
    ]
    assert len(set(scores)) > 2  # there is something to choose
    rate, weight_decay = pairs[scores.index(max(scores))]
    rows = {row.metric: row for row in probe().measure(task)}
    assert rows[task.metric].chosen == f"lr={rate}, wd={weight_decay:g}"
    assert rows[f"val_{task.metric}"].value == pytest.approx(max(scores), abs=1e-6)


def test_of_equally_good_pairs_the_first_is_taken(easy_task):
    rows = {row.metric: row for row in probe(learning_rates=[0.05, 0.2]).measure(easy_task)}
    assert rows["top1"].value == rows["val_top1"].value == 1
    assert rows["top1"].chosen == "lr=0.05, wd=0"


def test_fewer_images_than_a_batch_are_one_batch(noisy_task):
    found = probe(learning_rates=[0.2], weight_decays=[0.0], batch_size=1000).predict(noisy_task)
    expected_NL = logits_of_torch(noisy_task, ["train"], "val", 0.2, 0.0, batch_size=240)
    torch.testing.assert_close(found.val, expected_NL, rtol=1e-4, atol=1e-4)


def test_scale_and_mean_of_features_do_not_matter(noisy_task):
    # powers of two and whole numbers, so that float32 keeps the features
    features = {name: 64 * h_NF + 8 for name, h_NF in noisy_task.features.items()}
    options = {"learning_rates": [0.2], "weight_decays": [0.0], "epochs": 40, "milestones": []}
    found = probe(**options).predict(replace(noisy_task, features=features))
    expected = probe(**options).predict(noisy_task)
    # not exactly: 1e-5 is added to the variance, and the running means forget their start at 0 and 1 slowly:
    # 0.9^(40 · 7) of it is left
    torch.testing.assert_close(found.val, expected.val, rtol=1e-3, atol=1e-3)


def test_a_feature_without_variance_is_no_error(noisy_task):
    features = {name: h_NF.clone() for name, h_NF in noisy_task.features.items()}
    for h_NF in features.values():
        h_NF[:, 2] = 3.0
    assert probe().predict(replace(noisy_task, features=features)).test.isfinite().all()


def test_a_pair_that_diverges_is_out(noisy_task):
    # a decay of 1 and a rate of 1e6 multiply the weights by -1e6 in each step
    found = probe(learning_rates=[1e6, 0.2], weight_decays=[1.0, 0.0]).predict(noisy_task)
    alone = probe(learning_rates=[0.2], weight_decays=[0.0]).predict(noisy_task)
    assert found.test.isfinite().all()
    assert found.chosen != "lr=1e+06, wd=1"
    assert score(found.val, noisy_task.label["val"], "top1") >= score(
        alone.val, noisy_task.label["val"], "top1"
    )
    with pytest.raises(ValueError, match=r"diverged on noise with learning_rates \[1000000.0\]; give lower"):
        probe(learning_rates=[1e6], weight_decays=[1.0]).predict(noisy_task)


def test_a_single_image_has_no_variance(noisy_task):
    one = replace(
        noisy_task,
        label={**noisy_task.label, "train": noisy_task.label["train"][:1]},
        features={**noisy_task.features, "train": noisy_task.features["train"][:1]},
    )
    with pytest.raises(ValueError, match="noise has 1 training images, a variance needs at least 2"):
        probe().predict(one)


@pytest.mark.parametrize("task_name", ["noisy_task", "noisy_multi_label_task"])
def test_the_test_split_is_not_looked_at(task_name, request, assert_test_is_not_looked_at):
    assert_test_is_not_looked_at(probe(), request.getfixturevalue(task_name))


@pytest.mark.usefixtures("global_randomness_untouched")
def test_all_draws_are_of_the_seed(noisy_task):
    assert probe().measure(noisy_task) == probe().measure(noisy_task)
    other = probe().predict(replace(noisy_task, seed=6))
    assert not torch.allclose(other.test, probe().predict(noisy_task).test)


def test_works_where_gradients_are_off(noisy_task):
    with torch.inference_mode():
        found = probe().predict(noisy_task)
    torch.testing.assert_close(found.test, probe().predict(noisy_task).test)


def test_the_yaml_gives_every_option(noisy_task):
    config = OmegaConf.load(Path(__file__).parents[3] / "conf" / "protocol" / "probe_bn.yaml").probe_bn
    assert config.pop("_target_") == "ctc_lightning.evaluation.BatchNormProbe"
    assert set(config) == set(signature(BatchNormProbe).parameters)
    protocol = BatchNormProbe(**config)
    assert protocol.settings == OmegaConf.to_container(config)
    assert protocol.measure(noisy_task)[0].value > 0.5  # chance is a third


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"learning_rates": []}, r"learning_rates is \[\]; give at least one value"),
        (
            {"learning_rates": [0.1, 0]},
            r"learning_rates is \[0.1, 0\]; give at least one value, each above 0",
        ),
        ({"weight_decays": []}, r"weight_decays is \[\]; give at least one value"),
        ({"weight_decays": [-1.0]}, r"weight_decays is \[-1.0\]; give at least one value, each at least 0"),
        ({"momentum": 1.0}, "momentum is 1.0; it must be at least 0 and below 1"),
        ({"batch_size": 1}, "batch_size is 1; it must be a whole number of at least 2"),
        ({"epochs": 0}, "epochs is 0; it must be a whole number of at least 1"),
        ({"milestones": [25]}, r"milestones is \[25\]; give at least one value, each above 0 and below 1"),
        ({"decay": 0.0}, "decay is 0.0; it must be above 0 and at most 1"),
    ],
)
def test_impossible_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        probe(**options)
