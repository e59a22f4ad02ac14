"""The queue against a ``deque``. D: projection."""

from collections import deque
from itertools import count

import pytest
import torch

from ctc_lightning.memory import KeyQueue


def empty_queue(size, exclude="image", dim=2):
    queue = KeyQueue(size, exclude)
    queue.allocate(dim, torch.zeros(100, dtype=torch.int64))
    return queue


def remembered(queue):
    """What the queue holds as (image, label, key), oldest image first."""
    present = [slot for slot in queue.index_K.argsort() if queue.index_K[slot] >= 0]
    return [(int(queue.index_K[s]), int(queue.label_K[s]), queue.key_KD[s].tolist()) for s in present]


@pytest.fixture
def put(make_batch):
    """Put keys that tell their image and label; returns what a deque would be given."""
    images = count()

    def put(queue, num_new):
        new = [(i, i % 3, [float(i), i % 3 + 0.5]) for i, _ in zip(images, range(num_new), strict=False)]
        key_BD = torch.tensor([key for _, _, key in new]).reshape(num_new, 2)
        queue.put(key_BD, key_BD, make_batch([i for i, _, _ in new], [label for _, label, _ in new]))
        return new

    return put


@pytest.mark.parametrize("size", [1, 2, 5, 8])
@pytest.mark.parametrize("batch_size", [1, 2, 3, 5, 8, 13, 16])
def test_contents_equal_a_deque_after_every_put_from_every_offset(size, batch_size, put):
    for offset in range(size):
        queue, model = empty_queue(size), deque(maxlen=size)
        for num_new in [1] * offset + [batch_size] * 5:
            model.extend(put(queue, num_new))
            assert remembered(queue) == list(model)


def test_contents_equal_a_deque_under_changing_batch_sizes(put):
    queue, model = empty_queue(7), deque(maxlen=7)
    for num_new in (3, 0, 6, 7, 1, 20, 4, 8, 0, 14, 2):
        model.extend(put(queue, num_new))
        assert remembered(queue) == list(model)


def test_a_state_saved_in_mid_wrap_goes_on_identically(put):
    queue, resumed, model = empty_queue(5), empty_queue(5), deque(maxlen=5)
    model.extend(put(queue, 7))
    resumed.load_state_dict(queue.state_dict())
    for num_new in (3, 4):
        model.extend(put(resumed, num_new))
        assert remembered(resumed) == list(model)


@pytest.mark.parametrize("num_new", [0, 3, 5, 9])
def test_a_loaded_queue_hands_out_the_written_slots(num_new, put, make_batch):
    queue, resumed = empty_queue(5), empty_queue(5)
    put(queue, num_new)
    resumed.load_state_dict(queue.state_dict())
    today_BD = torch.zeros(1, 2)
    for memory in (queue, resumed):
        keys = memory.draw(today_BD, today_BD, make_batch([50]))
        assert torch.equal(keys.row_RD, memory.key_KD[memory.index_K >= 0])
        assert len(keys.row_RD) == min(num_new, 5)


@pytest.mark.parametrize(
    ("exclude", "expected"),
    [
        ("none", [[0, 1, 2, 3, 4]] * 2),
        ("image", [[0, 2, 3, 4], [0, 1, 2, 3, 4]]),
        ("class", [[0, 2, 3], [1, 2, 4]]),
    ],
)
def test_queries_meet_present_keys_but_the_excluded(exclude, expected, make_batch, who_meets):
    queue, today = empty_queue(8, exclude, dim=1), torch.tensor([[50.0], [60.0]])
    image_B1 = torch.arange(5.0)[:, None]
    queue.put(image_B1, image_B1, make_batch(range(5), [0, 1, 2, 0, 1]))
    positive, negative = who_meets(queue.draw(today, today, make_batch([1, 9], [1, 0])), 2)
    assert positive == [50, 60]  # today's keys
    assert [sorted(met) for met in negative] == expected


@pytest.mark.parametrize("size", [0, -3])
def test_a_queue_without_a_slot_is_refused(size):
    with pytest.raises(ValueError, match=rf"queue: size is {size}; it must be a whole number of at least 1"):
        KeyQueue(size)


def test_an_unknown_exclude_is_refused():
    with pytest.raises(
        ValueError, match="queue: exclude is 'klass'; it must be one of 'none', 'image', 'class'"
    ):
        KeyQueue(4, exclude="klass")


def test_more_slots_than_images_are_explained(caplog):
    with caplog.at_level("INFO"):
        KeyQueue(8).allocate(2, torch.zeros(8, dtype=torch.int64))
        assert not caplog.messages
        KeyQueue(20).allocate(2, torch.zeros(8, dtype=torch.int64))
    assert caplog.messages == [
        "queue: size is 20, above the 8 training images: up to 3 keys of each image, from as many epochs."
    ]
