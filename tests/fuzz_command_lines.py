"""Random command lines from the configuration's own groups, options and types, for every program.

``python tests/fuzz_command_lines.py --count 500 --seed 0``: half are meant to be valid, half have one fault.
Each must do a step of its work, or be refused in one line with exit code 2; a fault must be refused.
Prints what is not so, and exits with 1 if there is anything.
"""

import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

import fuzz
from ctc_lightning.cli.configuration import config_dir
from fuzz import Case

# Embedded data and few images, one step, no probe
TINY = [
    "data.num_train=64", "data.num_val=20", "data.num_test=20", "data.batch_size=16", "trainer.max_epochs=1",
    "trainer.max_steps=1", "trainer.enable_progress_bar=false", "num_threads=1",
]  # fmt: skip
NO_PROBE = ["callbacks.transfer_probe.every_n_epochs=9", "callbacks.transfer_probe.also_at=[]"]
# Groups of each program that are swapped, with files that cost too much here left out
LEFT_OUT = {
    "network": {"any", "wrn_28_10", "resnet50", "resnext32_16x4d"},
    "trainer": {"ddp_sim", "ddp", "gpu", "multi_node", "slurm"},
    "logger": {"wandb"},
    "protocol": {"finetune"},
    "format": {"timm", "torchvision"},  # do not have the backbone
    # The run has 64 features and 400 test images: more dimensions, and fewer pairs, than they take
    "estimator@xt": {"ksg", "gaussian", "mine_reference_ty"},
    "estimator@ty": {"ksg", "mine_reference_ty"},
}
EMBEDDED = {"digits", "glyphs"}
GROUPS = {
    "train": ["data", "network", "optim", "model", "trainer", "logger", "data/augmentation"],
    "transfer": ["protocol"],
    "information": ["estimator@xt", "estimator@ty", "input_view"],
    "export": ["format"],
}
# Options that reach beyond this machine, cost too much, or say where files are
NOT_DRAWN = (
    "paths.", "hydra.", "logger.wandb", "network.pretrained", "data.root", "output", "watch", "checkpoint",
    "run", "trainer.devices", "trainer.num_nodes", "trainer.max_epochs", "trainer.max_steps",
    "trainer.min_steps", "trainer.min_epochs", "num_threads", "network.backbone", "max_images",
    "data.num_", "data.batch_size", "trainer.barebones", "trainer.fast_dev_run",
)  # fmt: skip
CONTRADICTIONS = {
    "train": [
        ["model=ce", "model.temperature=0.1"], ["model=ctc_bank", "model.queue_size=64"],
        ["resume=nothing.ckpt"], ["model=ce", "projector@network.projector=mlp"],
        ["objectives=[transfer]", "callbacks.transfer_probe=null"],
        ["model.stages.contrast.epochs=7"], ["network.projector=null"], ["data.batch_size=65"],
        ["trainer=gpu"], ["data=digits", "data.style.strokes=[2,3]"], ["data=image_folder"], ["network=any"],
    ],
    "transfer": [["run=nowhere"], ["checkpoint=nowhere.ckpt"], ["watch=true", "run=null"], ["protocol=[]"]],
    "information": [["run=nowhere"], ["noise=[]"], ["folds=1"], ["estimator@xt=[]", "estimator@ty=[]"]],
    "export": [["checkpoint=nowhere"], ["which=epoch_999"]],
}  # fmt: skip


