//! The files of a release, as `make dist` makes them: sums, SBOMs, images, the Debian package of the store, and its systemd unit.
//!
//! The tests package the programs that are already built for them. With `DCR_DIST=dist` they look at the files in that folder
//! (`make dist-check`). They need what Debian has: dpkg and systemd's tools. Where these are not installed, the tests print a message
//! and pass, unless `DCR_PACKAGE=required` is set, as in `make test` on Debian.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "clippy takes helpers beside tests for code"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use dcr_dev::installation::{Installation, project_folder};
use serde_json::Value;

/// A program that has not done it within this time hangs.
const TIMEOUT: Duration = Duration::from_secs(60);

#[test]
fn every_file_has_its_sum() {
    let Some(dist) = dist() else { return };
    succeed(Command::new("sha256sum").args(["--check", "--quiet", "SHA256SUMS"]).current_dir(&dist.folder));
    let sums = fs::read_to_string(dist.folder.join("SHA256SUMS")).unwrap();
    let mut named: BTreeSet<&str> =
        sums.lines().filter_map(|line| line.split_once("  ")).map(|(_, name)| name).collect();
    named.insert("SHA256SUMS");
    let there: Vec<String> = files_below(&dist.folder).into_iter().collect();
    assert_eq!(named.into_iter().collect::<Vec<_>>(), there);
}

/// The validator is that of cyclonedx-python-lib, with the schema of CycloneDX.
#[test]
fn an_sbom_follows_its_schema_and_names_what_is_in_the_program() {
    const VALIDATE: &str = "
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
validator = JsonStrictValidator(SchemaVersion.V1_6)
assert validator.validate_str('{\"bomFormat\": \"CycloneDX\", \"specVersion\": \"1.6\", \"other\": 1}'), 'it takes anything'
faults = [(name, fault.data.message) for name in sys.argv[1:] if (fault := validator.validate_str(open(name).read()))]
sys.exit(str(faults) if faults else 0)
";
    let Some(dist) = dist() else { return };
    let sboms =
        [&dist.module, &dist.store, &dist.tool].map(|program| PathBuf::from(format!("{}.cdx.json", program.display())));
    succeed(python().args(["-c", VALIDATE]).args(&sboms));

    let lock = fs::read_to_string(project_folder().join("Cargo.lock")).unwrap();
    let [module, store, tool] = [0, 1, 2].map(|which: usize| Sbom::read(&sboms[which]));
    for (sbom, program) in [(&module, &dist.module), (&store, &dist.store), (&tool, &dist.tool)] {
        assert_eq!(sbom.document["metadata"]["component"]["hashes"][0]["content"], sha256(program));
        for component in sbom.document["components"].as_array().unwrap() {
            let Some(checksum) = component["hashes"][0]["content"].as_str() else { continue };
            assert!(lock.contains(&format!("checksum = \"{checksum}\"")), "{component}");
        }
        assert!(
            sbom.names["required"].contains("serde") && sbom.names["required"].contains("rust-std"),
            "{:?}",
            sbom.names
        );
        assert!(sbom.names["excluded"].contains("serde_derive"), "{:?}", sbom.names);
    }
    let linked =
        |sbom: &Sbom| ["proxy-wasm", "sqlite", "axum", "reqwest"].map(|name| sbom.names["required"].contains(name));
    assert_eq!(linked(&module), [true, false, false, false]);
    assert_eq!(linked(&store), [false, true, true, false]);
    assert_eq!(linked(&tool), [false, false, true, true]);
}

#[test]
fn the_image_of_the_module_has_one_file() {
    let Some(dist) = dist() else { return };
    let image =
        Image::open(&dist.only(|name| name.starts_with("dcr_gate-") && name.ends_with(".oci.tar")), "module-image");
    assert_eq!(files_below(&image.content), BTreeSet::from(["plugin.wasm".to_owned()]));
    assert_eq!(sha256(&image.content.join("plugin.wasm")), sha256(&dist.module));
    assert_eq!(image.manifest["annotations"]["module.wasm.image/variant"], "compat");
}

