"""What cargo says of a package: its version, and the packages that it is built from."""

import json
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Package:
    """A package of cargo, as one build uses it."""

    name: str
    version: str
    license: str | None
    description: str | None
    repository: str | None
    folder: Path
    # SHA-256 of the file on crates.io. None for the packages of this project.
    checksum: str | None
    # Its code is in the program. Otherwise it works only while the program is built.
    linked: bool


@dataclass(frozen=True)
class Closure:
    """All that a program is built from."""

    root: Package
    packages: dict[tuple[str, str], Package]
    # From a package to those that it uses.
    edges: dict[tuple[str, str], set[tuple[str, str]]]
    target: str
    rust_version: str
    rust_notices: Path


class Cargo:
    """Asks cargo about the project in `folder`. Needs no network once everything is fetched."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.metadata = json.loads(self._cargo("metadata", "--format-version", "1"))
        self.packages = {(package["name"], package["version"]): package for package in self.metadata["packages"]}
        entry = r'name = "(.+)"\nversion = "(.+)"\nsource = ".+"\nchecksum = "(.+)"'
        lock = (folder / "Cargo.lock").read_text()
        self.checksums = {(name, version): checksum for name, version, checksum in re.findall(entry, lock)}
        rustc = self._run(["rustc", "-vV"])
        self.rust_version = re.search(r"^release: (.+)$", rustc, re.MULTILINE)[1]
        self.host = re.search(r"^host: (.+)$", rustc, re.MULTILINE)[1]
        self.sysroot = Path(self._run(["rustc", "--print", "sysroot"]).strip())

    @property
    def version(self) -> str:
        """The version of the workspace, which every package has."""
        return next(package["version"] for package in self.packages.values() if package["name"] == "dcr-store")

    def closure(self, package: str, target: str) -> Closure:
        """What `package` is built from for `target`, with the features that a build of this package alone has."""
        linked = {key for _, key in self._tree(package, target, "normal,no-proc-macro")}
        edges: dict[tuple[str, str], set[tuple[str, str]]] = {}
        path: list[tuple[str, str]] = []
        for depth, key in self._tree(package, target, "normal,build"):
            edges.setdefault(key, set())
            path[depth:] = [key]
            if depth:
                edges[path[depth - 1]].add(key)
        packages = {key: self._package(key, key in linked) for key in sorted(edges)}
        notices = self.sysroot / "share/doc/rust/COPYRIGHT-library.html"
        return Closure(packages[path[0]], packages, edges, target, self.rust_version, notices)

    def _tree(self, package: str, target: str, edges: str) -> list[tuple[int, tuple[str, str]]]:
        """Depth, name and version of each line of `cargo tree`."""
        lines = self._cargo("tree", "-p", package, "--target", target, "-e", edges, "--prefix", "depth").splitlines()
        matches = (re.match(r"(\d+)(\S+) v(\S+)", line) for line in lines)
        return [(int(match[1]), (match[2], match[3])) for match in matches]

    def _package(self, key: tuple[str, str], linked: bool) -> Package:
        said = self.packages[key]
        return Package(
            name=key[0],
            version=key[1],
            license=said["license"],
            description=said["description"],
            repository=said["repository"],
            folder=Path(said["manifest_path"]).parent,
            checksum=self.checksums.get(key),
            linked=linked,
        )

    def _cargo(self, command: str, *arguments: str) -> str:
        return self._run([os.environ.get("CARGO", "cargo"), command, "--locked", "--quiet", *arguments])

    def _run(self, command: list[str]) -> str:
        return subprocess.run(command, cwd=self.folder, check=True, stdout=subprocess.PIPE, text=True).stdout
