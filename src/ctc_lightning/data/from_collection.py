"""What the data modules of a collection share: where it lies, its splits, and how strictly it is read."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from joblib import cpu_count

from ctc_lightning.checks import count, in_range, one_of
from ctc_lightning.data.collection import Collection
from ctc_lightning.data.content_digest import content_digest
from ctc_lightning.data.data_module import ImageDataModule
from ctc_lightning.data.decode import MAX_PIXELS
from ctc_lightning.data.duplicates import MOST, find_duplicates
from ctc_lightning.data.file_batches import Interpolation, OnError
from ctc_lightning.data.image_set import ImageFiles, Images
from ctc_lightning.data.splits_on_disk import complete_splits, locate, read_splits


class CollectionDataModule(ImageDataModule):
    """Trains on a collection; its other labels are the transfer targets.

    Args:
        collection: the data set.
        root: the data root; the data set is in the folder of its name, or in the root itself.
        cache_dir: where decoded images and held-out splits are kept.
        source_label: the label to train on; None: the collection's first.
        image_size: rows and columns of what the network sees; None: those of the files.
        interpolation: of the antialiased resampling, ``bilinear`` or ``bicubic``.
        val_share: in [0, 1), of the training images, held out for validation where the data set has no such
            split.
        split_seed: >= 0, of what is held out; not the run's seed: the test images of one seed shall not
            choose the settings of another.
        resplit: hold out validation images again, where images have come or gone since they were held out.
        num_train: use a stratified draw of so many training images; None: all.
        num_val: likewise for validation.
        num_test: likewise for test.
        check_counts: whether the numbers of images must be the published ones.
        on_error: what an unreadable image does, ``stop`` or ``skip``: replace it, count it, log the count.
        max_pixels: the most that an image file may have, others are unreadable; None: any number.
        num_workers: processes that decode; None: the cores, shared among the processes that
            train here.
        **options: of `ImageDataModule`.

    Raises:
        ValueError: a value out of range; in `setup`, a data set that is not there, not whole or not what was
            published.
    """

    def __init__(
        self,
        *,
        collection: Collection,
        root: str | None,
        cache_dir: str,
        source_label: str | None = None,
        image_size: int | None = None,
        interpolation: Interpolation = "bilinear",
        val_share: float = 0.1,
        split_seed: int = 0,
        resplit: bool = False,
        num_train: int | None = None,
        num_val: int | None = None,
        num_test: int | None = None,
        check_counts: bool = True,
        on_error: OnError = "stop",
        max_pixels: int | None = MAX_PIXELS,
        num_workers: int | None = None,
        **options: Any,
    ) -> None:
        if root is None:
            raise ValueError(
                f"data={options['name']}: data.root is null; set it to the folder that holds the images, on "
                "the command line by data.root=FOLDER."
            )
        self.root = Path(root).expanduser()
        self.collection = collection
        self.source_labels = tuple(collection.labels_in(self.root))
        source_label = source_label or self.source_labels[0]
        self.targets = {label: "source" for label in self.source_labels if label != source_label}
        super().__init__(source_label=source_label, **options)
        count("data", null=True, example=224, image_size=image_size)
        in_range("data", "[0, 1)", example=0.1, val_share=val_share)
        count("data", least=0, example=0, split_seed=split_seed)
        count("data", least=0, null=True, example=4, num_workers=num_workers)
        count("data", null=True, max_pixels=max_pixels)
        one_of("data", get_args(Interpolation), interpolation=interpolation)
        one_of("data", get_args(OnError), on_error=on_error)
        self.sizes = {"train": num_train, "val": num_val, "test": num_test}
        count("data", null=True, num_train=num_train, num_val=num_val, num_test=num_test)
        self.cache_dir = Path(cache_dir).expanduser()
        self.image_size = image_size
        self.interpolation = interpolation
        self.val_share = val_share
        self.split_seed = split_seed
        self.resplit = resplit
        self.check_counts = check_counts
        self.on_error = on_error
        self.max_pixels = max_pixels
        self._num_workers = num_workers

    @property
    def num_workers(self) -> int:
        """Processes that decode, for each process that trains."""
        if self._num_workers is not None:
            return self._num_workers
        return max(1, cpu_count() // (self.trainer.num_devices if self.trainer else 1))

    def folder(self) -> Path:
        """Where the data set lies.

        Raises:
            ValueError: it is not there, or not whole.
        """
        return locate(self.collection, self.root, self.name)

    def splits(self) -> dict[str, Images]:
        """The data set's own splits, and what is held out of them: see `complete_splits`."""
        folder = self.folder()
        own = read_splits(self.collection, folder, name=self.name, check_counts=self.check_counts)
        self.digest = content_digest(own)
        return complete_splits(
            own,
            folder,
            name=self.name,
            choices=self.collection.choices(),
            val_share=self.val_share,
            split_seed=self.split_seed,
            sizes=self.sizes,
            records=self.cache_dir / "splits",
            resplit=self.resplit,
        )

    def find_duplicates(self, splits: Mapping[str, Images], most: float = MOST) -> str | None:
        """See `find_duplicates`, of up to ``most`` images of one's own; published sets are what they are."""
        files = {split: images for split, images in splits.items() if type(images) is ImageFiles}
        if self.collection.counts or sum(map(len, files.values())) > most:
            return None
        return find_duplicates(files, self.source_labels[0], self.cache_dir / "duplicates")