class CommandLines:
    """Draws them.

    Args:
        seed: of the draws.
        run_dir: of a finished run.
    """

    def __init__(self, seed: int, run_dir: Path) -> None:
        self.seed, self.random = seed, random.Random()
        self.known: dict[tuple[str, ...], dict[str, Any]] = {}
        self.fixed = {
            "train": [*TINY, *NO_PROBE],
            "transfer": [f"run={run_dir}", "num_threads=1"],
            "information": [f"run={run_dir}", "num_threads=1"],
            "export": [f"checkpoint={run_dir}", "output=exported"],
        }
        self.run_dir = run_dir

    def draw(self, number: int) -> Case:
        """The command line of a number; every second one has a fault."""
        self.random.seed(f"{self.seed} {number}")
        faulty = number % 2 == 1
        kind = self.random.choices([*self.fixed, "plain"], [12, 3, 2, 2, 1])[0]
        if kind == "plain":
            return self._plain(faulty=faulty)
        chosen = self._groups(kind)
        fixed = self.fixed[kind]
        leaves = self._leaves(kind, [*fixed, *chosen]) or self._leaves(kind, fixed)
        valid = [
            f"{key}={self._valid(value)}" for key, value in self._sample(leaves, self.random.randint(0, 3))
        ]
        wrong, refused = self._fault(kind, leaves) if faulty else ([], None)
        if wrong in CONTRADICTIONS[kind]:  # with the defaults
            chosen, valid = [], []
        return Case(kind, [*fixed, *chosen, *valid, *wrong], refused, [*valid, *wrong])

    def _groups(self, kind: str) -> list[str]:
        chosen = []
        for group in self.random.sample(GROUPS[kind], min(len(GROUPS[kind]), self.random.randint(0, 2))):
            folder = config_dir() / group.partition("@")[0]
            names = {path.stem for path in folder.glob("*.yaml")} - LEFT_OUT.get(group, set())
            name = self.random.choice(sorted(names & EMBEDDED if group == "data" else names))
            as_list = group in ("protocol", "estimator@xt", "estimator@ty")
            chosen.append(f"{group}=[{name}]" if as_list else f"{group}={name}")
        return chosen

    def _leaves(self, kind: str, overrides: list[str]) -> dict[str, Any]:
        """Dotted options of the composed configuration and their values; none if it does not compose."""
        known = self.known.get((kind, *overrides))
        if known is not None:
            return known
        try:
            with initialize_config_dir(str(config_dir()), version_base="1.3"):
                cfg: Any = OmegaConf.to_container(compose(kind, overrides), resolve=False)
        except Exception:  # noqa: BLE001  # the program itself will say what is wrong
            cfg = {}
        self.known[kind, *overrides] = {
            key: value
            for key, value in _flat(cfg)
            if not (kind in ("transfer", "information") and key.startswith("network."))
            and not key.startswith(NOT_DRAWN)
            and not key.endswith("_")
            and "${" not in str(value)
        }
        return self.known[kind, *overrides]

    def _sample(self, leaves: dict[str, Any], count: int) -> list[tuple[str, Any]]:
        usable = [(key, value) for key, value in leaves.items() if isinstance(value, bool | int | float)]
        return self.random.sample(usable, min(count, len(usable)))

    def _valid(self, value: Any) -> Any:
        if isinstance(value, bool):
            return str(not value).lower()
        if isinstance(value, int):
            return self.random.choice([value, value + 1, max(1, value // 2)])
        return value * self.random.choice([0.5, 1.0, 1.5])

    def _fault(self, kind: str, leaves: dict[str, Any]) -> tuple[list[str], bool | None]:
        how = self.random.choice(["misspelt", "type", "range", "contradiction"])
        key, value = (
            self.random.choice(sorted(self._sample(leaves, len(leaves)))) if leaves else ("nothing", 0)
        )
        if how == "misspelt":
            at = self.random.randrange(1, len(key))
            return [f"{key[:at]}q{key[at:]}={value}"], True
        if how == "type":
            return [f"{key}={self.random.choice(['abc', '[1]', '{a:1}'])}"], True
        if how == "range":
            return [f"{key}={self.random.choice([-1, 0, -0.5, 1e9, 'nan', 'inf', 'null'])}"], None
        return self.random.choice(CONTRADICTIONS[kind]), True

    def _plain(self, *, faulty: bool) -> Case:
        right = [
            ("report", [str(self.run_dir)]),
            ("data", ["list"]),
            ("data", ["show", "dtd", "--root", "x"]),
        ]
        wrong = [
            ("report", ["nowhere"]), ("report", [str(self.run_dir), "--outptu", "x"]),
            ("data", ["get", "cifar1"]), ("data", ["list", "dtd"]), ("prepare", ["nowhere", "out"]),
            ("prepare", [str(self.run_dir), "out"]), ("prepare", [str(self.run_dir), "out", "--size", "0"]),
            ("prepare", ["a", "b", "--quality", "high"]),
        ]  # fmt: skip
        return Case(*self.random.choice(wrong if faulty else right), refused=faulty)


def _flat(cfg: dict[str, Any], prefix: str = ""):
    for key, value in cfg.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def make(seed: int, root: Path) -> Callable[[int], Case]:
    """Train a run for the other programs, then draw."""
    enough = "data.num_test=400"  # of each class in each fold of an estimate and in few-shot episodes
    trained = ["data=digits", *TINY, enough, *NO_PROBE, f"hydra.run.dir={root}/run"]
    code, _, err = fuzz.run(Case("train", trained), root / "trained", limit=300)
    assert code == 0, err
    return CommandLines(seed, root / "run").draw


if __name__ == "__main__":
    sys.exit(fuzz.run_all(__doc__, make))
