"""Labelled features, and one metric accumulated in many ways. N: images, F: features, L: classes."""

import warnings

import pytest
import torch
from torchmetrics.utilities import dim_zero_cat


@pytest.fixture
def labelled():
    """Sixty correlated float64 features of width 5 in three classes that are not equally frequent."""
    generator = torch.Generator().manual_seed(0)
    label_N = torch.arange(60).remainder(7).clamp(max=2)[torch.randperm(60, generator=generator)]
    mixing_FF = torch.randn(5, 5, generator=generator, dtype=torch.float64)
    centre_LF = 2 * torch.randn(3, 5, generator=generator, dtype=torch.float64) + 1
    return centre_LF[label_N] + torch.randn(60, 5, generator=generator).double() @ mixing_FF, label_N


@pytest.fixture
def simplex_etf():
    """Forty images exactly on the means of four classes: a turned, scaled and shifted simplex ETF in 6-d."""
    generator = torch.Generator().manual_seed(0)
    simplex_LL = torch.eye(4, dtype=torch.float64) - 0.25
    turn_FF = torch.linalg.qr(torch.randn(6, 6, generator=generator, dtype=torch.float64))[0]
    mean_LF = 3 * simplex_LL @ turn_FF[:4] + 2
    label_N = torch.tensor([0] * 4 + [1] * 8 + [2] * 12 + [3] * 16)
    return mean_LF[label_N], label_N


@pytest.fixture
def assert_same_however_split():
    """The metric of all images must not depend on the batches and ranks that saw them."""

    def check(make, *columns):
        def fed(metric, *batches):
            for batch in batches:
                metric.update(*batch)
            return metric

        whole = tuple(columns)
        batches = list(
            zip(*(column.split([1, 20, 0, 9, len(column) - 30]) for column in columns), strict=True)
        )
        expected = fed(make(), whole).compute()
        ways = {"five batches": fed(make(), *batches)}
        for name, own, peer in (
            ("two ranks", batches[:2], batches[2:]),
            ("nothing on the other rank", batches, []),
            ("nothing on this rank", [], batches),
        ):
            ways[name] = fed(make(**_rank_beside(fed(make(), *peer))), *own)
        ways["merged"] = fed(make(), *batches[:2])
        ways["merged"].merge_state(fed(make(), *batches[2:]))
        ways["reset and cloned"] = fed(make(), whole)
        ways["reset and cloned"].reset()
        ways["reset and cloned"] = fed(ways["reset and cloned"].clone(), *batches)
        for name, metric in ways.items():
            with warnings.catch_warnings():  # that a rank without images has none
                warnings.simplefilter("ignore", UserWarning)
                assert_near(metric.compute(), expected, name)

    return check


def assert_near(found, expected, name=""):
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12, msg=lambda text: f"{name}: {text}")


def _rank_beside(peer):
    """Arguments with which a metric takes itself for one of two ranks, the other one being ``peer``."""
    states = iter(peer.metric_state.values())

    def gather(tensor, group):
        state = next(states)
        return [tensor, state if isinstance(state, torch.Tensor) else dim_zero_cat(state or [tensor[:0]])]

    return {"dist_sync_fn": gather, "distributed_available_fn": lambda: True}
