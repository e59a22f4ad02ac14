"""What a run records of its data: enough to recognise the same images and classes later."""

from typing import Any


def data_record(data: Any) -> dict[str, Any]:
    """Images of each split, names of the source label's classes, digest of the data set's content."""
    return {
        "images": image_record(data)["num"],
        "classes": list(data.classes),
        "digest": data.digest,
    }


def checkpoint_record(data: Any) -> dict[str, Any]:
    """What a checkpoint holds of them: classes, images, and what the network is trained to see."""
    return {
        "classes": list(data.classes),
        "images": image_record(data),
        "input": data.network_input._asdict(),
    }


def image_record(data: Any) -> dict[str, Any]:
    """Images of each split, and the digest of the data set's content."""
    sets = data.image_sets["source"]
    return {"num": {split: len(images) for split, images in sets.items()}, "digest": data.digest}