#[test]
fn the_image_of_the_store_has_a_program_a_user_and_a_volume() {
    let Some(dist) = dist() else { return };
    let image = dist.store_image("store-image");
    let config = &image.config["config"];
    let user = config["User"].as_str().unwrap();
    let (user, group) = user.split_once(':').unwrap();
    assert!([user, group].iter().all(|id| id.parse::<u32>().unwrap() > 0), "{user}:{group}");
    let program = image.content.join(config["Entrypoint"][0].as_str().unwrap().trim_start_matches('/'));
    assert_eq!(sha256(&program), sha256(&dist.store));

    let layer =
        succeed(Command::new("tar").args(["--list", "--verbose", "--numeric-owner", "--file"]).arg(&image.layer));
    let volumes: Vec<&String> = config["Volumes"].as_object().unwrap().keys().collect();
    for line in layer.lines() {
        let [mode, owner] = [0, 1].map(|field| line.split_whitespace().nth(field).unwrap());
        let name = format!("/{}", line.split_whitespace().last().unwrap().trim_end_matches('/'));
        if volumes.contains(&&name) {
            assert_eq!((mode, owner), ("drwx------", format!("{user}/{group}").as_str()));
        } else {
            assert_eq!(owner, "0/0", "{line}");
            assert!(!mode.contains('s') && !mode.split_at(4).1.contains('w'), "{line}");
        }
    }
    assert!(volumes.iter().all(|volume| image.content.join(volume.trim_start_matches('/')).is_dir()), "{volumes:?}");
}

/// The image as a container runs it: as its user, with its environment, on a read-only file system with a volume.
#[test]
fn the_store_runs_from_its_image() {
    let Some(dist) = dist() else { return };
    if !is_root() {
        return skipped("only root can run a program as another user in another root");
    }
    let image = dist.store_image("run-image");
    let config = &image.config["config"];
    let volume =
        image.content.join(config["Volumes"].as_object().unwrap().keys().next().unwrap().trim_start_matches('/'));
    let credential = new_credential(&image.content.join("credential"));
    let mut unshare = Command::new("unshare");
    unshare.env_clear();
    for setting in config["Env"].as_array().unwrap() {
        let (name, value) = setting.as_str().unwrap().split_once('=').unwrap();
        unshare.env(name, value);
    }
    unshare.env("PATH", std::env::var_os("PATH").unwrap());

    // Without a credential it refuses to serve other machines.
    let [user, program] = [&config["User"], &config["Entrypoint"][0]].map(|member| member.as_str().unwrap());
    // What is released needs no libraries; what is built for tests does.
    let libraries = if dist.is_released { "" } else { "/lib /lib64 /usr/lib" };
    let script = format!(
        "set -e; for folder in {libraries}; do mkdir -p $ROOT$folder; mount --rbind $folder $ROOT$folder; done
         mount --rbind $ROOT $ROOT; mount --bind $ROOT/var $ROOT/var; mount -o remount,ro,bind $ROOT
         if touch $ROOT/file 2>/dev/null; then echo 'it can be written'; exit 1; fi
         exec chroot --userspec={user} $ROOT {program}"
    );
    unshare.args(["--mount", "sh", "-c", &script]).env("ROOT", &image.content);
    let refused = unshare.output().unwrap();
    let said = text(&refused);
    assert!(!refused.status.success() && said.contains("without a credential"), "{said}");

    let ready = volume.join("ready");
    unshare
        .env("DCR_STORE_LISTEN", "127.0.0.1:0")
        .env("DCR_STORE_CREDENTIAL_FILE", "/credential")
        .env("DCR_STORE_READY_FILE", format!("/{}", ready.strip_prefix(&image.content).unwrap().display()));
    let store = Running::start(&mut unshare, &ready);
    store.assert_serves(&credential);
    store.stop();
    let database = fs::metadata(volume.join("store.db")).unwrap();
    assert_eq!(database.uid().to_string(), user.split(':').next().unwrap());
}

