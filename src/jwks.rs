//! Key sets: fetched once for all who wait, kept for a while, asked for again when a signer uses a new key.
//!
//! A fetch belongs to nobody in particular ([`Host::in_background`]): the client that caused it may be gone before it ends, and the
//! others still wait for it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

use crate::config::{Config, Directory, JwksConfig, KeySetUrl};
use crate::host::{Call, Event, Host};
use crate::jose::jwk::{KeySet, KeySetLimits};
use crate::policy::Timestamp;

/// Where a key set is: a URL, and the cluster that reaches it. Only [`Source::of_directory`] and [`Source::of_software`] make one, so
/// that no other URL is ever fetched.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Source {
    authority: String,
    path: String,
    cluster: String,
}

impl Source {
    /// The directory's own key set; `None` only if the configuration's URL is no https URL, which it refuses.
    pub fn of_directory(directory: &Directory) -> Option<Self> {
        Self::new(&directory.jwks_uri, &directory.cluster)
    }

    /// A software's key set, if its host is one the operator listed for the directory (SS-13).
    pub fn of_software(config: &Config, issuer: &str, url: &str) -> Option<Self> {
        let authority = KeySetUrl::parse(url)?.authority;
        let directory = config.directories.iter().find(|directory| directory.issuer == issuer)?;
        let host = directory.software_key_sets.iter().find(|host| host.host == authority)?;
        Self::new(url, &host.cluster)
    }

    fn new(url: &str, cluster: &str) -> Option<Self> {
        let parsed = KeySetUrl::parse(url)?;
        Some(Self { authority: parsed.authority.to_owned(), path: parsed.path.to_owned(), cluster: cluster.to_owned() })
    }
}

/// No key set could be had, neither fetched nor kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeySetUnavailable;

/// The key sets known to this VM.
#[derive(Debug, Clone)]
pub struct KeySets<H> {
    host: H,
    config: Rc<JwksConfig>,
    json_depth: usize,
    entries: Rc<RefCell<HashMap<Source, Entry>>>,
}

#[derive(Debug, Default)]
struct Entry {
    keys: Option<Rc<KeySet>>,
    fetched_at: Timestamp,
    attempted_at: Timestamp,
    used_at: Timestamp,
    in_flight: bool,
    waiting: Vec<Waker>,
}

/// What is known of a source at this moment; times in seconds.
struct AtHand {
    keys: Option<Rc<KeySet>>,
    age: u64,
    since_attempt: u64,
    in_flight: bool,
}

/// Why a fetch brought no key set.
struct Failure {
    problem: &'static str,
    /// The host answered, and says that the set is gone: what was kept must not be used any longer.
    is_withdrawn: bool,
}

/// How long, in seconds, a source that has never answered is left alone after a failed fetch.
const FAILURE_PAUSE: u64 = 2;

/// How long, in seconds, beyond its timeout a fetch may take to end before it counts as lost.
const OVERDUE: u64 = 10;

impl<H: Host> KeySets<H> {
    /// An empty cache.
    pub fn new(host: H, config: &Config) -> Self {
        Self {
            host,
            config: Rc::new(config.jwks.clone()),
            json_depth: config.limits.json_depth,
            entries: Rc::default(),
        }
    }

    /// The key set of `source`: the one at hand while it is fresh, else a newly fetched one, else the old one while its host does not
    /// answer and it is not too old for that.
    ///
    /// # Errors
    /// [`KeySetUnavailable`] where none of these is to be had.
    pub async fn current(&self, source: &Source) -> Result<Rc<KeySet>, KeySetUnavailable> {
        let at_hand = self.at_hand(source);
        if let Some(keys) = at_hand.keys.as_ref().filter(|_| at_hand.age < self.config.max_age.as_secs()) {
            return Ok(keys.clone());
        }
        let pause = if at_hand.keys.is_some() { self.config.refetch_interval.as_secs() } else { FAILURE_PAUSE };
        if at_hand.in_flight || at_hand.since_attempt >= pause {
            self.fetch(source).await;
        }
        let at_hand = self.at_hand(source);
        let longest = self.config.max_age.saturating_add(self.config.stale_if_error).as_secs();
        at_hand.keys.filter(|_| at_hand.age < longest).ok_or(KeySetUnavailable)
    }

    /// A key set of `source` that is newer than `known`, for a signature that `known` cannot verify. Asks at most once per interval, so
    /// that made-up kids cannot make the gateway hammer the directory (JO-19).
    pub async fn newer_than(&self, known: &Rc<KeySet>, source: &Source) -> Option<Rc<KeySet>> {
        let is_newer = |keys: &Rc<KeySet>| !Rc::ptr_eq(keys, known);
        let at_hand = self.at_hand(source);
        if let Some(keys) = at_hand.keys.filter(is_newer) {
            return Some(keys);
        }
        if !at_hand.in_flight && at_hand.since_attempt < self.config.refetch_interval.as_secs() {
            return None;
        }
        self.fetch(source).await;
        self.at_hand(source).keys.filter(is_newer)
    }

