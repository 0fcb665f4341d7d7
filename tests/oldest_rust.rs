//! `rust-version` in Cargo.toml is a promise: no dependency may need a newer Rust than it names. What the code itself uses of the standard
//! library is clippy's to check (`incompatible_msrv`).
//!
//! A dependency that names no Rust version is not checked here.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "clippy takes helpers beside tests for code"
)]

use std::process::Command;

use dcr_dev::installation::project_folder;
use serde_json::Value;

const PROMISED: &str = env!("CARGO_PKG_RUST_VERSION");

#[test]
fn no_package_needs_a_newer_rust_than_is_promised() {
    let mut needs_newer = Vec::new();
    for package in packages() {
        let is_ours = package["source"].is_null();
        match package["rust_version"].as_str() {
            Some(needed) if is_ours => assert_eq!(needed, PROMISED, "{}", package["name"]),
            Some(needed) if numbers(needed) > numbers(PROMISED) => {
                needs_newer.push(format!("{} {} needs {needed}", package["name"], package["version"]));
            }
            None if is_ours => panic!("{} has no rust-version: write `rust-version.workspace = true`", package["name"]),
            _ => (),
        }
    }
    assert!(needs_newer.is_empty(), "newer than Rust {PROMISED}: {}", needs_newer.join(", "));
}

/// Every package of `Cargo.lock`.
fn packages() -> Vec<Value> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["metadata", "--locked", "--format-version", "1"]).current_dir(project_folder());
    let output = cargo.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap().clone();
    assert!(packages.len() > 100, "{} packages", packages.len());
    packages
}

/// `1.90` and `1.90.0` are the same version.
fn numbers(version: &str) -> [u64; 3] {
    let mut numbers = [0; 3];
    for (number, text) in numbers.iter_mut().zip(version.split('.')) {
        *number = text.parse().unwrap();
    }
    numbers
}

#[test]
fn versions_are_compared_by_their_numbers() {
    assert_eq!(numbers("1.90"), numbers("1.90.0"));
    assert!(numbers("1.100") > numbers("1.99.1"));
}
