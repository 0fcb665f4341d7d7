//! The operator's configuration: one document, as JSON or YAML. The profile gives the defaults. Members that are unknown, inconsistent or
//! unsafe are refused at start. The error names the place and the correct value.

mod caching;
mod document;
#[cfg(test)]
mod schema;
pub mod structure;

use std::fmt;
use std::time::Duration;

use dcr_json::Shown;
use dcr_json::{self as json, json_enum, json_struct};
use dcr_policy::profile::{Audience, RequestBody};
use dcr_policy::settings::{Limits, Settings};
use dcr_policy::url::{Issuer, KeySetUrl, is_authority, is_plain_path};
use dcr_x509::Thumbprint;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

pub use self::caching::{CacheConfig, JwksConfig};
use self::document::Document;
use crate::host::AudienceName;

/// The largest configuration that is read, in bytes.
const DOCUMENT_BYTES: usize = 256 * 1024;
const DOCUMENT_DEPTH: usize = 16;

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const MOST_CACHED_BYTES: usize = 1 << 30;

/// A setting with bounds: its path, its value, the least and the most.
type Bounded<T> = (&'static str, fn(&Config) -> T, T, T);

/// The durations whose bounds depend on nothing else.
const TIMES: [Bounded<Duration>; 8] = [
    ("clock_skew", |config| config.settings.profile.clock_skew, Duration::from_secs(10), Duration::from_secs(60)),
    ("store.timeout", |config| config.store.timeout, Duration::from_millis(10), Duration::from_secs(60)),
    ("jwks.timeout", |config| config.jwks.timeout, Duration::from_millis(10), Duration::from_secs(60)),
    ("jwks.max_age", |config| config.jwks.max_age, SECOND, DAY),
    ("jwks.stale_if_error", |config| config.jwks.stale_if_error, Duration::ZERO, Duration::from_secs(7 * 24 * 60 * 60)),
    ("jwks.refetch_interval", |config| config.jwks.refetch_interval, SECOND, DAY),
    ("cache.client_max_age", |config| config.cache.client_max_age, Duration::ZERO, Duration::from_secs(60)),
    (
        "client_assertion.max_lifetime",
        |config| config.settings.profile.client_assertion.max_lifetime,
        Duration::from_secs(60),
        DAY,
    ),
];

/// The sizes and numbers whose bounds depend on nothing else.
const SIZES: [Bounded<usize>; 12] = [
    // A record holds the metadata, and the statement as a JWT. The store accepts 256 KiB. When a record is read, the claims of its statement
    // may be nested 32 deep.
    ("limits.body_bytes", |config| config.settings.limits.body_bytes, 1, 96 * 1024),
    ("limits.jwt_bytes", |config| config.settings.limits.jwt_bytes, 1, 96 * 1024),
    ("limits.json_depth", |config| config.settings.limits.json_depth, 1, 24),
    ("limits.redirect_uris", |config| config.settings.limits.redirect_uris, 1, 1000),
    ("jwks.fetches_per_host", |config| config.jwks.fetches_per_host, 1, 1000),
    ("jwks.cached_sets", |config| config.jwks.cached_sets, 1, 100_000),
    ("jwks.bytes", |config| config.jwks.bytes, 1, 4 * 1024 * 1024),
    ("jwks.keys", |config| config.jwks.keys, 1, 1000),
    ("jwks.shared_bytes", |config| config.jwks.shared_bytes, 0, MOST_CACHED_BYTES),
    ("cache.statements", |config| config.cache.statements, 0, 100_000),
    ("cache.clients", |config| config.cache.clients, 0, 100_000),
    ("cache.client_bytes", |config| config.cache.client_bytes, 0, MOST_CACHED_BYTES),
];

/// The configuration, complete and checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// The part that the rules use.
    pub settings: Settings,
    /// This authorization server's issuer identifier (RFC 8414 section 2).
    pub issuer: Issuer,
    /// The https origin at which callers reach this gateway.
    pub gateway_url: String,
    /// The places where the directories publish their key sets.
    pub directories: Vec<DirectoryKeySets>,
    /// The store of the client records.
    pub store: StoreConfig,
    /// How key sets are fetched and kept.
    pub jwks: JwksConfig,
    /// The bounds of the other caches.
    pub cache: CacheConfig,
    /// SHA-256 of the document. VMs share values only with VMs that have the same configuration.
    pub digest: [u8; 32],
    /// The source of the transport certificate.
    pub certificate: CertificateSource,
    /// Whether the gateway refuses or passes token requests for grants that it does not serve.
    pub other_grants: OtherGrants,
    /// When the upstream gets the headers of a request with a body.
    pub headers: Headers,
    /// Members merged into the metadata document.
    pub discovery: Map<String, Value>,
    /// The names of the values that widen what the standards allow. The filter logs a warning for each at start.
    pub dangers: Vec<String>,
}

