//! The places that key sets are fetched from.

use dcr_policy::url::KeySetUrl;

use crate::config::Config;

/// The place of a key set: a URL, and the Envoy cluster that reaches it. Only [`Source::of_directory`] and [`Source::of_software`] make
/// one, so no other URL is ever fetched.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Source {
    pub(super) authority: String,
    pub(super) path: String,
    pub(super) cluster: String,
}

impl Source {
    /// The directory's own key set. `None` if the operator did not list a directory with this issuer.
    pub fn of_directory(config: &Config, issuer: &str) -> Option<Self> {
        let directory = config.key_sets_of(issuer)?;
        Self::new(&directory.jwks_uri, &directory.cluster)
    }

    /// The key set of a software product. `None` unless the operator listed the host of `url` for the directory (SS-13).
    pub fn of_software(config: &Config, issuer: &str, url: &str) -> Option<Self> {
        let authority = KeySetUrl::parse(url)?.authority;
        let directory = config.key_sets_of(issuer)?;
        let host = directory.software_key_sets.iter().find(|host| host.host == authority)?;
        Self::new(url, &host.cluster)
    }

    pub(super) fn new(url: &str, cluster: &str) -> Option<Self> {
        let parsed = KeySetUrl::parse(url)?;
        Some(Self { authority: parsed.authority.to_owned(), path: parsed.path.to_owned(), cluster: cluster.to_owned() })
    }
}
