//! Key sets: fetched once for all who wait, in this VM and in the others of its process; kept for a while; asked for anew before that
//! while is over, and when a signer uses a new key.
//!
//! A fetch belongs to nobody in particular ([`Host::in_background`]): the client that caused it may be gone before it ends, and the
//! others still wait for it.

mod fetch;
mod flight;
mod shared;
mod source;

use std::cell::RefCell;
use std::ops::Deref;
use std::rc::Rc;
use std::time::Duration;

use dcr_jose::jwk::{KeySet, KeySetLimits};
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

/// No key set could be had, neither fetched nor kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeySetUnavailable;

/// A key set as its host published it.
#[derive(Debug)]
pub struct PublishedKeys {
    keys: KeySet,
    digest: [u8; 32],
    document_bytes: usize,
}

impl PublishedKeys {
    /// SHA-256 of the document: another key set has another one.
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

/// The key sets known to this VM.
#[derive(Debug, Clone)]
pub struct KeySets<H> {
    host: H,
    config: Rc<JwksConfig>,
    json_depth: usize,
    entries: Rc<RefCell<Cache<Source, Entry>>>,
    flights: Flights<Option<Held>>,
    shared: Rc<SharedSets<H>>,
}

/// What is known of a source.
#[derive(Debug, Clone, Default)]
struct Entry {
    held: Option<Held>,
    /// When this VM last asked for it, successfully or not.
    attempted_at: Timestamp,
}

/// A key set at hand.
#[derive(Debug, Clone)]
struct Held {
    keys: Rc<PublishedKeys>,
    fetched_at: Timestamp,
    /// From when on whoever uses it has it fetched anew.
    refresh_at: Timestamp,
}

/// How it went to get a newer key set.
enum Brought {
    /// There is one, fetched here or by another VM.
    Newer(Held),
    /// This VM could not fetch one.
    Nothing(Failure),
    /// Another VM could not, and said so.
    NothingElsewhere,
}

/// How long, in seconds, a source that has never answered is left alone after a failed fetch.
const FAILURE_PAUSE: u64 = 2;

/// How long beyond its timeout a fetch may take to end before it counts as lost.
const OVERDUE: Duration = Duration::from_secs(10);

/// How often a VM looks whether another one's fetch has ended.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

impl<H: Host> KeySets<H> {
    /// An empty cache.
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

    /// The key set of `source`: the one at hand while it is fresh, else one that another VM has or a newly fetched one, else the old one
    /// while its host does not answer and it is not too old for that.
    ///
    /// # Errors
    /// [`KeySetUnavailable`] where none of these is to be had.
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
                held = self.join_fetch(source).arrived().await;
            }
        }
        let longest = self.config.max_age.saturating_add(self.config.stale_if_error).as_secs();
        held.filter(|held| self.age(held) < longest).map(|held| held.keys).ok_or(KeySetUnavailable)
    }

    /// A key set of `source` that is newer than `known`, for a signature that `known` cannot verify. Asks at most once per interval, so
    /// that made-up kids cannot make the gateway hammer the directory (JO-19).
    pub async fn newer_than(&self, known: &Rc<PublishedKeys>, source: &Source) -> Option<Rc<PublishedKeys>> {
        let is_newer = |held: &Held| !Rc::ptr_eq(&held.keys, known);
        let at_hand = self.entry(source).held.filter(is_newer).or_else(|| self.look_elsewhere(source).filter(is_newer));
        let newer = match at_hand {
            None if self.may_ask(source, self.config.refetch_interval.as_secs()) => {
                self.join_fetch(source).arrived().await.filter(is_newer)
            }
            at_hand => at_hand,
        };
        newer.map(|held| held.keys)
    }

    /// Has a set that is used near its end fetched anew, while it goes on being used.
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

    /// Whether a fetch may be begun or joined: one is under way here, or for `pause` seconds nobody has tried.
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

    /// Fetches a set, or waits while another VM does; for so long as that may take and no longer.
    async fn bring(&self, source: &Source) -> Brought {
        let known_since = self.entry(source).held.map(|held| held.fetched_at);
        let is_newer = |held: &Held| known_since.is_none_or(|known_since| held.fetched_at > known_since);
        let glances = self.config.timeout.as_millis() / POLL_INTERVAL.as_millis();
        for _ in 0..glances.max(1) {
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
        // Another VM's fetch may have ended between the last look and the claim.
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
                self.shared.release(source, self.host.now(), Outcome::Failed);
                Brought::Nothing(failure)
            }
        }
    }

    fn land(&self, source: &Source, brought: Brought) {
        // Pauses count from the end of an attempt: one that timed out must not be followed by the next at once.
        self.update(source, |entry| entry.attempted_at = self.host.now());
        let held = match brought {
            Brought::Newer(held) => Some(held),
            Brought::NothingElsewhere => self.entry(source).held,
            Brought::Nothing(failure) => {
                let (authority, problem) = (source.authority.clone(), failure.problem);
                self.host.record(Event::KeySetFetchFailed { authority, problem });
                self.entry(source).held
            }
        };
        self.flights.land(source, held);
    }

    /// The set at hand, after a look at what other VMs fetched.
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

    /// Reads a document, wherever it came from, and keeps it as the set that was fetched at this time.
    fn keep(&self, source: &Source, document: &[u8], fetched_at: Timestamp) -> Result<Held, Failure> {
        let digest = Sha256::digest(document).into();
        let unchanged = self.entry(source).held.filter(|held| held.keys.digest == digest);
        let keys = match unchanged {
            Some(held) => held.keys,
            None => {
                let limits =
                    KeySetLimits { bytes: self.config.bytes, keys: self.config.keys, json_depth: self.json_depth };
                let keys = KeySet::parse(document, &limits)
                    .map_err(|_| Failure::new("it is not a JWK set within the limits"))?;
                Rc::new(PublishedKeys { keys, digest, document_bytes: document.len() })
            }
        };
        let held = Held { keys, fetched_at, refresh_at: self.refresh_at(fetched_at) };
        self.update(source, |entry| entry.held = Some(held.clone()));
        Ok(held)
    }

    /// Between 5 and 25 hundredths of its time before it is over, so that neither VMs nor gateways ask all at once.
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

    /// In seconds. A set from the future is as old as it is ahead: the clock was set back.
    fn age(&self, held: &Held) -> u64 {
        self.host.now().abs_diff(held.fetched_at)
    }

    fn is_fresh(&self, held: &Held) -> bool {
        self.age(held) < self.config.max_age.as_secs()
    }

    fn longest_fetch(&self) -> Duration {
        self.config.timeout.saturating_add(OVERDUE)
    }

    fn record(&self, cache: CacheName, event: CacheEvent) {
        self.host.record(Event::Cache(cache, event));
    }
}

#[cfg(test)]
mod tests;
