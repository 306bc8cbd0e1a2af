"""Where the suites come from: source archives of PyPI, in the versions that uv.lock pins, unpacked under build/.

Decides what is downloaded and where it lies. Knows nothing of how a suite is run.
"""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
import tarfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "compatibility"
# What the archives' own build files ask for; pip reads an archive's metadata with these before it keeps it.
_BUILD_TOOLS = ("pip", "setuptools", "setuptools-scm", "wheel", "Cython", "packaging")


def unpacked(package: str) -> Path:
    """The folder of a package's source archive, of the version that is installed; downloads it the first time."""
    version = importlib.metadata.version(package)
    folder = BUILD / "sources" / f"{package.replace('-', '_')}-{version}"
    if not folder.exists():
        _download(package, version, folder.parent)
    return folder


def _download(package: str, version: str, place: Path) -> None:
    place.mkdir(parents=True, exist_ok=True)
    python = _tools()
    command = [python, "-m", "pip", "download", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run(
        [*command, "--no-binary", ":all:", "--dest", place, f"{package}=={version}"], check=True, timeout=300
    )
    archive = place / f"{package.replace('-', '_')}-{version}.tar.gz"
    with tarfile.open(archive) as content:
        content.extractall(place, filter="data")


def build_tools() -> Path:
    """The folder that setuptools is imported from."""
    return next((_tools().parent.parent / "lib").glob("python*")) / "site-packages"


def _tools() -> Path:
    """A Python with the build tools, in an environment of its own."""
    environment = BUILD / "tools"
    python = environment / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", environment], check=True)
        subprocess.run(
            [python, "-m", "pip", "install", "--quiet", "--upgrade", *_BUILD_TOOLS], check=True, timeout=300
        )
    return python
