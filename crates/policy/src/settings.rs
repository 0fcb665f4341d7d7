//! The settings of the rules: everything that a rule may read besides the document. They contain no Envoy cluster and no file. The
//! configuration builds them, and a test builds them in one line.

use std::rc::Rc;

use dcr_json::json_struct;
use dcr_x509::{Certificate, DistinguishedName};

use super::dialect::Dialect;
use super::mode::Modes;
use super::profile::Profile;

/// The demands of the operator and of the profile.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The profile, with the values that the operator replaced.
    pub profile: Profile,
    /// The directories whose software statements are accepted.
    pub directories: Vec<Directory>,
    /// The accepted `aud` values of a registration request (RQ-03).
    pub registration_audiences: Vec<String>,
    /// The accepted `aud` values of a client assertion (CA-07).
    pub assertion_audiences: Vec<String>,
    /// What happens to requests that break a rule.
    pub modes: Rc<Modes>,
    /// Bounds on what callers may send.
    pub limits: Limits,
}

/// A directory: it signs software statements and hosts key sets.
#[derive(Debug, Clone)]
pub struct Directory {
    /// `iss` of its statements.
    pub issuer: String,
    /// The form of its statements.
    pub dialect: Dialect,
    /// The hosts of the key sets that its statements may name (SS-13). Each has its port if it is not 443, exactly as in the URLs.
    pub key_set_hosts: Vec<String>,
    /// The certification authorities of the transport certificates of its software (CB-01). If the list is empty, every authority that
    /// Envoy trusts may have issued them.
    pub certificate_issuers: Vec<CertificateIssuer>,
}

/// A certification authority of a directory. At least one member is present. Each that is present must fit.
#[derive(Debug, Clone)]
pub struct CertificateIssuer {
    /// The distinguished name of the authority.
    pub name: Option<DistinguishedName>,
    /// The identifier of the authority's key, as in the extension authority key identifier (RFC 5280 section 4.2.1.1).
    pub key_identifier: Option<Vec<u8>>,
}

impl CertificateIssuer {
    /// Whether a certificate names this authority as its issuer. Envoy has verified the chain.
    pub fn has_issued(&self, certificate: &Certificate) -> bool {
        let is_named = self.name.as_ref().is_none_or(|name| name.matches(certificate.issuer()));
        let key = self.key_identifier.as_deref();
        is_named && key.is_none_or(|key| certificate.authority_key_identifier() == Some(key))
    }
}

/// Bounds on what callers may send.
#[derive(Debug, Clone)]
pub struct Limits {
    /// The largest request body, in bytes.
    pub body_bytes: usize,
    /// The largest JWT, in bytes.
    pub jwt_bytes: usize,
    /// The deepest nesting of JSON.
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
    /// The settings of a profile without directories and audiences, with default limits. Every rule is enforced.
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

    /// The settings of a profile with one directory, whose statements have the dialect of the profile.
    pub fn of_one_directory(profile: Profile, issuer: &str) -> Self {
        let dialect = profile.software_statement.clone();
        let directory = Directory {
            issuer: issuer.to_owned(),
            dialect,
            key_set_hosts: Vec::new(),
            certificate_issuers: Vec::new(),
        };
        Self { directories: vec![directory], ..Self::new(profile) }
    }

    /// The directory with this issuer. `None` if its statements are not accepted.
    pub fn directory(&self, issuer: &str) -> Option<&Directory> {
        self.directories.iter().find(|directory| directory.issuer == issuer)
    }

    /// Whether software statements of this issuer are accepted. If a directory is removed from the configuration, its clients lose their
    /// access.
    pub fn trusts(&self, issuer: &str) -> bool {
        self.directory(issuer).is_some()
    }
}
