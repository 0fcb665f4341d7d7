//! Key sets. A set is fetched once for all requests that wait for it, in this VM and in the other VMs of the process. It is kept for a
//! while. It is fetched again before that time is over, and when a signer uses a new key.
//!
//! A fetch is background work ([`Host::in_background`]). The request that caused it may end first; other requests still wait for the set.

mod fetch;
mod flight;
mod shared;
mod source;

use std::cell::RefCell;
use std::ops::Deref;
use std::rc::Rc;
use std::time::Duration;

use dcr_jose::jwk::{KeySet, KeySetError, KeySetLimits};
use dcr_json::JsonError;
use dcr_policy::Timestamp;
use sha2::{Digest, Sha256};

use self::fetch::{Failure, fetch};
use self::flight::Flights;
use self::shared::{Claim, Outcome, SharedSets};
pub use self::source::Source;
use crate::cache::{Bounds, Cache};
use crate::config::{Config, JwksConfig};
use crate::host::{CacheEvent, CacheName, Event, Host};
use crate::shared_once::SharedOnce;

/// There is no key set to use, and no usable one is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeySetUnavailable {
    /// It could not be fetched. The next attempt may succeed.
    NotFetched,
    /// Its host answers with something else. That lasts until the publisher mends it.
    NotAKeySet,
}

/// A key set as its host published it.
#[derive(Debug)]
pub struct PublishedKeys {
    keys: KeySet,
    digest: [u8; 32],
    document_bytes: usize,
}

impl PublishedKeys {
    /// SHA-256 of the document. It changes whenever the document changes.
    pub fn digest(&self) -> &[u8; 32] {
        &self.digest
    }
}

impl Deref for PublishedKeys {
    type Target = KeySet;

    fn deref(&self) -> &KeySet {
        &self.keys
    }
}

/// The key sets that this VM keeps, and the way to get others.
#[derive(Debug, Clone)]
pub struct KeySets<H> {
    host: H,
    config: Rc<JwksConfig>,
    json_depth: usize,
    entries: Rc<RefCell<Cache<Source, Entry>>>,
    flights: Flights<Option<Held>>,
    shared: Rc<SharedSets<H>>,
}

/// The state of one source in this VM.
#[derive(Debug, Clone, Default)]
struct Entry {
    held: Option<Held>,
    /// When this VM last tried to fetch the set, successfully or not.
    attempted_at: Timestamp,
    /// Whether the last attempt brought something that is not a key set.
    is_malformed: bool,
}

/// A key set that this VM keeps.
#[derive(Debug, Clone)]
struct Held {
    keys: Rc<PublishedKeys>,
    fetched_at: Timestamp,
    /// From this time on, a use of the set starts a fetch of a newer one.
    refresh_at: Timestamp,
}

/// The result of an attempt to get a newer key set.
enum Brought {
    /// A newer set, fetched by this VM or by another one.
    Newer(Held),
    /// This VM tried to fetch a set and failed.
    Nothing(Failure),
    /// Another VM tried to fetch a set, failed, and reported it.
    NothingElsewhere,
}

/// The pause after a failed fetch of a source that has never answered, in seconds.
const FAILURE_PAUSE: u64 = 2;

/// A fetch counts as lost when it has not ended this long after its timeout.
const OVERDUE: Duration = Duration::from_secs(10);

/// How often a VM checks whether it may fetch: whether the fetch of another VM has ended, and whether the host holds up
/// fewer fetches than it may.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

impl<H: Host> KeySets<H> {
    /// No key sets yet. The bounds come from `config.jwks`.
    pub fn new(host: H, config: &Config) -> Self {
        let bounds = Bounds { entries: config.jwks.cached_sets, bytes: config.jwks.cached_bytes };
        Self {
            shared: Rc::new(SharedSets::new(host.clone(), config)),
            host,
            config: Rc::new(config.jwks.clone()),
            json_depth: config.settings.limits.json_depth,
            entries: Rc::new(RefCell::new(Cache::new(bounds))),
            flights: Flights::default(),
        }
    }

