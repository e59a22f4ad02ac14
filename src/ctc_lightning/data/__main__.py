"""What data sets there are, what of them is here, how to get the rest: ``python -m ctc_lightning.data``."""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from ctc_lightning.cli.interrupt import plain_interrupt
from ctc_lightning.data.catalogue import collections, description, presence, table
from ctc_lightning.data.collection import Collection

REMARKS = (
    "Where no val images are listed, data.val_share of the training images are held out.",
    "Embedded, always here: glyphs, digits.",
    "Your own: data=image_folder data.root=FOLDER, or image_folder_small to keep them in memory.",
    "Of the datasets library: data=hugging_face data.root=FOLDER, or data.root=hf://OWNER/NAME from the hub.",
    "data=imagenet_stream reads ImageNet from shards that python -m ctc_lightning.prepare made.",
)


@plain_interrupt()
def main(argv: Sequence[str] | None = None) -> int:
    """Print the table, describe, or download; for bad input, one sentence and exit code 2."""
    default = os.environ.get("CTC_DATA", "data")
    root = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    root.add_argument("--root", help=f"the data root (default: {default})")
    parser = argparse.ArgumentParser(prog="python -m ctc_lightning.data", description=__doc__, parents=[root])
    commands = parser.add_subparsers(dest="command", metavar="{list,show,get}")
    commands.add_parser("list", help="the table (default)", parents=[root])
    for command, text in {"show": "all that is known of some", "get": "download some"}.items():
        command_parser = commands.add_parser(command, help=text, parents=[root])
        command_parser.add_argument("names", nargs="+", metavar="NAME")
    arguments = parser.parse_args(argv, argparse.Namespace(root=default))
    data_root, known = Path(arguments.root).expanduser(), collections()
    try:
        if arguments.command == "show":
            text = "\n\n".join(description(n, known[n], data_root) for n in chosen(arguments.names, known))
        elif arguments.command == "get":
            text = "\n".join(get(n, known[n], data_root) for n in chosen(arguments.names, known))
        else:
            text = overview(known, data_root)
    except (ValueError, OSError, RuntimeError) as problem:
        sys.stderr.write(f"error: {' '.join(str(problem).split())}\n")
        return 2
    sys.stdout.write(f"{text}\n")
    return 0


def chosen(names: Sequence[str], known: Mapping[str, Collection]) -> Sequence[str]:
    """The names, if all of them are known."""
    if unknown := [name for name in names if name not in known]:
        raise ValueError(f"there is no data set {unknown[0]!r}; choose from {', '.join(known)}.")
    return names


def get(name: str, collection: Collection, root: Path) -> str:
    """Download one data set, unless it is here; say where it is."""
    if not presence(collection, root).missing:
        return f"{name} is already in {presence(collection, root).folder}"
    folder = root / collection.folder
    folder.mkdir(parents=True, exist_ok=True)
    collection.download(folder)
    return f"{name} is in {folder}"


def overview(known: Mapping[str, Collection], root: Path) -> str:
    """The table, what it leaves unsaid about splits, and how to get what is missing."""
    notes = [f"  {name}: {collection.notes}" for name, collection in known.items() if collection.notes]
    lacking = [
        f"  {name}: {collection.how_to_get}"
        for name, collection in known.items()
        if presence(collection, root).missing
    ]
    here = f'"here" means in {root.resolve()}; another place is --root DIR, CTC_DATA=DIR or data.root=DIR.'
    parts = [table(known, root), "\n".join([here, *REMARKS]), "\n".join(["Splits:", *notes])]
    if lacking:
        parts.append("\n".join(["Not here, or not whole:", *lacking]))
    return "\n\n".join(parts)


if __name__ == "__main__":
    sys.exit(main())
