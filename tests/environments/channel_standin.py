"""A stand-in for conda-forge: a local channel with two packages, this CPython and the pip that it carries.

It proves that the committed environments can be solved, linked, activated and filled by pip. It does not prove that
conda-forge holds a package. Nothing is downloaded: the python package is a link to the interpreter that runs this, with
a pyvenv.cfg, so that its prefix holds no other packages; pip comes from the wheel inside ensurepip.
"""

import bz2
import hashlib
import io
import json
import sys
import tarfile
import zipfile
from importlib.resources import files as resources_of
from pathlib import Path

Content = bytes | Path  # a file's bytes, or what a link points to
PLATFORM = "linux-64"
SERIES = f"{sys.version_info.major}.{sys.version_info.minor}"
_BUILD = "standin_0"


def write_channel(folder: Path) -> None:
    """Write the channel: a folder per platform with its packages and the list of them."""
    records = {PLATFORM: _python(folder / PLATFORM), "noarch": _pip(folder / "noarch")}
    for platform, (name, record) in records.items():
        listing = {
            "info": {"subdir": platform},
            "packages": {name: record},
            "packages.conda": {},
            "repodata_version": 1,
        }
        (folder / platform / "repodata.json").write_text(json.dumps(listing))


def _python(folder: Path) -> tuple[str, dict]:
    interpreter = Path(sys._base_executable).resolve()
    version = ".".join(map(str, sys.version_info[:3]))
    settings = f"home = {interpreter.parent}\ninclude-system-site-packages = false\nversion = {version}\n"
    packages = f"lib/python{SERIES}/site-packages"
    content: dict[str, Content] = {
        f"bin/python{SERIES}": interpreter,
        "bin/python3": Path(f"python{SERIES}"),
        "bin/python": Path(f"python{SERIES}"),
        "pyvenv.cfg": settings.encode(),
        f"{packages}/README.txt": b"Packages of a stand-in for conda-forge's python.\n",
    }
    index = {"name": "python", "version": version, "subdir": PLATFORM, "arch": "x86_64", "platform": "linux"}
    return _package(folder, index | {"depends": [], "python_site_packages_path": packages}, content)


def _pip(folder: Path) -> tuple[str, dict]:
    wheel = next(
        file for file in resources_of("ensurepip").joinpath("_bundled").iterdir() if file.name.startswith("pip-")
    )
    with zipfile.ZipFile(io.BytesIO(wheel.read_bytes())) as archive:
        content: dict[str, Content] = {
            f"site-packages/{name}": archive.read(name) for name in archive.namelist() if not name.endswith("/")
        }
    index = {"name": "pip", "version": wheel.name.split("-")[1], "subdir": "noarch", "noarch": "python"}
    return _package(
        folder, index | {"depends": ["python >=3.8"]}, content, commands=["pip = pip._internal.cli.main:main"]
    )


def _package(
    folder: Path, index: dict, content: dict[str, Content], commands: list[str] | None = None
) -> tuple[str, dict]:
    """Write one package in conda's first format; return its file's name and its line in the channel's list."""
    index = index | {"build": _BUILD, "build_number": 0, "timestamp": 1_700_000_000_000}
    paths = [
        {"_path": name, "path_type": "softlink", "sha256": hashlib.sha256(b"").hexdigest(), "size_in_bytes": 0}
        if isinstance(part, Path)
        else {
            "_path": name,
            "path_type": "hardlink",
            "sha256": hashlib.sha256(part).hexdigest(),
            "size_in_bytes": len(part),
        }
        for name, part in sorted(content.items())
    ]
    about: dict[str, Content] = {
        "info/index.json": json.dumps(index).encode(),
        "info/paths.json": json.dumps({"paths": paths, "paths_version": 1}).encode(),
    }
    if commands is not None:
        link = {"noarch": {"type": "python", "entry_points": commands}, "package_metadata_version": 1}
        about["info/link.json"] = json.dumps(link).encode()
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, part in (about | dict(sorted(content.items()))).items():
            _add(archive, name, part)
    data = bz2.compress(packed.getvalue(), compresslevel=1)
    folder.mkdir(parents=True)
    file = folder / f"{index['name']}-{index['version']}-{_BUILD}.tar.bz2"
    file.write_bytes(data)
    return file.name, index | {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def _add(archive: tarfile.TarFile, name: str, part: Content) -> None:
    member = tarfile.TarInfo(name)
    if isinstance(part, Path):
        member.type, member.linkname, member.mode = tarfile.SYMTYPE, str(part), 0o777
        archive.addfile(member)
    else:
        member.size, member.mode = len(part), 0o755 if name.startswith("bin/") else 0o644
        archive.addfile(member, io.BytesIO(part))