/// Where the key sets of a directory are, and the Envoy clusters that reach them.
#[derive(Debug, Clone)]
pub struct DirectoryKeySets {
    /// `iss` of the directory's statements.
    pub issuer: String,
    /// The directory's own key set.
    pub jwks_uri: String,
    /// The Envoy cluster that reaches it.
    pub cluster: String,
    /// The hosts that may publish the key sets named in its statements (SS-13).
    pub software_key_sets: Vec<KeySetHost>,
}

/// A host that key sets may be fetched from.
#[derive(Debug, Clone)]
pub struct KeySetHost {
    /// The host, with the port if it is not 443, exactly as in the statements' URLs.
    pub host: String,
    /// The Envoy cluster that reaches it.
    pub cluster: String,
}

json_struct!(KeySetHost { host, cluster });

/// The store service.
#[derive(Debug, Clone)]
pub struct StoreConfig {
    /// The Envoy cluster that reaches it. Credentials belong on the cluster.
    pub cluster: String,
    /// `:authority` of the calls.
    pub authority: String,
    /// The longest time that one call may take.
    pub timeout: Duration,
}

json_struct!(StoreConfig { cluster, authority = "dcr-store".to_owned(), timeout = Duration::from_secs(2) });

/// The source of the transport certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CertificateSource {
    /// The TLS connection that Envoy terminated.
    Connection,
    /// The right-most element of `x-forwarded-client-cert`. It counts only if Envoy wrote it for this connection, or if the connection's
    /// own certificate belongs to one of the trusted proxies.
    Forwarded {
        /// SHA-256 of the certificates of proxies that may forward.
        trusted_proxies: Vec<Thumbprint>,
    },
}

/// What the gateway does with token requests for grants that it does not serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OtherGrants {
    /// They are refused (CA-20).
    #[default]
    Refuse,
    /// They go to the authorization server behind, which authenticates the client itself.
    Pass,
}

json_enum!(OtherGrants { "refuse" => Refuse, "pass" => Pass });

/// When the upstream gets the headers of a request that has a body and is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Headers {
    /// After the decision. Envoy must have `allow_on_headers_stop_iteration` for that, otherwise it withholds the body from the filter.
    #[default]
    Hold,
    /// At once. The body follows after the decision, and the upstream's answer waits for it.
    Forward,
}

json_enum!(Headers { "hold" => Hold, "forward" => Forward });

/// A fault in a configuration: its place, and the correct value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// Path of the member, such as `directories[0].jwks_uri`; `.` means the whole document.
    pub path: String,
    /// The fault, and what to write instead.
    pub problem: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.problem)
    }
}

impl std::error::Error for ConfigError {}

impl Config {
    /// Reads the configuration from JSON text.
    ///
    /// # Errors
    /// The first fault, with its path.
    pub fn from_json(bytes: &[u8]) -> Result<Self, ConfigError> {
        Self::from_value(Self::parse(bytes)?)
    }

    /// Reads JSON text that is to become a configuration.
    ///
    /// # Errors
    /// The text is not JSON, or it is too large.
    pub fn parse(bytes: &[u8]) -> Result<Value, ConfigError> {
        if bytes.len() > DOCUMENT_BYTES {
            return Err(wrong(".", format!("the configuration is larger than {DOCUMENT_BYTES} bytes")));
        }
        dcr_json::parse(bytes, DOCUMENT_DEPTH).map_err(|error| wrong(".", error.to_string()))
    }

    /// Reads the configuration from a JSON value.
    ///
    /// # Errors
    /// The first fault, with its path.
    pub fn from_value(document: Value) -> Result<Self, ConfigError> {
        let digest = Sha256::digest(document.to_string()).into();
        let document: Document = json::read(&document).map_err(|error| wrong(error.path(), error.problem()))?;
        Ok(Self { digest, ..document.complete()? })
    }

    /// The places where the directory with this issuer publishes its key sets. `None` if the operator did not list such a directory.
    pub fn key_sets_of(&self, issuer: &str) -> Option<&DirectoryKeySets> {
        self.directories.iter().find(|directory| directory.issuer == issuer)
    }