#[test]
fn the_package_of_the_store_is_installed_upgraded_removed_and_purged() {
    let Some(dist) = dist() else { return };
    let Some(root) = Root::new("lifecycle") else { return };
    let before = files_below(&root.folder);
    let package = dist.only(|name| name.starts_with("dcr-store_") && name.ends_with(".deb"));
    root.dpkg(["--install".as_ref(), package.as_os_str()]);
    assert_eq!(root.version(), Some(env!("CARGO_PKG_VERSION").to_owned()));
    let said = succeed(Command::new(root.path("usr/bin/dcr-store")).arg("--version"));
    assert_eq!(said.trim(), format!("dcr-store {}", env!("CARGO_PKG_VERSION")));
    let users = root.read("etc/passwd");
    let user = users.lines().find(|line| line.starts_with("dcr-store:")).expect("a user");
    assert!(user.ends_with(":/var/lib/dcr-store:/usr/sbin/nologin"), "{user}");
    let credential = root.read("etc/dcr-store/credential");
    assert!(
        credential.len() == 64 && credential.bytes().all(|octet| octet.is_ascii_hexdigit()),
        "{} octets",
        credential.len()
    );
    assert_eq!(fs::metadata(root.path("etc/dcr-store/credential")).unwrap().permissions().mode() & 0o777, 0o600);
    let enabled = "etc/systemd/system/multi-user.target.wants/dcr-store.service";
    assert!(!root.has(enabled), "the operator starts it");

    // What an operator does, and what the store does then.
    let mut systemctl = Command::new("systemctl");
    succeed(systemctl.arg(format!("--root={}", root.folder.display())).args(["enable", "dcr-store.service"]));
    let settings = root.read("etc/dcr-store/store.env") + "DCR_STORE_LOG=warn\n";
    fs::write(root.path("etc/dcr-store/store.env"), &settings).unwrap();
    fs::create_dir_all(root.path("var/lib/dcr-store")).unwrap();
    fs::write(root.path("var/lib/dcr-store/store.db"), "registrations").unwrap();
    let is_kept = |step: &str| {
        assert_eq!(root.read("etc/dcr-store/store.env"), settings, "{step}");
        assert_eq!(root.read("etc/dcr-store/credential"), credential, "{step}");
        assert_eq!(root.read("var/lib/dcr-store/store.db"), "registrations", "{step}");
    };

    let newer = dist.newer_package();
    root.dpkg(["--install".as_ref(), newer.as_os_str()]);
    assert_eq!(root.version(), Some(NEWER.to_owned()));
    assert!(root.has(enabled) && root.has("usr/bin/dcr-store"));
    assert_eq!(root.read("etc/passwd"), users);
    is_kept("upgrade");

    // Back to the older one.
    root.dpkg(["--install".as_ref(), package.as_os_str()]);
    assert_eq!(root.version(), Some(env!("CARGO_PKG_VERSION").to_owned()));
    is_kept("rollback");

    root.dpkg(["--remove", "dcr-store"]);
    assert!(
        !root.has("usr/bin/dcr-store") && !root.has("usr/lib/systemd/system/dcr-store.service") && !root.has(enabled)
    );
    is_kept("removal");

    let said = root.dpkg(["--purge", "dcr-store"]);
    assert!(said.contains("the registrations stay in /var/lib/dcr-store"), "{said}");
    assert_eq!(root.version(), None);
    let left: Vec<String> = files_below(&root.folder)
        .difference(&before)
        .filter(|file| {
            !file.starts_with("var/lib/dpkg/") && !file.starts_with("etc/passwd") && !file.starts_with("etc/group")
        })
        .filter(|file| {
            !file.starts_with("etc/shadow") && !file.starts_with("etc/gshadow") && !file.starts_with("etc/.pwd")
        })
        .cloned()
        .collect();
    assert_eq!(left, ["var/lib/dcr-store/store.db"]);
    assert!(!root.has("etc/dcr-store"));
}

