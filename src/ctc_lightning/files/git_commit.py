"""The commit that a result was made with."""

import subprocess
from pathlib import Path


def git_commit() -> str | None:
    """The commit of the checkout that this package runs from, with ``+changes`` if the tree differs."""
    here = Path(__file__).parent

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=here, capture_output=True, text=True, check=True).stdout  # noqa: S603, S607

    try:
        if Path(git("rev-parse", "--show-toplevel").strip()) != here.parents[2]:
            return None  # installed inside somebody else's repository
        return git("rev-parse", "--short", "HEAD").strip() + (
            "+changes" if git("status", "--porcelain").strip() else ""
        )
    except (OSError, subprocess.CalledProcessError):
        return None
