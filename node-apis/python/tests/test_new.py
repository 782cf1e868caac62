"""What `dora new --lang python` makes: it runs and passes its own test, each with one command."""

import subprocess
import sys

import pytest

from conftest import HUNG


@pytest.mark.parametrize(
    ("kind", "printed"),
    [("dataflow", "heard on speech-2: hello 1 from talker-2"), ("node", "counted ")],
)
def test_project_runs_and_passes_its_own_test(dora, tmp_path, clean_env, kind, printed):
    made = dora("new", "parrots", "--lang", "python", "--kind", kind)
    assert made.returncode == 0, made.stderr
    project = tmp_path / "parrots"
    run = dora("run", "dataflow.yml", "--stop-after", "5s", cwd=project)
    assert run.returncode == 0, run.stdout + run.stderr
    assert printed in run.stdout
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    tested = subprocess.run(
        command, cwd=project, env=clean_env, capture_output=True, text=True, timeout=HUNG, stdin=subprocess.DEVNULL
    )
    assert tested.returncode == 0, tested.stdout + tested.stderr
    assert "passed" in tested.stdout