    fn at_hand(&self, source: &Source) -> AtHand {
        let now = self.host.now();
        match self.entries.borrow_mut().get_mut(source) {
            Some(entry) => {
                entry.used_at = now;
                AtHand {
                    keys: entry.keys.clone(),
                    age: now.saturating_sub(entry.fetched_at),
                    since_attempt: now.saturating_sub(entry.attempted_at),
                    in_flight: entry.in_flight,
                }
            }
            None => AtHand { keys: None, age: u64::MAX, since_attempt: u64::MAX, in_flight: false },
        }
    }

    /// Joins the fetch in flight, or starts one, and awaits its end.
    async fn fetch(&self, source: &Source) {
        if self.begin(source) {
            let (this, source) = (self.clone(), source.clone());
            self.host.in_background(Box::pin(async move {
                let fetched = this.request(&source).await;
                this.end(&source, fetched);
            }));
        }
        poll_fn(|context| match self.entries.borrow_mut().get_mut(source) {
            Some(entry) if entry.in_flight => {
                entry.waiting.push(context.waker().clone());
                Poll::Pending
            }
            _ => Poll::Ready(()),
        })
        .await;
    }

    /// Whether it falls to the caller to start a fetch.
    fn begin(&self, source: &Source) -> bool {
        let now = self.host.now();
        let mut entries = self.entries.borrow_mut();
        if !entries.contains_key(source) && entries.len() >= self.config.cached_sets {
            make_room(&mut entries);
        }
        let entry = entries.entry(source.clone()).or_default();
        entry.used_at = now;
        // Work that the host lost never ends; whoever comes later must not wait for it too.
        let longest = self.config.timeout.as_secs().saturating_add(OVERDUE);
        let is_lost = now.saturating_sub(entry.attempted_at) > longest;
        if entry.in_flight && !is_lost {
            return false;
        }
        entry.in_flight = true;
        entry.attempted_at = now;
        true
    }

    fn end(&self, source: &Source, fetched: Result<KeySet, Failure>) {
        let mut entries = self.entries.borrow_mut();
        let Some(entry) = entries.get_mut(source) else { return };
        entry.in_flight = false;
        // Pauses count from the end of an attempt: one that timed out must not be followed by the next at once.
        entry.attempted_at = self.host.now();
        match fetched {
            Ok(keys) => {
                entry.keys = Some(Rc::new(keys));
                entry.fetched_at = self.host.now();
                self.host.record(Event::KeySetFetched);
            }
            Err(failure) => {
                if failure.is_withdrawn {
                    entry.keys = None;
                }
                let (authority, problem) = (source.authority.clone(), failure.problem);
                self.host.record(Event::KeySetFetchFailed { authority, problem });
            }
        }
        let waiting = std::mem::take(&mut entry.waiting);
        drop(entries);
        waiting.into_iter().for_each(Waker::wake);
    }

    async fn request(&self, source: &Source) -> Result<KeySet, Failure> {
        let call = Call {
            cluster: source.cluster.clone(),
            method: "GET",
            authority: source.authority.clone(),
            path: source.path.clone(),
            headers: vec![("accept", "application/jwk-set+json, application/json".to_owned())],
            body: Vec::new(),
            timeout: self.config.timeout,
        };
        let failed = |problem| Failure { problem, is_withdrawn: false };
        let response =
            self.host.call(call).await.map_err(|_| failed("the call could not be sent: check the cluster"))?;
        match response.status {
            Some(200) => {}
            Some(404 | 410) => {
                return Err(Failure { problem: "its host says that there is none", is_withdrawn: true });
            }
            Some(503 | 504) => return Err(failed("its host refused the connection or did not answer in time")),
            _ => return Err(failed("its host answered with another status than 200")),
        }
        if !matches!(response.media_type().as_deref(), Some("application/json" | "application/jwk-set+json")) {
            return Err(failed("its content-type is neither application/jwk-set+json nor application/json"));
        }
        let limits = KeySetLimits { bytes: self.config.bytes, keys: self.config.keys, json_depth: self.json_depth };
        KeySet::parse(&response.body, &limits).map_err(|_| failed("it is not a JWK set within the limits"))
    }
}

/// Forgets the set that was used longest ago. One in flight is somebody's; it stays.
fn make_room(entries: &mut HashMap<Source, Entry>) {
    let oldest = entries.iter().filter(|(_, entry)| !entry.in_flight).min_by_key(|(_, entry)| entry.used_at);
    if let Some(source) = oldest.map(|(source, _)| source.clone()) {
        entries.remove(&source);
    }
}

#[cfg(test)]
mod tests;