    /// Which name of this server an audience is.
    pub fn name_of(&self, audience: &str) -> AudienceName {
        if audience == self.issuer.as_str() {
            AudienceName::Issuer
        } else if audience == self.token_endpoint() {
            AudienceName::TokenEndpoint
        } else if audience == self.registration_endpoint() {
            AudienceName::RegistrationEndpoint
        } else {
            AudienceName::Other
        }
    }

    /// The URL of the token endpoint, as the metadata states it.
    pub fn token_endpoint(&self) -> String {
        format!("{}{}", self.gateway_url, self.settings.profile.paths.token)
    }

    /// The URL of the registration endpoint, as the metadata states it.
    pub fn registration_endpoint(&self) -> String {
        format!("{}{}", self.gateway_url, self.settings.profile.paths.registration)
    }
}

impl Config {
    fn own_names(&self, audiences: &[Audience]) -> Vec<String> {
        let name = |audience: &Audience| match audience {
            Audience::Issuer => self.issuer.as_str().to_owned(),
            Audience::RegistrationEndpoint => self.registration_endpoint(),
            Audience::TokenEndpoint => self.token_endpoint(),
        };
        audiences.iter().map(name).collect()
    }
}

impl Config {
    fn check(&self) -> Result<(), ConfigError> {
        self.check_paths()?;
        self.check_directories()?;
        self.check_times()?;
        self.check_sizes()?;
        for (path, audiences) in [
            ("registration.audiences", &self.settings.registration_audiences),
            ("client_assertion.audiences", &self.settings.assertion_audiences),
        ] {
            if audiences.is_empty() || audiences.iter().any(String::is_empty) {
                return Err(wrong(
                    path,
                    "name at least one audience, or leave it out: then it is the issuer's own names",
                ));
            }
        }
        if self.store.cluster.is_empty() {
            return Err(wrong("store.cluster", "name the Envoy cluster that reaches the store"));
        }
        if !is_authority(&self.store.authority) {
            return Err(wrong("store.authority", "write a host, with a port if need be"));
        }
        let own = ["issuer", "registration_endpoint", "token_endpoint"];
        match own.iter().find(|member| self.discovery.contains_key(**member)) {
            Some(member) => Err(wrong(&format!("discovery.{member}"), "is made from issuer and paths: leave it out")),
            None => Ok(()),
        }
    }

    fn check_paths(&self) -> Result<(), ConfigError> {
        let paths = &self.settings.profile.paths;
        let named = [("paths.registration", &paths.registration), ("paths.token", &paths.token)];
        let optional = paths.distinguished_name.iter().map(|path| ("paths.distinguished_name", path));
        for (place, path) in named.into_iter().chain(optional) {
            if !is_plain_path(path) {
                return Err(wrong(
                    place,
                    "write a path such as /open-banking/v3.3.0/register: letters, digits, - . _ ~, single slashes, none at the end",
                ));
            }
        }
        let below = |path: &str, parent: &str| path.strip_prefix(parent).is_some_and(|rest| rest.starts_with('/'));
        if paths.token == paths.registration || below(&paths.token, &paths.registration) {
            return Err(wrong("paths.token", "must not be paths.registration or below it: a ClientId would hide it"));
        }
        let name = paths.distinguished_name.as_deref();
        if name
            .is_some_and(|name| name == paths.token || name == paths.registration || below(name, &paths.registration))
        {
            return Err(wrong("paths.distinguished_name", "must not be another endpoint or below paths.registration"));
        }
        if paths.registration.starts_with("/.well-known") || paths.token.starts_with("/.well-known") {
            return Err(wrong("paths", "/.well-known holds the metadata: choose other paths"));
        }
        Ok(())
    }

