//! The places that key sets are fetched from.

use std::hash::{Hash, Hasher};

use dcr_policy::url::KeySetUrl;

use crate::config::Config;

/// The place of a key set: a URL, and the Envoy cluster that reaches it. It also knows whose key set it is, for the log. Only
/// [`Source::of_directory`] and [`Source::of_software`] make one, so no other URL is ever fetched.
#[derive(Debug, Clone)]
pub struct Source {
    pub(super) authority: String,
    pub(super) path: String,
    pub(super) cluster: String,
    directory: String,
    software_id: Option<String>,
}

impl PartialEq for Source {
    fn eq(&self, other: &Self) -> bool {
        self.place() == other.place()
    }
}

impl Eq for Source {}

impl Hash for Source {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.place().hash(state);
    }
}

impl Source {
    /// The directory's own key set. `None` if the operator did not list a directory with this issuer.
    pub fn of_directory(config: &Config, issuer: &str) -> Option<Self> {
        let directory = config.key_sets_of(issuer)?;
        Self::new(&directory.jwks_uri, &directory.cluster, issuer, None)
    }

    /// The key set of a software product. `None` unless the operator listed the host of `url` for the directory (SS-13).
    pub fn of_software(config: &Config, issuer: &str, software_id: &str, url: &str) -> Option<Self> {
        let authority = KeySetUrl::parse(url)?.authority;
        let directory = config.key_sets_of(issuer)?;
        let host = directory.software_key_sets.iter().find(|host| host.host == authority)?;
        Self::new(url, &host.cluster, issuer, Some(software_id))
    }

    pub(super) fn new(url: &str, cluster: &str, directory: &str, software_id: Option<&str>) -> Option<Self> {
        let parsed = KeySetUrl::parse(url)?;
        Some(Self {
            authority: parsed.authority.to_owned(),
            path: parsed.path.to_owned(),
            cluster: cluster.to_owned(),
            directory: directory.to_owned(),
            software_id: software_id.map(str::to_owned),
        })
    }

    /// The URL, for the log.
    pub(super) fn url(&self) -> String {
        format!("https://{}{}", self.authority, self.path)
    }

    /// Whose key set it is, for the log. The names are written so that they can contain no line end.
    pub(super) fn owner(&self) -> String {
        match &self.software_id {
            Some(software_id) => format!("software {software_id:?} of directory {:?}", self.directory),
            None => format!("directory {:?}", self.directory),
        }
    }

    /// Whether the other set is fetched from the same host, over the same cluster.
    pub(super) fn has_host_of(&self, other: &Self) -> bool {
        (&self.cluster, &self.authority) == (&other.cluster, &other.authority)
    }

    fn place(&self) -> (&str, &str, &str) {
        (&self.cluster, &self.authority, &self.path)
    }
}
