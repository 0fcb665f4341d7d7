"""Writes what a program is made of: a CycloneDX SBOM, and the licence texts of all code that is in it."""

import hashlib
import html
import re
import uuid
from datetime import datetime, timezone
from pathlib import Path

from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, Property, XsUri
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentScope, ComponentType
from cyclonedx.model.license import LicenseExpression
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

from cargo import Closure, Package

LICENSE_FILES = re.compile(r"(licen[sc]e|copying|copyright|notice|unlicense)", re.IGNORECASE)
LINE = "-" * 80


def write_sbom(output: Path, program: Path, closure: Closure, version: str, epoch: int) -> None:
    """Writes the SBOM of `program`, after a check against the schema of CycloneDX 1.6."""
    digest = hashlib.sha256(program.read_bytes()).hexdigest()
    components = {key: component_of(package) for key, package in closure.packages.items()}
    root_key = (closure.root.name, closure.root.version)
    root = components.pop(root_key)
    root.version = version
    root.type = ComponentType.FILE if closure.target.startswith("wasm") else ComponentType.APPLICATION
    root.scope = None
    root.hashes = [HashType(alg=HashAlgorithm.SHA_256, content=digest)]
    root.properties = [Property(name="cargo:target", value=closure.target)]

    bom = Bom(components=components.values())
    bom.metadata.component = root
    bom.metadata.timestamp = datetime.fromtimestamp(epoch, timezone.utc)
    bom.serial_number = uuid.uuid5(uuid.NAMESPACE_URL, f"urn:sha256:{digest}")
    components[root_key] = root
    below = {key: [components[used] for used in sorted(closure.edges[key])] for key in components}

    bundled = list(not_from_cargo(closure))
    for user, component in bundled:
        bom.components.add(component)
        below[user or root_key].append(component)
    for key, uses in below.items():
        bom.register_dependency(components[key], uses)
    for _, component in bundled:
        bom.register_dependency(component)

    text = JsonV1Dot6(bom).output_as_string(indent=2)
    fault = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    if fault:
        raise SystemExit(f"{output.name} does not follow the schema of CycloneDX 1.6: {fault.data.message}")
    output.write_text(text + "\n", encoding="utf-8")


def component_of(package: Package) -> Component:
    """A package of cargo. What works only while the program is built has the scope `excluded`."""
    purl = PackageURL("cargo", None, package.name, package.version)
    references = []
    if package.repository:
        references.append(ExternalReference(type=ExternalReferenceType.VCS, url=XsUri(package.repository)))
    return Component(
        type=ComponentType.LIBRARY,
        name=package.name,
        version=package.version,
        purl=purl,
        bom_ref=str(purl),
        description=" ".join((package.description or "").split()) or None,
        # Old crates write MIT/Apache-2.0.
        licenses=[LicenseExpression(package.license.replace("/", " OR "))] if package.license else None,
        scope=ComponentScope.REQUIRED if package.linked else ComponentScope.EXCLUDED,
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=package.checksum)] if package.checksum else None,
        external_references=references,
    )


def not_from_cargo(closure: Closure):
    """What is in the program and is no package of cargo: SQLite, Rust's standard library, and the C library of the target. With the package
    that brings it; None is the program itself."""
    for key, package in closure.packages.items():
        header = package.folder / "sqlite3/sqlite3.h"
        if package.linked and header.is_file():
            version = re.search(r'#define SQLITE_VERSION +"(.+)"', header.read_text())[1]
            yield key, generic("sqlite", version, "blessing", f"cpe:2.3:a:sqlite:sqlite:{version}:*:*:*:*:*:*:*")
    yield None, generic("rust-std", closure.rust_version, "MIT OR Apache-2.0", None)
    if closure.target.endswith("-musl"):
        yield None, generic("musl", None, "MIT", None, f"as it comes with Rust {closure.rust_version}")
    if "wasi" in closure.target:
        license = "Apache-2.0 WITH LLVM-exception OR MIT"
        yield None, generic("wasi-libc", None, license, None, f"as it comes with Rust {closure.rust_version}")


def generic(name: str, version: str | None, license: str, cpe: str | None, description: str | None = None) -> Component:
    """A component that is in no registry."""
    purl = PackageURL("generic", None, name, version)
    return Component(
        type=ComponentType.LIBRARY,
        name=name,
        version=version,
        purl=purl,
        bom_ref=str(purl),
        cpe=cpe,
        description=description,
        licenses=[LicenseExpression(license)],
        scope=ComponentScope.REQUIRED,
    )


def notices(closure: Closure) -> str:
    """The licence texts of all code of others that is in the program. A text that several packages have stands once."""
    texts: dict[str, list[str]] = {}
    without: list[str] = []
    for package in closure.packages.values():
        if not package.linked or package.checksum is None:
            continue
        name = f"{package.name} {package.version} ({package.license})"
        files = sorted(file for file in package.folder.iterdir() if file.is_file() and LICENSE_FILES.match(file.name))
        if not files:
            without.append(name)
        for file in files:
            texts.setdefault(file.read_text(encoding="utf-8", errors="replace").strip(), []).append(name)
    parts = ["This program contains code of others, under these licences.\n"]
    parts += [f"{LINE}\n{', '.join(names)}\n\n{text}\n" for text, names in texts.items()]
    if without:
        parts.append(f"{LINE}\nThese have a licence but no file with its text: {', '.join(without)}\n")
    parts.append(f"{LINE}\nThe standard library of Rust {closure.rust_version} (MIT OR Apache-2.0), and what it contains\n")
    if closure.rust_notices.is_file():
        page = re.sub(r"<style.*?</style>", "", closure.rust_notices.read_text(encoding="utf-8"), flags=re.DOTALL)
        text = html.unescape(re.sub(r"<[^>]*>", "", page))
        parts.append(re.sub(r"\n\s*\n+", "\n\n", text).strip() + "\n")
    return "\n".join(parts)
