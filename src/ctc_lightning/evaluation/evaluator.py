"""The work itself: every moment on every target under every protocol, as far as it is not done yet.

A row of ``results.csv`` says by what settings it was measured: finished work is not repeated. A pair of
moment and target is claimed by a file lock: processes share the work, and the claim of a killed one ends with
it.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from types import MappingProxyType

import torch
from filelock import Timeout
from tqdm import tqdm

from ctc_lightning.evaluation.closing_table import progress_line
from ctc_lightning.evaluation.earlier import EarlierRows
from ctc_lightning.evaluation.feature_cache import FeatureCache
from ctc_lightning.evaluation.measurement import (
    CLASSIFIER,
    FAILURES,
    FrozenNetwork,
    ImageDigests,
    Moment,
    applicable,
    measure,
    missing,
    settings_of,
    source_rows,
    source_settings,
    task_of,
)
from ctc_lightning.evaluation.protocol import Protocol
from ctc_lightning.evaluation.results import FAILED, NO_EPOCH, SOURCE, Row
from ctc_lightning.evaluation.sources import WHOLE, EvaluationSource, When
from ctc_lightning.evaluation.targets import Target, expand, open_target
from ctc_lightning.files.locks import locked

log = logging.getLogger(__name__)

# In the column protocol: a target that cannot be opened, a network that cannot be built
_SETUP, _NETWORK = "setup", "network"


class Networks:
    """The networks of a subject's moments, loaded when asked for.

    Args:
        subject: whose.
        device: where they go.
        keep_features: whether the subject's folder keeps them.
        image_digests: shared by its moments.
    """

    def __init__(
        self,
        subject: EvaluationSource,
        device: torch.device,
        image_digests: ImageDigests,
        *,
        keep_features: bool,
    ) -> None:
        self.subject, self.device, self.image_digests = subject, device, image_digests
        self.cache = FeatureCache(subject.folder / "features" if keep_features else None)
        self.loaded: dict[When, FrozenNetwork] = {}

    def __getitem__(self, when: When) -> FrozenNetwork:
        """Load it.

        Raises:
            ValueError: see `rebuild`.
        """
        if when not in self.loaded:
            backbone, classifier = self.subject.moments[when]()
            backbone.to(self.device)
            if classifier is not None:
                classifier.to(self.device)
            self.loaded[when] = FrozenNetwork(
                backbone, classifier, self.device, self.cache, self.image_digests
            )
        return self.loaded[when]

    def compared_to(self, when: When) -> dict[str, FrozenNetwork]:
        """The first moment and the one before, where there are such."""
        moments = list(self.subject.moments)
        place = moments.index(when)
        return {"first": self[moments[0]], "previous": self[moments[place - 1]]} if place else {}

    def forget_before(self, when: When) -> None:
        """Keep the first moment and this one, which the next is compared to."""
        kept = {next(iter(self.subject.moments)), when}
        self.loaded = {key: network for key, network in self.loaded.items() if key in kept}


class Work:
    """What one process does for one subject.

    Args:
        subject: to evaluate.
        protocols: by name.
        networks: of the subject.

    Attributes:
        failed: rows of what could not be measured, by this process.
        elsewhere: number of measurements that other processes are at.
    """

    def __init__(
        self,
        subject: EvaluationSource,
        protocols: Mapping[str, Protocol],
        networks: Networks,
    ) -> None:
        self.subject, self.protocols, self.networks = subject, protocols, networks
        self.failed: list[Row] = []
        self.targets: list[Target] = []
        self.earlier = EarlierRows(subject.table)
        self.elsewhere = 0

    def run(self, target: str | Sequence[str] | None, given: Sequence[Target] = ()) -> None:
        """Every moment on every target, see `expand`, and on those that are given."""
        self.targets = targets = [*self.open_targets(target), *given]
        if not targets and not self.failed and self.subject.own is None:
            raise ValueError(
                "there is no target: a plain backbone has no labels of its own; name some, for example "
                "target=cifar10 or target=suite/small32."
            )
        if not targets and not self.failed:
            self.say_what_is_idle()
        for when in tqdm(self.subject.moments, desc=self.subject.folder.name, leave=False, disable=None):
            if rows := list(self.at(when, targets)):
                log.info("%s", progress_line(self.subject, when, rows))
            self.networks.forget_before(when)

    def rows(self) -> list[Row]:
        """What the table says of the protocols, moments and targets of `run`, and what failed in it."""
        images = {target.name: self.networks.image_digests.of_target(target) for target in self.targets}
        epochs = {epoch for epoch, _ in self.subject.moments}
        measured = [
            row
            for row in self.subject.table.rows()
            if row.metric != FAILED
            and row.epoch in epochs
            and row.protocol in (*self.protocols, CLASSIFIER)
            and (row.target == SOURCE or (row.target in images and row.images in ("", images[row.target])))
        ]
        return [*measured, *self.failed]

    def say_what_is_idle(self) -> None:
        """The run's data have no further labels, and not all protocols measure the source by themselves."""
        own = self.subject.own
        idle = [name for name, protocol in self.protocols.items() if not protocol.measures_source]
        if own is not None and idle:
            log.warning(
                "%s measured nothing: data=%s has no label but %s, which the run was trained on; "
                "target=source measures it all the same, target=DATA_SET other images.",
                ", ".join(idle),
                own.name,
                own.source_label,
            )

    def open_targets(self, target: str | Sequence[str] | None) -> Iterator[Target]:
        """Those that can be opened; the others stand in the table."""
        subject, options = self.subject, self.subject.options
        same = not (subject.recorded and options.ask_for_other_images(subject.recorded))
        names = expand(target, subject.own, by_data_set=same)
        own_labels = [SOURCE, *subject.own.targets] if subject.own is not None else []
        if names or subject.own is not None:
            options.check_used(names, own_labels, subject.recorded)
        for name in names:
            called = name if name in own_labels else options.name_of(name)
            if name not in subject.targets:
                try:
                    subject.targets[name] = open_target(name, subject.own, subject.expected, options)
                except FAILURES as error:
                    self.fail(subject.moment((NO_EPOCH, NO_EPOCH)), [_SETUP], called, error)
                    continue
                self.forget(_SETUP, called)
            self.say_what_does_not_apply(subject.targets[name])
            yield subject.targets[name]

    def say_what_does_not_apply(self, target: Target) -> None:
        """Protocols that need one class for each image, on a target with several."""
        if left_out := self.protocols.keys() - applicable(self.protocols, target).keys():
            log.info(
                "%s: not applicable to %s, as its images may have several classes; left out.",
                ", ".join(sorted(left_out)),
                target.name,
            )

    def forget(self, protocol: str, target: str, epoch: int = NO_EPOCH) -> None:
        """Remove a recorded failure that no longer holds."""

        def holds(row: Row) -> bool:
            return row.metric != FAILED or row.unit != (epoch, protocol, target)

        if not all(map(holds, self.subject.table.rows())):
            self.subject.table.keep(holds)

    def at(self, when: When, targets: Sequence[Target]) -> Iterator[Row]:
        """New rows of one moment, each protocol's in the table as soon as it is there."""
        moment = self.subject.moment(when)
        try:
            network = self.networks[when]
        except FAILURES as error:
            self.fail(moment, [_NETWORK], WHOLE, error)
            return
        self.forget(_NETWORK, WHOLE, moment.epoch)
        own, asked = self.subject.own, {target.name for target in targets}
        if own is not None and network.classifier is not None:
            yield from self.source(moment, network)
            others = [target for target in targets if target.name != SOURCE]
            targets = [Target(SOURCE, own, SOURCE, own.source_label), *others]
        shown: set[tuple[str, int]] = set()  # protocols that need no labels, with the images they have seen
        for target in targets:
            seen = id(target.data.image_sets[target.images]["test"])
            protocols = {
                name: protocol
                for name, protocol in self.protocols.items()
                if (target.name in asked or protocol.measures_source)
                and (protocol.needs_labels or (name, seen) not in shown)
            }
            for name in protocols.keys() - applicable(protocols, target).keys():
                del protocols[name]
                self.forget(name, target.name, moment.epoch)
            shown |= {(name, seen) for name in protocols}
            with self.claim(when, target.name) as mine:
                try:
                    settings = {name: self.settings(p, target, when) for name, p in protocols.items()}
                except FAILURES as error:  # of another moment, which this one is compared to
                    self.fail(moment, list(protocols), target.name, error)
                    continue
                rows = self.subject.table.all_rows()
                todo = missing(protocols, settings, rows, moment, target.name)
                done = {name: settings[name] for name in protocols.keys() - todo.keys()}
                self.earlier.make_current(done, rows, moment.epoch, target.name)
                if not mine:
                    self.elsewhere += len(todo)
                elif todo:
                    images = self.networks.image_digests.of_target(target)
                    self.earlier.report({name: settings[name] for name in todo}, rows, target.name, images)
                    yield from self.on(target, when, todo, settings, images)
            if target.data is not own and not any(p.compares_checkpoints for p in protocols.values()):
                network.forget(target.data)

    def source(self, moment: Moment, network: FrozenNetwork) -> Iterator[Row]:
        """The source accuracy, unless the training has measured it."""
        assert self.subject.own is not None, "without the source there is nothing to classify"
        settings = source_settings(network, self.subject.own)
        rows = self.subject.table.all_rows()
        if any(
            (row.protocol, row.epoch, row.settings) == (CLASSIFIER, moment.epoch, settings) for row in rows
        ):
            self.earlier.make_current({CLASSIFIER: settings}, rows, moment.epoch, SOURCE)
            return
        with self.claim((moment.epoch, moment.step), SOURCE) as mine:
            if mine:
                try:
                    rows = source_rows(network, self.subject.own, moment)
                except FAILURES as error:
                    self.fail(moment, [CLASSIFIER], SOURCE, error, {CLASSIFIER: settings})
                    return
                self.subject.table.put(rows)
                yield from rows

    def on(
        self,
        target: Target,
        when: When,
        todo: Mapping[str, Protocol],
        settings: Mapping[str, str],
        images: str,
    ) -> Iterator[Row]:
        """Rows of one target, ``images`` the digest of its images."""
        moment = self.subject.moment(when)
        compares = any(protocol.compares_checkpoints for protocol in todo.values())
        try:
            task = task_of(
                target,
                self.networks[when],
                compared_to=self.networks.compared_to(when) if compares else {},
                with_images=any(protocol.uses_images for protocol in todo.values()),
                only={split for protocol in todo.values() for split in protocol.splits},
            )
        except FAILURES as error:
            self.fail(moment, list(todo), target.name, error, settings, images)
            return
        for rows in measure(todo, task, moment, settings, images):
            self.subject.table.put(rows)
            self.failed += [row for row in rows if row.metric == FAILED]
            yield from rows

    def settings(self, protocol: Protocol, target: Target, when: When) -> str:
        """Digest of all that the numbers depend on."""
        others = self.networks.compared_to(when) if protocol.compares_checkpoints else {}
        return settings_of(protocol, target, self.networks[when], others)

    def fail(
        self,
        moment: Moment,
        protocols: Sequence[str],
        target: str,
        error: Exception,
        settings: Mapping[str, str] = MappingProxyType({}),
        images: str = "",
    ) -> None:
        """Record why there are no numbers; ``settings``, by protocol, and ``images`` where they are known."""
        rows = [
            moment.failure(name, target, str(error), settings=settings.get(name, ""), images=images)
            for name in protocols
        ]
        self.subject.table.put(rows)
        self.failed += rows

    @contextmanager
    def claim(self, when: When, target: str) -> Iterator[bool]:
        """Hold the lock of (moment, target), if no other process does: yields whether."""
        folder = self.subject.folder / "locks"
        folder.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            try:
                stack.enter_context(locked(folder / f"{when[0]:04d}_{target.replace('/', '_')}.lock", 0))
            except Timeout:
                yield False
            else:
                yield True
