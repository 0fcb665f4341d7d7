//! The bounds of the caches: how long and how much they keep.

use std::time::Duration;

use dcr_json::json_struct;

/// How key sets are fetched and kept.
#[derive(Debug, Clone)]
pub struct JwksConfig {
    /// The longest time that one fetch may take.
    pub timeout: Duration,
    /// How long a fetched set is used without another fetch.
    pub max_age: Duration,
    /// How long beyond `max_age` a set is used while its host does not answer.
    pub stale_if_error: Duration,
    /// The shortest time between two fetches that unknown kids cause (JO-19).
    pub refetch_interval: Duration,
    /// How many fetches one host may hold up at a time in each VM, over one cluster. Others wait, so that a slow host leaves room for the
    /// other hosts.
    pub fetches_per_host: usize,
    /// How many key sets each VM keeps.
    pub cached_sets: usize,
    /// How much memory the kept key sets may take in each VM, in bytes.
    pub cached_bytes: usize,
    /// How much memory the VMs of a process may use to share key sets, in bytes. With 0 they share no key sets.
    pub shared_bytes: usize,
    /// The largest set accepted, in bytes.
    pub bytes: usize,
    /// The most keys a set may hold.
    pub keys: usize,
    /// The media types that a set may have, in lower case and without parameters. If the list is empty, the type has no meaning.
    pub media_types: Vec<String>,
}

json_struct!(JwksConfig {
    timeout, max_age, stale_if_error, refetch_interval, fetches_per_host, cached_sets, cached_bytes, shared_bytes, bytes, keys, media_types,
} or default);

impl Default for JwksConfig {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(2),
            max_age: Duration::from_secs(5 * 60),
            stale_if_error: Duration::from_secs(60 * 60),
            refetch_interval: Duration::from_secs(30),
            fetches_per_host: 8,
            cached_sets: 1000,
            cached_bytes: 8 * 1024 * 1024,
            shared_bytes: 64 * 1024 * 1024,
            bytes: 256 * 1024,
            keys: 100,
            media_types: Vec::new(),
        }
    }
}

impl JwksConfig {
    /// The memory that a set takes of `cached_bytes`, in bytes. A 4096-bit RSA key with the values for its arithmetic takes a little less
    /// than 3 KiB. The rest takes at most the length of the document and half a KiB for the entry.
    pub fn weight(bytes: usize, keys: usize) -> usize {
        keys.saturating_mul(3 * 1024).saturating_add(bytes).saturating_add(512)
    }
}

/// The bounds of the caches besides key sets, in each VM.
#[derive(Debug, Clone)]
pub struct CacheConfig {
    /// The most software statements whose verified signature is remembered. With 0, every signature is verified again.
    pub statements: usize,
    /// How long the token endpoint uses a client record without asking the store again. With zero it asks every time.
    pub client_max_age: Duration,
    /// The most clients that the token endpoint keeps.
    pub clients: usize,
    /// How much memory these clients may take, in bytes.
    pub client_bytes: usize,
}

json_struct!(CacheConfig { statements, client_max_age, clients, client_bytes } or default);

impl Default for CacheConfig {
    fn default() -> Self {
        Self { statements: 4096, client_max_age: Duration::from_secs(5), clients: 1000, client_bytes: 4 * 1024 * 1024 }
    }
}
