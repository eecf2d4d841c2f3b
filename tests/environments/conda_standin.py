"""A stand-in for `conda`: the few commands that Snakemake 9.27 calls, on py-rattler and the environment's own pip.

It is not conda. It reads the committed environment files, solves them against a local channel (channel_standin.py),
links the packages, and runs the new environment's pip on the pip part as conda does: from a file of requirements beside
the YAML that it was given, in that YAML's folder. Snakemake calls (deployment/conda.py):

    conda --version | info --json | config --get channel_priority --json | clean -y --tarballs
    conda env create --quiet --no-default-packages --file YAML --prefix PREFIX
    conda create --quiet --no-default-packages --yes --file PINS --prefix PREFIX

and for each job `source <conda_prefix>/bin/activate PREFIX`.
"""

import argparse
import asyncio
import json
import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

import rattler
import yaml
from channel_standin import PLATFORM, write_channel

VERSION = "24.7.1"  # the least that Snakemake takes
SECTIONS = {"name", "channels", "dependencies", "variables"}
_ROOT = "CONDA_STANDIN"

# Like conda's own, it fails where there is no such environment, and changes nothing then: the shell goes on with the
# Python it had. That is the trap the scripts' own check is for.
_ACTIVATE = """
if [ ! -d "$1/conda-meta" ]; then
    echo "EnvironmentLocationNotFound: Not a conda environment: $1" >&2
    return 1
fi
export CONDA_PREFIX="$1"
export PATH="$1/bin:$PATH"
"""


def install(root: Path) -> Path:
    """Lay out the stand-in below a folder; return the folder that goes first on PATH."""
    write_channel(root / "conda-forge")
    commands = root / "bin"
    commands.mkdir()
    (commands / "activate").write_text(_ACTIVATE)
    here = shlex.quote(str(Path(__file__).resolve()))
    command = f'export {_ROOT}={shlex.quote(str(root))}\nexec {shlex.quote(sys.executable)} {here} "$@"\n'
    (commands / "conda").write_text(f"#!/bin/sh\n{command}")
    (commands / "conda").chmod(0o755)
    return commands


def main(arguments: list[str], root: Path) -> None:
    """Answer one call."""
    answers = {
        "--version": f"conda {VERSION}",
        "info": json.dumps({"conda_prefix": str(root), "platform": PLATFORM}),
        "config": json.dumps({"get": {"channel_priority": "strict"}}),
        "clean": "There are no tarballs to remove.",
    }
    if arguments[0] in answers:
        print(answers[arguments[0]])
        return
    from_yaml = arguments[0] == "env"
    parser = argparse.ArgumentParser(prog="conda (a stand-in)")
    parser.add_argument("verb", choices=["create"])
    parser.add_argument("--file", required=True, type=Path)
    parser.add_argument("--prefix", required=True, type=Path)
    for flag in ("--quiet", "--yes", "--no-default-packages"):
        parser.add_argument(flag, action="store_true")
    args = parser.parse_args(arguments[1:] if from_yaml else arguments)
    if from_yaml:
        _create_from_yaml(args.file, args.prefix, root)
    else:
        # An explicit list names files of channels, and has no pip part.
        urls = [line for line in args.file.read_text().splitlines() if "://" in line]
        names = [url.rsplit("/", 1)[1].removesuffix(".tar.bz2").rsplit("-", 2) for url in urls]
        asyncio.run(_link(args.prefix, [f"{name}=={version}" for name, version, _ in names], root))


def _create_from_yaml(file: Path, prefix: Path, root: Path) -> None:
    content = yaml.safe_load(file.read_text())
    if unknown := set(content) - SECTIONS:
        sys.exit(f"EnvironmentSectionNotValid: {sorted(unknown)}")
    if content["channels"] != ["conda-forge"]:
        sys.exit(f"UnavailableInvalidChannel: {content['channels']}: this stand-in has conda-forge only")
    specs = [entry for entry in content["dependencies"] if isinstance(entry, str)]
    pip = [line for entry in content["dependencies"] if isinstance(entry, dict) for line in entry["pip"]]
    asyncio.run(_link(prefix, specs, root))
    if pip:
        with tempfile.NamedTemporaryFile("w", suffix=".requirements.txt", dir=file.parent) as requirements:
            requirements.write("\n".join(pip))
            requirements.flush()
            command = [prefix / "bin/python", "-m", "pip", "install", "-U", "-r", requirements.name]
            subprocess.run([*command, "--exists-action=b"], check=True, cwd=file.parent)


async def _link(prefix: Path, specs: list[str], root: Path) -> None:
    records = await rattler.solve(
        sources=[(root / "conda-forge").as_uri()],
        specs=[rattler.MatchSpec(spec, strict=True) for spec in specs],
        gateway=rattler.Gateway(cache_dir=root / "repodata"),
        platforms=[PLATFORM, "noarch"],
        virtual_packages=rattler.VirtualPackage.detect(),
    )
    await rattler.install(records=records, target_prefix=prefix, cache_dir=root / "packages", show_progress=False)


if __name__ == "__main__":
    main(sys.argv[1:], Path(os.environ[_ROOT]))
    # The threads of py-rattler may still run; a Python that shuts down beside them can die of PyGILState_Release.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
