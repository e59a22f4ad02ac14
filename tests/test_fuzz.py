"""Random command lines and image folders: each works, or is refused in one line with exit code 2."""

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("script", "count"), [("fuzz_command_lines", 60), ("fuzz_image_folders", 20)])
def test_it_works_or_is_refused_in_one_line(script, count):
    path = Path(__file__).with_name(f"{script}.py")
    command = [sys.executable, str(path), "--count", str(count), "--seed", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
