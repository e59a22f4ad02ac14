"""The bank against loops, and its sampling against the uniform law. B: queries, N: images, D: projection."""

import io
import json
import os
import subprocess
import sys
from collections import Counter
from itertools import combinations

import numpy as np
import pytest
import torch
from scipy.stats import chisquare
from torch.nn.functional import normalize

from ctc_lightning.memory import MemoryBank
from ctc_lightning.memory.bank import distinct, mean_of_each

LABELS = [0, 0, 1, 1, 1, 2, 2, 2]


def start(bank, dim=4, labels=LABELS):
    torch.manual_seed(0)
    bank.allocate(dim, torch.tensor(labels))
    return bank.double()


def telling(bank):
    """A bank whose only coordinate is the image number, see ``who_meets``."""
    bank = start(bank, dim=1)
    bank.row_ND.copy_(torch.arange(len(LABELS))[:, None])
    return bank


def permitted(image, exclude):
    if exclude == "image":
        return [other for other in range(len(LABELS)) if other != image]
    return [other for other in range(len(LABELS)) if LABELS[other] != LABELS[image]]


def test_rows_are_momentum_averages_of_unit_norm(make_batch):
    bank = start(MemoryBank(momentum=0.7))
    expected_ND = bank.row_ND.clone()
    for index in ([0, 3, 5], [3, 1, 0], [7, 3, 2]):
        key_BD = normalize(torch.randn(3, 4, dtype=torch.float64), dim=-1)
        bank.put(key_BD, key_BD, make_batch(index))
        for key_D, i in zip(key_BD, index, strict=True):
            average_D = 0.7 * expected_ND[i] + 0.3 * key_D
            expected_ND[i] = average_D / average_D.square().sum().sqrt()
    torch.testing.assert_close(bank.row_ND, expected_ND, rtol=0, atol=1e-14)
    torch.testing.assert_close(
        bank.row_ND[[0, 1, 2, 3, 5, 7]].norm(dim=1), torch.ones(6, dtype=torch.float64)
    )


@pytest.mark.parametrize(("momentum", "kept"), [(0.0, 0.0), (1.0, 1.0)])
def test_momentum_0_keeps_the_new_key_and_1_the_old_row(momentum, kept, make_batch):
    bank = start(MemoryBank(momentum))
    old_D, key_BD = (
        normalize(bank.row_ND[2], dim=-1),
        normalize(torch.ones(1, 4, dtype=torch.float64), dim=-1),
    )
    bank.put(key_BD, key_BD, make_batch([2]))
    torch.testing.assert_close(bank.row_ND[2], kept * old_D + (1 - kept) * key_BD[0])