    /// The key set of `source`. A kept set is used while it is fresh. Otherwise the set of another VM is used, or a new one is fetched.
    /// While the host of the set does not answer, the old set is used until it is older than `max_age` plus `stale_if_error`.
    ///
    /// # Errors
    /// [`KeySetUnavailable`] if there is no such set.
    pub async fn current(&self, source: &Source) -> Result<Rc<PublishedKeys>, KeySetUnavailable> {
        if let Some(held) = self.entry(source).held.filter(|held| self.is_fresh(held)) {
            self.record(CacheName::KeySets, CacheEvent::Hit);
            self.refresh_ahead(source, &held);
            return Ok(held.keys);
        }
        self.record(CacheName::KeySets, CacheEvent::Miss);
        let mut held = self.look_elsewhere(source);
        if !held.as_ref().is_some_and(|held| self.is_fresh(held)) {
            let pause = if held.is_some() { self.config.refetch_interval.as_secs() } else { FAILURE_PAUSE };
            if self.may_ask(source, pause) {
                held = self.join_fetch(source).get().await;
            }
        }
        let longest = self.config.max_age.saturating_add(self.config.stale_if_error).as_secs();
        let usable = held.filter(|held| self.age(held) < longest).map(|held| held.keys);
        usable.ok_or_else(|| match self.entry(source).is_malformed || self.shared.was_malformed(source) {
            true => KeySetUnavailable::NotAKeySet,
            false => KeySetUnavailable::NotFetched,
        })
    }

    /// A key set of `source` that is newer than `known`, for a signature that `known` cannot verify; `None` if there is no newer one. It
    /// fetches at most once per `refetch_interval`, so that requests with invented kids cannot flood the directory (JO-19).
    pub async fn newer_than(&self, known: &Rc<PublishedKeys>, source: &Source) -> Option<Rc<PublishedKeys>> {
        let is_newer = |held: &Held| !Rc::ptr_eq(&held.keys, known);
        let at_hand = self.entry(source).held.filter(is_newer).or_else(|| self.look_elsewhere(source).filter(is_newer));
        let newer = match at_hand {
            None if self.may_ask(source, self.config.refetch_interval.as_secs()) => {
                self.join_fetch(source).get().await.filter(is_newer)
            }
            at_hand => at_hand,
        };
        newer.map(|held| held.keys)
    }

    /// Starts a fetch of a newer set when `held` is due for it. `held` stays in use meanwhile.
    fn refresh_ahead(&self, source: &Source, held: &Held) {
        let is_due = |held: &Held| self.host.now() >= held.refresh_at;
        if !is_due(held) || self.flights.is_under_way(source) {
            return;
        }
        let may_ask = self.may_ask(source, self.config.refetch_interval.as_secs());
        if may_ask && self.look_elsewhere(source).is_none_or(|held| is_due(&held)) {
            self.join_fetch(source);
        }
    }

    /// Whether a fetch may be started or joined: one is under way in this VM, or no VM has tried for `pause` seconds.
    fn may_ask(&self, source: &Source, pause: u64) -> bool {
        let (entry, now) = (self.entry(source), self.host.now());
        let is_past = |attempt: Timestamp| now.abs_diff(attempt) >= pause;
        let fetched_at = entry.held.map_or(0, |held| held.fetched_at);
        if self.flights.is_under_way(source) {
            return true;
        }
        is_past(entry.attempted_at) && is_past(fetched_at) && self.shared.failed_at(source).is_none_or(is_past)
    }

    /// The fetch under way, or a new one.
    fn join_fetch(&self, source: &Source) -> SharedOnce<Option<Held>> {
        let now = self.host.now();
        let (brings, is_new) = self.flights.join(source, now, self.longest_fetch());
        if is_new {
            self.update(source, |entry| entry.attempted_at = now);
            let (this, source) = (self.clone(), source.clone());
            self.host.in_background(Box::pin(async move {
                let brought = this.bring(&source).await;
                this.land(&source, brought);
            }));
        }
        brings
    }