#[test]
fn the_package_of_the_tool_has_the_tool() {
    let Some(dist) = dist() else { return };
    let Some(root) = Root::new("tool") else { return };
    root.dpkg(["--install".as_ref(), dist.only(|name| name.starts_with("dcr_") && name.ends_with(".deb")).as_os_str()]);
    let said = succeed(Command::new(root.path("usr/bin/dcr")).arg("--version"));
    assert_eq!(said.trim(), format!("dcr {}", env!("CARGO_PKG_VERSION")));
    assert!(root.read("usr/share/doc/dcr/copyright").contains("Apache License"));
}

/// What systemd does with the unit is done here by hand: variables, settings, credential, state.
#[test]
fn the_store_of_the_package_starts_as_its_unit_says() {
    let Some(dist) = dist() else { return };
    let Some(root) = Root::new("start") else { return };
    root.dpkg([
        "--install".as_ref(),
        dist.only(|name| name.starts_with("dcr-store_") && name.ends_with(".deb")).as_os_str(),
    ]);
    let unit = root.read("usr/lib/systemd/system/dcr-store.service");
    let value = |key: &str| unit.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('=')).expect("a setting");

    let state = root.path(format!("var/lib/{}", value("StateDirectory")));
    fs::create_dir_all(&state).unwrap();
    let (name, source) = value("LoadCredential").split_once(':').unwrap();
    let credentials = root.path("run/credentials");
    fs::create_dir_all(&credentials).unwrap();
    let credential = root.read(source.trim_start_matches('/'));
    fs::write(credentials.join(name), &credential).unwrap();
    let settings = root.read(value("EnvironmentFile").trim_start_matches(['-', '/']));
    let settings: BTreeMap<&str, &str> =
        settings.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('=')).collect();
    assert_eq!(settings["DCR_STORE_LISTEN"], "127.0.0.1:8082");

    let line = value("ExecStart")
        .replace("${STATE_DIRECTORY}", state.to_str().unwrap())
        .replace("${CREDENTIALS_DIRECTORY}", credentials.to_str().unwrap());
    let mut words = line.split_whitespace();
    let mut command = Command::new(root.path(words.next().unwrap().trim_start_matches('/')));
    let ready = root.path("ready");
    command
        .args(words)
        .env_clear()
        .envs(settings)
        .env("DCR_STORE_LISTEN", "127.0.0.1:0")
        .env("DCR_STORE_READY_FILE", &ready);
    let store = Running::start(&mut command, &ready);
    store.assert_serves(&credential);
    store.stop();
    assert!(state.join("store.db").is_file());
}

#[test]
fn the_unit_is_as_strict_as_documented() {
    let Some(dist) = dist() else { return };
    let documented = fs::read_to_string(project_folder().join("docs/install.md")).unwrap();
    let documented = documented.split("exposure level of ").nth(1).and_then(|rest| rest.split_whitespace().next());
    let documented: f64 = documented.expect("the level").parse().unwrap();
    let mut analysis = Command::new("systemd-analyze");
    let said =
        succeed(analysis.args(["security", "--offline=true", "--no-pager"]).arg(dist.folder.join("dcr-store.service")));
    let level = said.split("dcr-store.service: ").nth(1).and_then(|rest| rest.split_whitespace().next());
    let level: f64 = level.expect("a level").parse().unwrap();
    assert!(level <= documented, "docs/install.md says {documented}, systemd-analyze says: {said}");

    // A key that systemd does not know is only a message.
    let folder = new_folder("unit");
    let unit = fs::read_to_string(dist.folder.join("dcr-store.service")).unwrap();
    fs::write(folder.join("dcr-store.service"), unit.replace("/usr/bin/dcr-store", dist.store.to_str().unwrap()))
        .unwrap();
    let verified =
        Command::new("systemd-analyze").arg("verify").arg(folder.join("dcr-store.service")).output().unwrap();
    let said = text(&verified);
    assert!(verified.status.success() && !said.contains("dcr-store.service"), "{said}");
}