def test_an_image_that_comes_twice_is_averaged_first_whatever_the_order(make_batch):
    key_BD = normalize(
        torch.randn(5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1)), dim=-1
    )
    index_B = torch.tensor([6, 2, 6, 2, 6])
    rows = []
    for order_B in ([0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [1, 0, 4, 2, 3]):
        bank = start(MemoryBank(momentum=0.7))
        old_ND = bank.row_ND.clone()
        bank.put(key_BD[order_B], key_BD[order_B], make_batch(index_B[order_B]))
        rows.append(bank.row_ND)
    expected_ND = old_ND.clone()
    for image, places in ((6, [0, 2, 4]), (2, [1, 3])):
        expected_ND[image] = normalize(0.7 * old_ND[image] + 0.3 * key_BD[places].mean(0), dim=-1)
    for row_ND in rows:
        torch.testing.assert_close(row_ND, expected_ND, rtol=0, atol=1e-14)


def test_fill_overwrites_what_was_remembered(make_batch):
    bank = start(MemoryBank(momentum=0.9))
    key_BD = normalize(torch.randn(2, 4, dtype=torch.float64), dim=-1)
    old_ND = bank.row_ND.clone()
    bank.fill(key_BD, key_BD, make_batch([4, 1]))
    torch.testing.assert_close(bank.row_ND[[4, 1]], key_BD)
    assert torch.equal(bank.row_ND[[0, 2, 3, 5, 6, 7]], old_ND[[0, 2, 3, 5, 6, 7]])


def test_rows_start_at_random_within_the_documented_bound():
    bank = start(MemoryBank(0.9), dim=12, labels=[0, 1] * 500)
    bound = (3 / 12) ** 0.5
    assert bank.row_ND.abs().max() <= bound
    assert bank.row_ND.square().mean().item() == pytest.approx(
        bound**2 / 3, rel=0.05
    )  # uniform, norm about 1


@pytest.mark.parametrize("exclude", ["image", "class"])
def test_all_rows_but_the_excluded_are_negatives(exclude, make_batch, who_meets):
    bank, batch = telling(MemoryBank(0.9, exclude=exclude)), make_batch(range(8), LABELS)
    _, negative = who_meets(bank.draw(None, None, batch), 8)
    assert [sorted(met) for met in negative] == [permitted(image, exclude) for image in range(8)]


@pytest.mark.parametrize("num_negatives", [None, 3])
def test_the_positive_is_the_stored_row_not_todays_key(num_negatives, make_batch, who_meets):
    bank, today_B1 = telling(MemoryBank(0.9, num_negatives)), torch.full((3, 1), 99.0)
    positive, _ = who_meets(bank.draw(today_B1, today_B1, make_batch([5, 0, 5], [2, 0, 2])), 3)
    assert positive == [5, 0, 5]


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("exclude", ["image", "class"])
def test_sampled_negatives_are_uniform_over_what_is_permitted(exclude, shared, make_batch, who_meets):
    bank = telling(MemoryBank(0.9, 2, exclude, shared_negatives=shared))
    images = [0, 3, 7, 3]
    batch, drawn = make_batch(images, [LABELS[i] for i in images]), [Counter() for _ in images]
    for _ in range(3000):
        _, negative = who_meets(bank.draw(None, None, batch), len(images))
        for counter, met in zip(drawn, negative, strict=True):
            counter[tuple(sorted(met))] += 1
    for image, counter in zip(images, drawn, strict=True):
        pairs = list(combinations(permitted(image, exclude), 2))  # exactly K, distinct, never an excluded one
        assert set(counter) <= set(pairs)
        assert chisquare([counter[pair] for pair in pairs]).pvalue > 1e-3


@pytest.mark.parametrize("shared", [True, False])
def test_queries_of_one_image_share_their_negatives_only_if_asked_to(shared, make_batch, who_meets):
    bank, batch = telling(MemoryBank(0.9, 2, shared_negatives=shared)), make_batch([3, 3])
    draws = [who_meets(bank.draw(None, None, batch), 2)[1] for _ in range(20)]
    assert all(sorted(first) == sorted(second) for first, second in draws) is shared


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize(("exclude", "available"), [("image", 7), ("class", 5)])
def test_as_many_negatives_as_exist_are_drawn_and_one_more_is_refused(
    exclude, available, shared, make_batch, who_meets
):
    bank = telling(MemoryBank(0.9, available, exclude, shared_negatives=shared))
    _, negative = who_meets(bank.draw(None, None, make_batch([4, 6], [1, 2])), 2)
    assert [sorted(met) for met in negative] == [permitted(4, exclude), permitted(6, exclude)]
    with pytest.raises(
        ValueError, match=rf"num_negatives is {available + 1}.*choose at most {available}, or null"
    ):
        start(MemoryBank(0.9, available + 1, exclude, shared_negatives=shared))


@pytest.mark.parametrize("num_negatives", [None, 3])
@pytest.mark.parametrize(("exclude", "labels"), [("class", [1, 1, 1, 1]), ("image", [0])])
def test_data_that_leave_no_negative_are_refused(exclude, labels, num_negatives):
    with pytest.raises(
        ValueError, match=rf"exclude='{exclude}' leaves none of the {len(labels)} training images"
    ):
        start(MemoryBank(0.9, num_negatives, exclude), labels=labels)


def test_distinct_numbers_of_many_are_uniform_at_each_place():
    """Of 16 384 numbers 4 096, about one draw in ten a repetition; by 64 groups, first places and all."""
    generator_state = torch.manual_seed(0).get_state()
    drawn = torch.stack([distinct(4096, 2**14, torch.device("cpu")) for _ in range(40)])
    assert all(len(order.unique()) == 4096 for order in drawn)
    assert drawn.min() >= 0
    assert drawn.max() < 2**14
    for places in (slice(0, 512), slice(3584, None), slice(None)):
        assert chisquare((drawn[:, places] // 256).flatten().bincount(minlength=64)).pvalue > 1e-4
    torch.set_rng_state(generator_state)
    assert torch.equal(distinct(4096, 2**14, torch.device("cpu")), drawn[0])


def test_distinct_numbers_read_no_value_from_the_device():
    assert distinct(16, 2**20, torch.device("meta")).shape == (16,)


def test_a_state_goes_on_identically(make_batch):
    bank, resumed = start(MemoryBank(0.9)), MemoryBank(0.9)
    resumed.allocate(4, torch.tensor(LABELS))
    resumed.double().load_state_dict(bank.state_dict())
    key_BD = normalize(torch.randn(2, 4, dtype=torch.float64), dim=-1)
    for memory in (bank, resumed):
        memory.put(key_BD, key_BD, make_batch([1, 6]))
    assert torch.equal(bank.row_ND, resumed.row_ND)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"momentum": -0.1}, r"momentum is -0.1; it must be at least 0 and at most 1"),
        ({"momentum": 1.1}, r"momentum is 1.1; it must be at least 0 and at most 1"),
        (
            {"momentum": 0.9, "num_negatives": 0},
            "num_negatives is 0; it must be a whole number of at least 1",
        ),
        ({"momentum": 0.9, "exclude": "none"}, "exclude is 'none'; it must be one of 'image', 'class'"),
        (
            {"momentum": 0.9, "dtype": "float64"},
            "dtype is 'float64'; it must be one of 'float32', 'float16', 'bf",
        ),
    ],
)
def test_wrong_values_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        MemoryBank(**arguments)