    /// Fetches a set. While another VM fetches it, waits for that fetch instead, but no longer than `jwks.timeout`.
    async fn bring(&self, source: &Source) -> Brought {
        if !self.begins(source).await {
            return Brought::Nothing(Failure::new("its host holds up as many fetches as jwks.fetches_per_host allows"));
        }
        let known_since = self.entry(source).held.map(|held| held.fetched_at);
        let is_newer = |held: &Held| known_since.is_none_or(|known_since| held.fetched_at > known_since);
        for _ in 0..self.glances() {
            if self.shared.claim(source, self.host.now(), self.longest_fetch()) == Claim::Own {
                break;
            }
            self.host.sleep(POLL_INTERVAL).await;
            if self.shared.is_under_way(source, self.host.now(), self.longest_fetch()) {
                continue;
            }
            if let Some(held) = self.look_elsewhere(source).filter(is_newer) {
                return Brought::Newer(held);
            }
            if self.shared.failed_at(source).is_some() {
                return Brought::NothingElsewhere;
            }
        }
        // The fetch of another VM may have ended between the last look and the claim.
        if let Some(held) = self.look_elsewhere(source).filter(is_newer) {
            self.shared.release(source, self.host.now(), Outcome::Done);
            return Brought::Newer(held);
        }
        let fetched = fetch(&self.host, &self.config, source).await;
        let kept = fetched.and_then(|document| {
            let now = self.host.now();
            let held = self.keep(source, &document, now)?;
            self.shared.put(source, now, Some(&document));
            Ok(held)
        });
        match kept {
            Ok(held) => {
                self.shared.release(source, self.host.now(), Outcome::Done);
                self.host.record(Event::KeySetFetched);
                Brought::Newer(held)
            }
            Err(failure) => {
                if failure.is_withdrawn {
                    self.update(source, |entry| entry.held = None);
                    self.shared.put(source, self.host.now(), None);
                }
                let outcome = if failure.is_lasting { Outcome::Malformed } else { Outcome::Failed };
                self.shared.release(source, self.host.now(), outcome);
                Brought::Nothing(failure)
            }
        }
    }

    /// Waits until the host holds up fewer fetches than it may, but no longer than `jwks.timeout`. Returns whether the fetch begins.
    async fn begins(&self, source: &Source) -> bool {
        let (most, longest) = (self.config.fetches_per_host, self.longest_fetch());
        for _ in 0..self.glances() {
            if self.flights.begin(source, most, self.host.now(), longest) {
                return true;
            }
            self.host.sleep(POLL_INTERVAL).await;
        }
        false
    }

    /// How often a fetch looks whether it may begin, within `jwks.timeout`.
    fn glances(&self) -> u128 {
        (self.config.timeout.as_millis() / POLL_INTERVAL.as_millis()).max(1)
    }

    fn land(&self, source: &Source, brought: Brought) {
        // Pauses count from the end of an attempt, so that a fetch that timed out is not followed by the next one at once.
        let is_malformed = matches!(&brought, Brought::Nothing(failure) if failure.is_lasting);
        self.update(source, |entry| {
            entry.attempted_at = self.host.now();
            entry.is_malformed = is_malformed;
        });
        let held = match brought {
            Brought::Newer(held) => Some(held),
            Brought::NothingElsewhere => self.entry(source).held,
            Brought::Nothing(failure) => {
                let (url, owner, Failure { problem, status, .. }) = (source.url(), source.owner(), failure);
                self.host.record(Event::KeySetFetchFailed { url, owner, problem, status });
                self.entry(source).held
            }
        };
        self.flights.land(source, held);
    }

