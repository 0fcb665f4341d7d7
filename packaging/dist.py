"""Makes the files of a release from three built programs. `make dist` builds the programs and calls it.

The same programs from the same commit give the same octets: SOURCE_DATE_EPOCH is the time of everything, and nothing of the machine is in
the files. It writes into a new folder and moves it to its place at the end.
"""

import argparse
import hashlib
import os
import shutil
import tempfile
from pathlib import Path

import deb
import oci
from cargo import Cargo
from sbom import notices, write_sbom

HERE = Path(__file__).resolve().parent
WASM_TARGET = "wasm32-wasip1"


def main() -> None:
    arguments = parse_arguments()
    epoch = int(os.environ["SOURCE_DATE_EPOCH"])
    cargo = Cargo(HERE.parent)
    version = arguments.version or cargo.version
    target = arguments.target or cargo.host
    arguments.folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=arguments.folder.parent, prefix=".dist-") as new:
        make(Path(new), arguments, cargo, version, target, epoch)
        os.chmod(new, 0o755)
        shutil.rmtree(arguments.folder, ignore_errors=True)
        os.rename(new, arguments.folder)
        os.mkdir(new)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--module", type=Path, required=True, help="the filter, dcr_gate.wasm")
    parser.add_argument("--store", type=Path, required=True, help="the program dcr-store")
    parser.add_argument("--tool", type=Path, required=True, help="the program dcr")
    parser.add_argument("--target", help="what the two programs were built for (default: this machine)")
    parser.add_argument("--version", help="the version in names and metadata (default: that of Cargo.toml)")
    parser.add_argument("--compression", type=int, default=9, choices=range(1, 10), help="of gzip; the tests are in a hurry")
    parser.add_argument("folder", type=Path, help="where the files go; what is there is removed")
    return parser.parse_args()


def make(folder: Path, arguments: argparse.Namespace, cargo: Cargo, version: str, target: str, epoch: int) -> None:
    """Writes every file of the release into `folder`."""
    # The file, the package of cargo that it is built from, and the target.
    module = (folder / f"dcr_gate-{version}.wasm", "dcr-plugin", WASM_TARGET)
    store = (folder / f"dcr-store-{version}-{target}", "dcr-store", target)
    tool = (folder / f"dcr-{version}-{target}", "dcr-cli", target)
    texts = {}
    for (file, package, of), source, mode in [
        (module, arguments.module, 0o644),
        (store, arguments.store, 0o755),
        (tool, arguments.tool, 0o755),
    ]:
        shutil.copyfile(source, file)
        file.chmod(mode)
        closure = cargo.closure(package, of)
        write_sbom(Path(f"{file}.cdx.json"), file, closure, version, epoch)
        texts[package] = notices(closure)
        Path(f"{file}.licenses.txt").write_text(texts[package], encoding="utf-8")

    systemd = HERE / "systemd"
    for name in ["dcr-store.service", "dcr-store.sysusers", "store.env"]:
        shutil.copyfile(systemd / name, folder / name)

    architecture = deb.architecture(target)
    images = oci.Images(version, architecture, epoch, arguments.compression)
    images.write_module(folder / f"dcr_gate-{version}.oci.tar", module[0])
    images.write_store(folder / f"dcr-store-{version}-{architecture}.oci.tar", store[0], texts["dcr-store"])
    copyright_of = {package: f"{(HERE.parent / 'LICENSE').read_text()}\n{text}" for package, text in texts.items()}
    packages = deb.Packages(folder, version, architecture, epoch, arguments.compression)
    packages.write_store(store[0], systemd, copyright_of["dcr-store"])
    packages.write_tool(tool[0], copyright_of["dcr-cli"])

    names = sorted(file.name for file in folder.iterdir())
    sums = [f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in names]
    (folder / "SHA256SUMS").write_text("".join(sums))
    for file in folder.iterdir():
        os.utime(file, (epoch, epoch))


if __name__ == "__main__":
    main()