# ------------------------------------------------------------------------------------ half precision

HALVES = {"float16": torch.float16, "bfloat16": torch.bfloat16}


def start_rounded(dtype, momentum=0.7, dim=4):
    bank = MemoryBank(momentum, dtype=dtype)
    torch.manual_seed(0)
    bank.allocate(dim, torch.tensor(LABELS))
    return bank


@pytest.mark.parametrize("dtype", HALVES)
def test_a_half_precision_bank_starts_as_the_float32_one_rounded(dtype):
    exact_ND = start_rounded("float32").row_ND
    assert torch.equal(start_rounded(dtype).row_ND, exact_ND.to(HALVES[dtype]))


@pytest.mark.parametrize("dtype", HALVES)
def test_only_storing_a_row_rounds_it(dtype, make_batch):
    bank, half = start_rounded(dtype), HALVES[dtype]
    key_BD = normalize(torch.randn(3, 4), dim=-1)
    expected = bank.row_ND[[0, 3]].double().numpy()
    for key, places in ((0, [0]), (1, [1, 2])):
        average = 0.7 * expected[key] + 0.3 * key_BD[places].double().numpy().mean(0)
        expected[key] = average / np.linalg.norm(average)
    bank.put(key_BD, key_BD, make_batch([0, 3, 3]))
    assert bank.row_ND.dtype == half
    # at most half a spacing of the stored dtype, and float32's own error where that decides to which side
    torch.testing.assert_close(
        bank.row_ND[[0, 3]].double(),
        torch.from_numpy(expected),
        rtol=torch.finfo(half).eps / 2 + 1e-6,
        atol=0,
    )


@pytest.mark.parametrize(
    ("dtype", "distance"), [("float32", 1e-6), ("float16", 3.1e-4), ("bfloat16", 2.5e-3)]
)
def test_a_row_comes_as_near_to_its_key_as_documented(dtype, distance, make_batch):
    bank = start_rounded(dtype, momentum=0.9, dim=128)
    key_1D = torch.full((1, 128), 128**-0.5)
    for _ in range(200):
        bank.put(key_1D, key_1D, make_batch([5]))
    assert (bank.row_ND[5].float() - key_1D[0]).abs().max() <= distance


