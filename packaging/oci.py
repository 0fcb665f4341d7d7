"""Writes OCI images as archives of an image layout, which skopeo calls `oci-archive:`. Needs no daemon and no registry."""

import gzip
import hashlib
import io
import json
import tarfile
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"

# A user that no system has, as a number: Kubernetes can see that it is not root.
USER = 65532
DATA = "var/lib/dcr-store"


@dataclass(frozen=True)
class Images:
    """The images of one release."""

    version: str
    architecture: str
    epoch: int
    compression: int

    def write_module(self, output: Path, module: Path) -> None:
        """The filter as Istio and Envoy Gateway load it: one layer with the one file plugin.wasm (the variant "compat" of Wasm images)."""
        layer = tar([entry("plugin.wasm", 0o644, module.read_bytes())], self.epoch)
        # As if built FROM scratch on x86-64. The module runs on every machine, and programs that load it do not ask.
        annotations = {"module.wasm.image/variant": "compat", **self._annotations("dcr-gate")}
        self._write(output, layer, "amd64", {}, annotations)

    def write_store(self, output: Path, store: Path, notices: str) -> None:
        """The store: one static program, its user, and its data as a volume. Everything else can be read-only."""
        entries = [
            *(entry(folder, 0o755) for folder in ["usr", "usr/bin"]),
            entry("usr/bin/dcr-store", 0o755, store.read_bytes()),
            *(entry(folder, 0o755) for folder in ["usr/share", "usr/share/doc", "usr/share/doc/dcr-store"]),
            entry("usr/share/doc/dcr-store/licenses.txt", 0o644, notices.encode()),
            *(entry(folder, 0o755) for folder in ["var", "var/lib"]),
            entry(DATA, 0o700, owner=USER),
        ]
        annotations = self._annotations("dcr-store")
        runs = {
            "User": f"{USER}:{USER}",
            "ExposedPorts": {"8082/tcp": {}},
            # On this address the store does not start without a credential: who runs the image names its file.
            "Env": ["PATH=/usr/bin", "DCR_STORE_LISTEN=0.0.0.0:8082", f"DCR_STORE_DATABASE=sqlite:/{DATA}/store.db"],
            "Entrypoint": ["/usr/bin/dcr-store"],
            "Volumes": {f"/{DATA}": {}},
            "WorkingDir": f"/{DATA}",
            "StopSignal": "SIGTERM",
            "Labels": annotations,
        }
        self._write(output, tar(entries, self.epoch), self.architecture, runs, annotations)

    def _annotations(self, title: str) -> dict[str, str]:
        return {
            "org.opencontainers.image.title": title,
            "org.opencontainers.image.version": self.version,
            "org.opencontainers.image.licenses": "Apache-2.0",
        }

    def _write(self, output: Path, layer: bytes, architecture: str, runs: dict, annotations: dict[str, str]) -> None:
        """An image with one layer, as an archive."""
        packed = io.BytesIO()
        with gzip.GzipFile(fileobj=packed, mode="wb", filename="", mtime=0, compresslevel=self.compression) as compressed:
            compressed.write(layer)
        created = datetime.fromtimestamp(self.epoch, timezone.utc).isoformat().replace("+00:00", "Z")
        blobs: dict[str, bytes] = {}

        def blob(media_type: str, content: bytes) -> dict:
            digest = hashlib.sha256(content).hexdigest()
            blobs[f"blobs/sha256/{digest}"] = content
            return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(content)}

        config = {
            "created": created,
            "architecture": architecture,
            "os": "linux",
            "config": runs,
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
            "history": [{"created": created, "created_by": "make dist"}],
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": blob(CONFIG, encoded(config)),
            "layers": [blob(LAYER, packed.getvalue())],
            "annotations": annotations,
        }
        described = {
            **blob(MANIFEST, encoded(manifest)),
            "annotations": {"org.opencontainers.image.ref.name": self.version},
            "platform": {"architecture": architecture, "os": "linux"},
        }
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [described]}
        files = {"oci-layout": encoded({"imageLayoutVersion": "1.0.0"}), "index.json": encoded(index), **blobs}
        folders = [entry("blobs", 0o755), entry("blobs/sha256", 0o755)]
        output.write_bytes(tar([*folders, *(entry(name, 0o644, files[name]) for name in sorted(files))], self.epoch))


def entry(name: str, mode: int, content: bytes | None = None, owner: int = 0) -> tuple[tarfile.TarInfo, bytes]:
    """A file with `content`, or a folder."""
    info = tarfile.TarInfo(name)
    info.type = tarfile.DIRTYPE if content is None else tarfile.REGTYPE
    info.mode = mode
    info.size = len(content or b"")
    info.uid = info.gid = owner
    return info, content or b""


def tar(entries: list[tuple[tarfile.TarInfo, bytes]], epoch: int) -> bytes:
    """The entries in this order, all with the same time."""
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for info, content in entries:
            info.mtime = epoch
            archive.addfile(info, io.BytesIO(content))
    return output.getvalue()


def encoded(document: dict) -> bytes:
    return json.dumps(document, indent=2).encode()
