"""Writes Debian packages of the store and of the tool with dpkg-deb."""

import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from string import Template

SCRIPTS = Path(__file__).resolve().parent / "debian"

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def architecture(target: str) -> str:
    """Debian's word for the processor of a target, which is also OCI's."""
    return ARCHITECTURES[target.split("-")[0]]


@dataclass(frozen=True)
class Packages:
    """The packages of one release."""

    folder: Path
    version: str
    architecture: str
    epoch: int
    compression: int

    def write_store(self, store: Path, systemd: Path, notices: str) -> None:
        """The service: the program, its unit, its user, and its settings. The data comes with the first start (StateDirectory)."""
        files = {
            "usr/bin/dcr-store": (store.read_bytes(), 0o755),
            "usr/lib/systemd/system/dcr-store.service": ((systemd / "dcr-store.service").read_bytes(), 0o644),
            "usr/lib/sysusers.d/dcr-store.conf": ((systemd / "dcr-store.sysusers").read_bytes(), 0o644),
            "etc/dcr-store/store.env": ((systemd / "store.env").read_bytes(), 0o644),
        }
        self._write("dcr-store", files, notices)

    def write_tool(self, tool: Path, notices: str) -> None:
        """The tool: one program."""
        self._write("dcr", {"usr/bin/dcr": (tool.read_bytes(), 0o755)}, notices)

    def _write(self, name: str, files: dict[str, tuple[bytes, int]], notices: str) -> None:
        """A package of these files and of the scripts in debian/NAME/."""
        files = {**files, f"usr/share/doc/{name}/copyright": (notices.encode(), 0o644)}
        scripts = SCRIPTS / name
        control = {script.name: (script.read_bytes(), 0o755) for script in scripts.iterdir() if script.name != "control"}
        # A pre-release sorts before its release.
        version = self.version.replace("-", "~")
        size = sum(-(-len(content) // 1024) for content, _ in files.values())
        filled = Template((scripts / "control").read_text()).substitute(
            version=version, architecture=self.architecture, installed_size=size
        )
        control["control"] = (filled.encode(), 0o644)
        settings = [f"/{file}\n" for file in files if file.startswith("etc/")]
        if settings:
            control["conffiles"] = ("".join(settings).encode(), 0o644)

        with tempfile.TemporaryDirectory() as staged:
            root = Path(staged)
            for file, (content, mode) in [*files.items(), *((f"DEBIAN/{file}", made) for file, made in control.items())]:
                path = root / file
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
                path.chmod(mode)
            for path in [*root.rglob("*"), root]:
                if path.is_dir():
                    path.chmod(0o755)
                os.utime(path, (self.epoch, self.epoch))
            # xz with several threads gives other octets than with one.
            output = self.folder / f"{name}_{version}_{self.architecture}.deb"
            command = ["dpkg-deb", "--root-owner-group", "-Zgzip", f"-z{self.compression}", "--build", root, output]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
