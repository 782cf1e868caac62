"""The two sides: a virtual environment with the wheel and the `dora` of this source, and one with the reference from PyPI.

```text
target/bench-python/
  ours/  reference/   the virtual environments
  build/  dist/       what maturin compiles, and the wheel
```

Both get the same interpreter, numpy and pyarrow. They are kept: only the wheel and `dora` of this source are made again.
"""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
REFERENCE = ["dora-rs==1.1.0", "dora-rs-cli==1.1.0"]
#: What both sides need. One version each, so that the sides differ in dora alone.
COMMON = ["numpy", "pyarrow==26.0.1", "pyyaml"]
MATURIN = "maturin>=1.8,<2"


class Environment:
    """A virtual environment in which dataflows run."""

    def __init__(self, name, folder):
        self.name = name
        self.folder = folder

    @property
    def programs(self):
        """Where its `python` and `dora` are."""
        return self.folder / "bin"

    @property
    def dora(self):
        """Its `dora` command."""
        return self.programs / "dora"

    def variables(self):
        """This process' environment with this one active, and nothing in it that changes what dora does."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("DORA_", "PYTHON"))}
        path = os.pathsep.join([str(self.programs), kept.get("PATH", os.defpath)])
        return {**kept, "VIRTUAL_ENV": str(self.folder), "PATH": path}

    def pip(self, *arguments):
        """Installs something."""
        _run(self.programs / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *arguments)

    def versions(self):
        """What is installed of what matters, as text."""
        script = (
            "import importlib.metadata as m, sys\n"
            "names = ('dora-rs', 'pyarrow', 'numpy')\n"
            "print(*(f'{name} {m.version(name)}' for name in names), 'Python ' + sys.version.split()[0], sep=', ')"
        )
        python = str(self.programs / "python")
        return subprocess.run([python, "-c", script], check=True, capture_output=True, text=True).stdout.strip()

    def make(self, requirements):
        """Makes it, unless it is there with these requirements."""
        complete = self.folder / "complete"
        wanted = "\n".join([sys.version, *requirements])
        if complete.exists() and complete.read_text(encoding="utf-8") == wanted:
            return
        print(f"making {self.folder} …", file=sys.stderr)
        _run(sys.executable, "-m", "venv", "--clear", self.folder)
        self.pip(*requirements)
        complete.write_text(wanted, encoding="utf-8")


def target():
    """Cargo's target folder."""
    return Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()


def reference(work):
    """The reference from PyPI; its wheels need Python 3.11 or newer."""
    if sys.version_info < (3, 11):
        raise SystemExit("the wheels of the reference need Python 3.11 or newer; run this script with one")
    environment = Environment("reference", work / "reference")
    environment.make([*COMMON, *REFERENCE])
    return environment


def ours(work, wheel=None, dora=None):
    """This source, compiled for release; `wheel` and `dora` are taken instead when they are given."""
    environment = Environment("ours", work / "ours")
    environment.make([*COMMON, MATURIN])
    wheel = wheel or build_wheel(environment, work)
    environment.pip("--no-deps", "--no-index", "--force-reinstall", wheel)
    dora = dora or build("dora-cli", "dora")
    environment.dora.unlink(missing_ok=True)
    environment.dora.symlink_to(Path(dora).resolve())
    return environment


def build(package, program):
    """Compiles a package of this workspace for release and gives the path of one of its programs."""
    _run("cargo", "build", "--quiet", "--release", "--package", package, "--bins", cwd=ROOT)
    return target() / "release" / program


def build_wheel(environment, work):
    """The wheel of this source."""
    dist = work / "dist"
    for old in dist.glob("*.whl"):
        old.unlink()
    package = ROOT / "node-apis" / "python" / "Cargo.toml"
    _run(
        *(environment.programs / "maturin", "build", "--release", "--quiet", "--compatibility", "linux"),
        *("--manifest-path", package, "--target-dir", work / "build", "--out", dist),
        *("--interpreter", environment.programs / "python"),
        env=environment.variables(),
    )
    wheels = list(dist.glob("*.whl"))
    if len(wheels) != 1:
        raise SystemExit(f"one wheel was expected in {dist}, not {len(wheels)}")
    return wheels[0]


def _run(*command, cwd=None, env=None):
    command = [str(word) for word in command]
    if subprocess.run(command, cwd=cwd, env=env, stdout=sys.stderr, check=False).returncode:
        raise SystemExit(f"failed: {' '.join(command)}")