    fn check_directories(&self) -> Result<(), ConfigError> {
        if self.directories.is_empty() {
            return Err(wrong("directories", "name at least one directory whose software statements are believed"));
        }
        for (i, (directory, rules)) in self.directories.iter().zip(&self.settings.directories).enumerate() {
            let at = |member: &str| format!("directories[{i}].{member}");
            if directory.issuer.is_empty() {
                return Err(wrong(
                    &at("issuer"),
                    "write the iss of the directory's statements, such as OpenBanking Ltd",
                ));
            }
            if self.directories.iter().take(i).any(|other| other.issuer == directory.issuer) {
                return Err(wrong(&at("issuer"), "is listed twice: an issuer has one key set"));
            }
            if KeySetUrl::parse(&directory.jwks_uri).is_none() {
                return Err(wrong(
                    &at("jwks_uri"),
                    "write an https URL, such as https://keystore.example/directory.jwks",
                ));
            }
            if directory.cluster.is_empty() {
                return Err(wrong(&at("cluster"), "name the Envoy cluster that reaches the directory's key set"));
            }
            let dialect = &rules.dialect;
            let names = &dialect.claims;
            if names.key_set_uris.is_empty() && names.key_set.is_none() {
                return Err(wrong(
                    &at("dialect"),
                    "name a claim with the software's keys: in claims.key_set_uris, or in claims.key_set if statements hold the keys",
                ));
            }
            let fetches = !names.key_set_uris.is_empty() || dialect.refuse_revoked_keys;
            if fetches && directory.software_key_sets.is_empty() {
                return Err(wrong(
                    &at("software_key_sets"),
                    "list the hosts of the software's key sets: without one no registration can be verified",
                ));
            }
            let expires = dialect.max_age.is_some() || dialect.required_claims.iter().any(|claim| claim == "exp");
            if dialect.single_use && !expires {
                return Err(wrong(
                    &at("statements.single_use"),
                    "set statements.max_age too: a statement that never expires would have to be remembered for ever",
                ));
            }
            if dialect.modes.is_some() && dialect.claims.mode.is_none() {
                return Err(wrong(
                    &at("statements.modes"),
                    "statements of this dialect do not tell the software's mode",
                ));
            }
            if dialect.refuse_revoked_keys && dialect.claims.revoked_key_set_uri.is_none() {
                return Err(wrong(
                    &at("statements.refuse_revoked_keys"),
                    "statements of this dialect do not tell where revoked keys are listed",
                ));
            }
            if self.settings.profile.registration.body == RequestBody::Json && dialect.certificate_forms.is_empty() {
                return Err(wrong(
                    &at("dialect"),
                    "requests are not signed in this profile, and certificates of this dialect name no software: anybody could register it",
                ));
            }
            for (j, host) in directory.software_key_sets.iter().enumerate() {
                if !is_authority(&host.host) {
                    return Err(wrong(
                        &at(&format!("software_key_sets[{j}].host")),
                        "write a host, with a port if need be",
                    ));
                }
                if host.cluster.is_empty() {
                    return Err(wrong(&at(&format!("software_key_sets[{j}].cluster")), "name an Envoy cluster"));
                }
            }
        }
        Ok(())
    }

    fn check_times(&self) -> Result<(), ConfigError> {
        for (path, value, least, most) in TIMES {
            within(path, value(self), least, most)?;
        }
        let tokens = &self.settings.profile.access_token;
        within("access_token.lifetime", tokens.lifetime, tokens.least_lifetime, tokens.most_lifetime)?;
        for (i, directory) in self.settings.directories.iter().enumerate() {
            if let Some(max_age) = directory.dialect.max_age {
                within(&format!("directories[{i}].statements.max_age"), max_age, SECOND, 365 * DAY)?;
            }
        }
        // The store keeps a jti for one year at most.
        let longest =
            if self.settings.profile.registration.danger_forget_jti_after.is_some() { 36_500 * DAY } else { 365 * DAY };
        within("registration.max_lifetime", self.settings.profile.registration.max_lifetime, 60 * SECOND, longest)
    }

    fn check_sizes(&self) -> Result<(), ConfigError> {
        for (path, value, least, most) in SIZES {
            between(path, value(self), least, most)?;
        }
        let Limits { body_bytes, jwt_bytes, .. } = self.settings.limits;
        if jwt_bytes > body_bytes {
            return Err(wrong("limits.jwt_bytes", "must not exceed limits.body_bytes: such a JWT could never arrive"));
        }
        // A set that cannot be kept would be fetched for every request.
        let jwks = &self.jwks;
        between("jwks.cached_bytes", jwks.cached_bytes, JwksConfig::weight(jwks.bytes, jwks.keys), MOST_CACHED_BYTES)
    }
}

fn override_with<T>(target: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *target = value;
    }
}

fn within(path: &str, value: Duration, least: Duration, most: Duration) -> Result<(), ConfigError> {
    if value < least || value > most {
        return Err(wrong(path, format!("must be between {} and {}", Shown(least), Shown(most))));
    }
    Ok(())
}

fn between(path: &str, value: usize, least: usize, most: usize) -> Result<(), ConfigError> {
    if value < least || value > most {
        return Err(wrong(path, format!("must be between {least} and {most}")));
    }
    Ok(())
}

fn wrong(path: &str, problem: impl Into<String>) -> ConfigError {
    ConfigError { path: path.to_owned(), problem: problem.into() }
}

#[cfg(test)]
mod tests;