/// The version of the package that the test upgrades to.
const NEWER: &str = concat!(env!("CARGO_PKG_VERSION"), "+newer");

/// The files of a release.
struct Dist {
    folder: PathBuf,
    module: PathBuf,
    store: PathBuf,
    tool: PathBuf,
    /// As `make dist` built them, not programs that were built for tests.
    is_released: bool,
}

/// Made once for all tests. `None` where the tools are not installed.
fn dist() -> Option<&'static Dist> {
    static DIST: LazyLock<Option<Dist>> = LazyLock::new(|| {
        let released = std::env::var_os("DCR_DIST").map(|folder| project_folder().join(folder));
        let is_released = released.is_some();
        let folder = match released {
            _ if !can_package() => return None,
            Some(folder) => folder,
            None => {
                let installed = Installation::find().expect("`make programs wasm` builds them");
                let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("dist");
                package(&installed.filter, &installed.store, &installed.store.with_file_name("dcr"), &folder, &[]);
                folder
            }
        };
        let program = |start: &str| only(&folder, |name| name.starts_with(start) && is_program(name));
        let version = env!("CARGO_PKG_VERSION");
        let [module, store, tool] = ["dcr_gate-", "dcr-store-", &format!("dcr-{version}-")].map(program);
        Some(Dist { folder, module, store, tool, is_released })
    });
    DIST.as_ref()
}

fn is_program(name: &str) -> bool {
    ![".json", ".txt", ".tar"].iter().any(|end| name.ends_with(end))
}

impl Dist {
    fn only(&self, is_it: impl Fn(&str) -> bool) -> PathBuf {
        only(&self.folder, is_it)
    }

    fn store_image(&self, unpacked: &str) -> Image {
        Image::open(&self.only(|name| name.starts_with("dcr-store-") && name.ends_with(".oci.tar")), unpacked)
    }

    /// The package of the same store with a higher version.
    fn newer_package(&self) -> PathBuf {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("newer-dist");
        package(&self.module, &self.store, &self.tool, &folder, &["--version", NEWER]);
        only(&folder, |name| name.starts_with("dcr-store_") && name.ends_with(".deb"))
    }
}

fn package(module: &Path, store: &Path, tool: &Path, folder: &Path, more: &[&str]) {
    let mut command = python();
    command.arg(project_folder().join("packaging/dist.py")).arg("--module").arg(module).arg("--store").arg(store);
    command.arg("--tool").arg(tool).args(["--compression", "1"]).args(more).arg(folder);
    succeed(command.env("SOURCE_DATE_EPOCH", "1750000000"));
}

/// Whether the tools are installed that make and take packages.
fn can_package() -> bool {
    let found = |program: &str| {
        std::env::split_paths(&std::env::var_os("PATH").unwrap()).any(|folder| folder.join(program).is_file())
    };
    let mut missing: Vec<&str> = ["dpkg", "dpkg-deb", "systemd-analyze", "systemd-sysusers", "unshare"]
        .into_iter()
        .filter(|name| !found(name))
        .collect();
    if !project_folder().join(".tools/sbom/installed").is_file() {
        missing.push(".tools/sbom, which `make package-tools` installs");
    }
    if missing.is_empty() {
        return true;
    }
    let missing = format!("not installed: {}", missing.join(", "));
    assert!(std::env::var_os("DCR_PACKAGE").is_none_or(|wanted| wanted != "required"), "{missing}");
    skipped(&missing);
    false
}

