//! The settings of the rules: all that a rule may know beside the document it judges. They name no Envoy cluster and no file; the
//! configuration makes them, and a test makes them in a line.

use std::rc::Rc;

use dcr_json::json_struct;

use super::dialect::Dialect;
use super::mode::Modes;
use super::profile::Profile;

/// What the operator and the profile ask for.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The profile, with the operator's own values in it.
    pub profile: Profile,
    /// The directories whose software statements are believed.
    pub directories: Vec<Directory>,
    /// `aud` values a registration request may carry (RQ-03).
    pub registration_audiences: Vec<String>,
    /// `aud` values a client assertion may carry (CA-07).
    pub assertion_audiences: Vec<String>,
    /// What becomes of requests that break a rule.
    pub modes: Rc<Modes>,
    /// Bounds on what callers may send.
    pub limits: Limits,
}

/// A directory: it signs software statements and hosts key sets.
#[derive(Debug, Clone)]
pub struct Directory {
    /// `iss` of its statements.
    pub issuer: String,
    /// How it writes statements.
    pub dialect: Dialect,
    /// The hosts of the key sets that its statements may name (SS-13): each with its port where that is not 443, exactly as in the URLs.
    pub key_set_hosts: Vec<String>,
}

/// Bounds on what callers may send.
#[derive(Debug, Clone)]
pub struct Limits {
    /// The largest request body, in bytes.
    pub body_bytes: usize,
    /// The largest JWT, in bytes.
    pub jwt_bytes: usize,
    /// How deep JSON may nest.
    pub json_depth: usize,
    /// The most redirect URIs of one registration.
    pub redirect_uris: usize,
}

json_struct!(Limits { body_bytes, jwt_bytes, json_depth, redirect_uris } or default);

impl Default for Limits {
    fn default() -> Self {
        Self { body_bytes: 64 * 1024, jwt_bytes: 48 * 1024, json_depth: 16, redirect_uris: 32 }
    }
}

impl Settings {
    /// The settings of a profile alone: no directory, no audience, default limits, every rule enforced.
    pub fn new(profile: Profile) -> Self {
        Self {
            profile,
            directories: Vec::new(),
            registration_audiences: Vec::new(),
            assertion_audiences: Vec::new(),
            modes: Rc::default(),
            limits: Limits::default(),
        }
    }

    /// The settings of a profile and of one directory that writes statements as the profile has them.
    pub fn of_one_directory(profile: Profile, issuer: &str) -> Self {
        let dialect = profile.software_statement.clone();
        let directory = Directory { issuer: issuer.to_owned(), dialect, key_set_hosts: Vec::new() };
        Self { directories: vec![directory], ..Self::new(profile) }
    }

    /// The directory of that issuer, if its statements are believed.
    pub fn directory(&self, issuer: &str) -> Option<&Directory> {
        self.directories.iter().find(|directory| directory.issuer == issuer)
    }

    /// Whether software statements of this issuer are believed. A directory that was taken off the list has no clients any more.
    pub fn trusts(&self, issuer: &str) -> bool {
        self.directory(issuer).is_some()
    }
}