@pytest.mark.parametrize("dtype", HALVES)
def test_a_checkpoint_keeps_the_dtype(dtype):
    bank, file = start_rounded(dtype), io.BytesIO()
    torch.save(bank.state_dict(), file)
    file.seek(0)
    state, resumed = torch.load(file), start_rounded(dtype)
    resumed.row_ND.zero_()
    resumed.load_state_dict(state)
    assert state["row_ND"].dtype == HALVES[dtype]
    assert torch.equal(resumed.row_ND, bank.row_ND)


@pytest.mark.parametrize(
    ("dtype", "cast", "then"),
    [
        ("float32", "bfloat16", torch.float32),
        ("float32", "half", torch.float32),
        ("float32", "double", torch.float64),
        ("float16", "bfloat16", torch.float16),
        ("float16", "double", torch.float16),
        ("bfloat16", "float", torch.bfloat16),
    ],
)
def test_a_precision_of_the_whole_module_does_not_round_the_rows(dtype, cast, then):
    bank = start_rounded(dtype)
    row_ND, module = bank.row_ND.clone(), torch.nn.ModuleDict({"bank": bank, "head": torch.nn.Linear(2, 2)})
    getattr(module, cast)()
    assert bank.row_ND.dtype == then
    assert torch.equal(bank.row_ND, row_ND.to(then))
    assert module["head"].weight.dtype != row_ND.dtype


# ------------------------------------------------------------------------------------ ImageNet's size

IMAGENET = """
import json, resource, torch
from torch.nn.functional import normalize
from ctc_lightning.batch import Batch
from ctc_lightning.contrast import InfoNCE
from ctc_lightning.memory import MemoryBank
from ctc_lightning.memory.bank import distinct, mean_of_each

def step(num_images, extra_bytes=None):
    label_N = torch.arange(num_images) % 1000
    bank = MemoryBank(0.9, exclude="class", dtype="float16")
    bank.allocate(128, label_N)
    index_B = torch.arange(256) * 37
    query_BD = normalize(torch.randn(256, 128), dim=-1).requires_grad_()
    batch = Batch(torch.empty(0), torch.empty(0), label_N[index_B], index_B)
    if extra_bytes is not None:
        status = dict(line.split(":") for line in open("/proc/self/status"))
        limit = int(status["VmData"].split()[0]) * 1024 + extra_bytes
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    loss = InfoNCE(0.1)(query_BD, bank.draw(query_BD, query_BD, batch))
    loss.backward()
    bank.put(query_BD, query_BD, batch)
    return loss.item()

torch.manual_seed(0)
step(40_000)  # what libraries take on first use is none of the step's
print(json.dumps(step(1_281_167, 200_000_000 - 64 * 2**20)))  # 64 MiB: malloc may have kept so much of it
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux to refuse more memory")
def test_a_step_over_a_bank_of_imagenets_size_takes_less_than_200_mb():
    at_once = {"MALLOC_MMAP_THRESHOLD_": "65536"}  # what is freed is the system's again
    process = subprocess.run(
        [sys.executable, "-c", IMAGENET],
        check=True,
        stdout=subprocess.PIPE,
        timeout=550,
        env=os.environ | at_once,
    )
    # q·k of a random row has variance 1/128, so E exp(10 q·k) is about e^(100/256); the mean of 10 q·k⁺ over
    # 256 positives has a standard deviation of 0.055
    assert json.loads(process.stdout) == pytest.approx(np.log(0.999 * 1_281_167) + 100 / 256, abs=0.2)


# ------------------------------------------------------------------------------------- images that come twice


def test_the_mean_of_each_is_the_same_to_the_bit_in_any_order():
    """A device adds in an order of its own, and on every rank in another."""
    group_B = torch.arange(300) % 7
    key_BD = normalize(torch.randn(300, 16), dim=-1)
    order_B = torch.randperm(300)
    mean_BD, again_BD = mean_of_each(group_B, key_BD), mean_of_each(group_B[order_B], key_BD[order_B])
    assert torch.equal(again_BD, mean_BD[order_B])
    for group in range(7):
        expected_D = key_BD[group_B == group].double().mean(0)
        torch.testing.assert_close(mean_BD[group_B == group], expected_D.expand_as(mean_BD[group_B == group]))