fn python() -> Command {
    let mut command = Command::new(std::env::var_os("PYTHON").unwrap_or_else(|| "python3".into()));
    command.env("PYTHONPATH", project_folder().join(".tools/sbom")).env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

/// The components of an SBOM.
struct Sbom {
    document: Value,
    /// Their names, by their scope.
    names: BTreeMap<String, BTreeSet<String>>,
}

impl Sbom {
    fn read(file: &Path) -> Self {
        let document: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
        let mut names: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for component in document["components"].as_array().unwrap() {
            let [scope, name] = ["scope", "name"].map(|member| component[member].as_str().unwrap().to_owned());
            names.entry(scope).or_default().insert(name);
        }
        Self { document, names }
    }
}

/// An image that was read back from its archive. Every digest and size in it is right.
struct Image {
    manifest: Value,
    config: Value,
    layer: PathBuf,
    /// The files of its layer.
    content: PathBuf,
}

impl Image {
    fn open(archive: &Path, name: &str) -> Self {
        let folder = new_folder(name);
        let layout = folder.join("layout");
        unpack(archive, &layout);
        let read = |file: &Path| -> Value { serde_json::from_slice(&fs::read(file).unwrap()).unwrap() };
        let blob = |descriptor: &Value, media_type: &str| {
            assert_eq!(descriptor["mediaType"], media_type);
            let digest = descriptor["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap();
            let file = layout.join("blobs/sha256").join(digest);
            assert_eq!(sha256(&file), digest);
            assert_eq!(fs::metadata(&file).unwrap().len(), descriptor["size"].as_u64().unwrap());
            file
        };
        let single = |list: &Value| {
            assert_eq!(list.as_array().unwrap().len(), 1, "{list}");
            list[0].clone()
        };
        assert_eq!(read(&layout.join("oci-layout"))["imageLayoutVersion"], "1.0.0");
        let index = read(&layout.join("index.json"));
        let manifest = read(&blob(&single(&index["manifests"]), "application/vnd.oci.image.manifest.v1+json"));
        let config = read(&blob(&manifest["config"], "application/vnd.oci.image.config.v1+json"));
        let layer = blob(&single(&manifest["layers"]), "application/vnd.oci.image.layer.v1.tar+gzip");
        assert_eq!(files_below(&layout).len(), 5, "three blobs, the index and the version");

        let unpacked = folder.join("layer.tar");
        fs::copy(&layer, folder.join("layer.tar.gz")).unwrap();
        succeed(Command::new("gzip").arg("--decompress").arg(folder.join("layer.tar.gz")));
        assert_eq!(single(&config["rootfs"]["diff_ids"]), format!("sha256:{}", sha256(&unpacked)));
        let content = folder.join("content");
        unpack(&unpacked, &content);
        Self { manifest, config, layer: unpacked, content }
    }
}

/// A folder that dpkg takes for the root of a system.
struct Root {
    folder: PathBuf,
}

impl Root {
    fn new(name: &str) -> Option<Self> {
        if !is_root() && !Command::new("unshare").args(["--map-root-user", "true"]).status().unwrap().success() {
            skipped("dpkg needs root, or a kernel that lets others be root in a namespace");
            return None;
        }
        let folder = new_folder(&format!("root-{name}"));
        for made in ["var/lib/dpkg/info", "var/lib/dpkg/updates", "etc"] {
            fs::create_dir_all(folder.join(made)).unwrap();
        }
        fs::write(folder.join("var/lib/dpkg/status"), "").unwrap();
        Some(Self { folder })
    }

    /// Runs dpkg on this root; the scripts of the package run on it too. What the package depends on is on the real root.
    fn dpkg<const N: usize>(&self, arguments: [impl AsRef<OsStr>; N]) -> String {
        let mut command = Command::new(if is_root() { "dpkg" } else { "unshare" });
        if !is_root() {
            command.args(["--map-root-user", "dpkg"]);
        }
        command.args(["--force-script-chrootless", "--force-depends", "--force-confold", "--log=/dev/null"]);
        command.arg(format!("--root={}", self.folder.display())).args(arguments);
        // Some shells of users have no sbin, which dpkg asks for.
        let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap());
        let output = command.env("PATH", path).output().unwrap();
        assert!(output.status.success(), "{command:?}: {}", text(&output));
        text(&output)
    }

    /// The version of the store that is installed.
    fn version(&self) -> Option<String> {
        let mut query = Command::new("dpkg-query");
        query.arg(format!("--admindir={}", self.path("var/lib/dpkg").display()));
        let output = query.args(["--show", "--showformat=${Status}: ${Version}", "dcr-store"]).output().unwrap();
        output.status.success().then(|| {
            let said = text(&output);
            said.strip_prefix("install ok installed: ").unwrap_or_else(|| panic!("{said}")).to_owned()
        })
    }

    fn path(&self, file: impl AsRef<Path>) -> PathBuf {
        self.folder.join(file)
    }

    fn has(&self, file: &str) -> bool {
        self.path(file).symlink_metadata().is_ok()
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.path(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
    }
}

/// A store that serves. It ends with the test.
struct Running {
    process: Child,
    url: String,
}

impl Running {
    fn start(command: &mut Command, ready: &Path) -> Self {
        let mut process = command.env("DCR_STORE_LOG", "warn").spawn().unwrap();
        let started = Instant::now();
        loop {
            if let Ok(url) = fs::read_to_string(ready) {
                return Self { process, url };
            }
            if let Some(status) = process.try_wait().unwrap() {
                panic!("{command:?} ended: {status}");
            }
            if started.elapsed() > TIMEOUT {
                process.kill().unwrap();
                panic!("{command:?} is not ready");
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// It is ready, and only the credential opens it.
    fn assert_serves(&self, credential: &str) {
        let get = |path: &str, shown: &str| {
            let mut connection = TcpStream::connect(self.url.strip_prefix("http://").unwrap()).unwrap();
            connection.set_read_timeout(Some(TIMEOUT)).unwrap();
            let authorization = format!("authorization: Bearer {shown}");
            write!(connection, "GET {path} HTTP/1.1\r\nhost: store\r\n{authorization}\r\nconnection: close\r\n\r\n")
                .unwrap();
            let mut answer = String::new();
            connection.read_to_string(&mut answer).unwrap();
            answer.split_whitespace().nth(1).unwrap().to_owned()
        };
        let client = "/v1/clients/00000000-0000-4000-8000-000000000000";
        let wrong = "0123456789abcdef0123456789abcdef";
        assert_eq!([get("/readyz", wrong), get(client, wrong), get(client, credential)], ["200", "401", "404"]);
    }

    /// As systemd and container runtimes stop it.
    fn stop(mut self) {
        succeed(Command::new("kill").args(["-TERM", &self.process.id().to_string()]));
        assert!(self.process.wait().unwrap().success());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// The only file of a folder of which this holds.
fn only(folder: &Path, is_it: impl Fn(&str) -> bool) -> PathBuf {
    let names: Vec<String> = files_below(folder).into_iter().filter(|name| is_it(name)).collect();
    let [name] = names.as_slice() else { panic!("{names:?} in {}", folder.display()) };
    folder.join(name)
}

/// A new and empty folder.
fn new_folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    if folder.exists() {
        fs::remove_dir_all(&folder).unwrap();
    }
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn new_credential(file: &Path) -> String {
    let credential = uuid::Uuid::new_v4().simple().to_string();
    fs::write(file, &credential).unwrap();
    credential
}

/// Every file below a folder, by its path in the folder.
fn files_below(folder: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else {
                found.insert(entry.path().strip_prefix(folder).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    found
}

fn unpack(archive: &Path, folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    succeed(Command::new("tar").arg("--extract").arg("--file").arg(archive).arg("--directory").arg(folder));
}

fn sha256(file: &Path) -> String {
    succeed(Command::new("sha256sum").arg(file)).split_whitespace().next().unwrap().to_owned()
}

/// What a command wrote, which must not have failed.
fn succeed(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", text(&output));
    String::from_utf8(output.stdout).unwrap()
}

fn text(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|octets| String::from_utf8_lossy(octets).into_owned()).concat()
}

fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

#[expect(clippy::explicit_write, reason = "the test harness keeps what `eprintln!` says in a test that passes")]
fn skipped(why: &str) {
    writeln!(std::io::stderr(), "SKIPPED: {why}").unwrap();
}
