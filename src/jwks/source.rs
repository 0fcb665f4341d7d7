//! Where a key set is.

use crate::config::{Config, Directory, KeySetUrl};

/// Where a key set is: a URL, and the cluster that reaches it. Only [`Source::of_directory`] and [`Source::of_software`] make one, so
/// that no other URL is ever fetched.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Source {
    pub(super) authority: String,
    pub(super) path: String,
    pub(super) cluster: String,
}

impl Source {
    /// The directory's own key set; `None` only if the configuration's URL is no https URL, which it refuses.
    pub fn of_directory(directory: &Directory) -> Option<Self> {
        Self::new(&directory.jwks_uri, &directory.cluster)
    }

    /// A software's key set, if its host is one the operator listed for the directory (SS-13).
    pub fn of_software(config: &Config, issuer: &str, url: &str) -> Option<Self> {
        let authority = KeySetUrl::parse(url)?.authority;
        let directory = config.directory(issuer)?;
        let host = directory.software_key_sets.iter().find(|host| host.host == authority)?;
        Self::new(url, &host.cluster)
    }

    pub(super) fn new(url: &str, cluster: &str) -> Option<Self> {
        let parsed = KeySetUrl::parse(url)?;
        Some(Self { authority: parsed.authority.to_owned(), path: parsed.path.to_owned(), cluster: cluster.to_owned() })
    }
}