    /// The kept set, or a newer one that another VM has fetched.
    fn look_elsewhere(&self, source: &Source) -> Option<Held> {
        let held = self.entry(source).held;
        let is_newer = |fetched_at| held.as_ref().is_none_or(|held| fetched_at > held.fetched_at);
        let adopted = match self.shared.get(source) {
            Some(set) if is_newer(set.fetched_at) => match set.document {
                Some(document) => self.keep(source, &document, set.fetched_at).ok(),
                None => {
                    self.update(source, |entry| entry.held = None);
                    return None;
                }
            },
            _ => None,
        };
        if self.shared.is_used() {
            let found = if adopted.is_some() { CacheEvent::Hit } else { CacheEvent::Miss };
            self.record(CacheName::SharedKeySets, found);
        }
        adopted.or(held)
    }

    /// Reads a document that this VM or another one fetched at `fetched_at`, and keeps it.
    fn keep(&self, source: &Source, document: &[u8], fetched_at: Timestamp) -> Result<Held, Failure> {
        let digest = Sha256::digest(document).into();
        let unchanged = self.entry(source).held.filter(|held| held.keys.digest == digest);
        let keys = match unchanged {
            Some(held) => held.keys,
            None => {
                let limits =
                    KeySetLimits { bytes: self.config.bytes, keys: self.config.keys, json_depth: self.json_depth };
                let keys = KeySet::parse(document, &limits).map_err(|error| Failure::not_a_key_set(problem(error)))?;
                Rc::new(PublishedKeys { keys, digest, document_bytes: document.len() })
            }
        };
        let held = Held { keys, fetched_at, refresh_at: self.refresh_at(fetched_at) };
        self.update(source, |entry| entry.held = Some(held.clone()));
        Ok(held)
    }

    /// At a random point between 75 % and 95 % of `max_age`, so that VMs and gateways do not all fetch at the same time.
    fn refresh_at(&self, fetched_at: Timestamp) -> Timestamp {
        let max_age = self.config.max_age.as_secs();
        let spread = self.host.random().checked_rem(max_age / 5 + 1).unwrap_or_default();
        fetched_at.saturating_add(max_age.saturating_sub(max_age / 20).saturating_sub(spread))
    }

    fn entry(&self, source: &Source) -> Entry {
        self.entries.borrow_mut().get(source).cloned().unwrap_or_default()
    }

    fn update(&self, source: &Source, change: impl FnOnce(&mut Entry)) {
        let mut entry = self.entry(source);
        change(&mut entry);
        let weight = entry.held.as_ref().map_or_else(
            || JwksConfig::weight(0, 0),
            |held| JwksConfig::weight(held.keys.document_bytes, held.keys.usable()),
        );
        let evicted = self.entries.borrow_mut().insert(source.clone(), entry, weight);
        (0..evicted).for_each(|_| self.record(CacheName::KeySets, CacheEvent::Evicted));
    }

    /// In seconds. If the clock was set back, a set can come from the future. Its age is then the distance to it, so that it expires too.
    fn age(&self, held: &Held) -> u64 {
        self.host.now().abs_diff(held.fetched_at)
    }

    fn is_fresh(&self, held: &Held) -> bool {
        self.age(held) < self.config.max_age.as_secs()
    }

    fn longest_fetch(&self) -> Duration {
        // It waits for its turn, then for the other VMs or its host.
        self.config.timeout.saturating_mul(2).saturating_add(OVERDUE)
    }

    fn record(&self, cache: CacheName, event: CacheEvent) {
        self.host.record(Event::Cache(cache, event));
    }
}

/// What is wrong with a document that is not a key set.
fn problem(error: KeySetError) -> &'static str {
    match error {
        KeySetError::TooLong => "it is longer than jwks.bytes",
        KeySetError::TooManyKeys => "it has more keys than jwks.keys",
        KeySetError::KeysMissing => "it is JSON but not a JWK set: an object with an array keys",
        KeySetError::Json(JsonError::NotAnObject) => "it is JSON but not an object, so it is not a JWK set",
        KeySetError::Json(JsonError::DuplicateMember) => "an object in it has two members of one name",
        KeySetError::Json(JsonError::TooDeep) => "it is nested deeper than limits.json_depth",
        KeySetError::Json(JsonError::NotUtf8 | JsonError::Syntax) => "it is not JSON",
    }
}

#[cfg(test)]
mod tests;
