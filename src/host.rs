//! What a journey needs from whatever runs it: a clock, calls, work that outlives its caller, what VMs share, counters and a log.
//!
//! The filter implements it over Envoy; [`mock`] implements it in memory, so that the same journeys run in unit tests.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use dcr_jose::Algorithm;
use dcr_policy::{Refusal, Timestamp};
use dcr_store_protocol::is_request_id;

#[cfg(test)]
pub(crate) mod mock;

/// One outbound HTTP call, to an Envoy cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The cluster.
    pub cluster: String,
    /// `:method`.
    pub method: &'static str,
    /// `:authority`.
    pub authority: String,
    /// `:path`.
    pub path: String,
    /// Further headers.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// How long it may take.
    pub timeout: Duration,
}

/// What came back. Envoy answers for an upstream that does not: 503 where it refused, 504 where it was too slow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallResponse {
    /// `:status`, where it was a number.
    pub status: Option<u16>,
    /// The headers, names in lower case.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body.
    pub body: Vec<u8>,
}

impl CallResponse {
    /// The media type, without parameters and in lower case; `None` where the header is missing, repeated or not text.
    pub fn media_type(&self) -> Option<String> {
        let mut values = self.headers.iter().filter(|(name, _)| name == "content-type");
        match (values.next(), values.next()) {
            (Some((_, value)), None) => media_type(value),
            _ => None,
        }
    }
}

/// A media type without its parameters, in lower case (RFC 9110 section 8.3.1).
pub fn media_type(value: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(value).ok()?;
    let essence = text.split(';').next().unwrap_or_default().trim_matches([' ', '\t']).to_ascii_lowercase();
    let is_token =
        |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b));
    essence.split_once('/').is_some_and(|(kind, subtype)| is_token(kind) && is_token(subtype)).then_some(essence)
}

/// A request's id that may be passed on and logged, as [`is_request_id`] says.
pub fn request_id(value: &[u8]) -> Option<&str> {
    std::str::from_utf8(value).ok().filter(|id| is_request_id(id))
}

/// The call could not even be sent: the cluster does not exist, or the host refused it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallNotSent;

impl fmt::Display for CallNotSent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the call could not be sent: check that the cluster exists")
    }
}

impl std::error::Error for CallNotSent {}

/// Work that belongs to nobody in particular.
pub type Background = Pin<Box<dyn Future<Output = ()>>>;

/// What happened, for counters, log and access log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A request was answered as it asked.
    Allowed {
        /// The endpoint's name.
        endpoint: &'static str,
    },
    /// A request of an endpoint of ours was left to the upstream.
    Passed {
        /// The endpoint's name.
        endpoint: &'static str,
    },
    /// A request broke rules that are in shadow mode.
    ShadowDenied {
        /// The endpoint's name.
        endpoint: &'static str,
        /// Why it would have been refused; the first is what the caller would have read.
        refusals: Vec<Refusal>,
    },
    /// A request was refused.
    Denied {
        /// The endpoint's name.
        endpoint: &'static str,
        /// Why.
        refusal: Refusal,
    },
    /// A key set was fetched.
    KeySetFetched,
    /// A key set could not be fetched, or was not one.
    KeySetFetchFailed {
        /// The host it should have come from: one of those the operator listed.
        authority: String,
        /// What was wrong, in the program's own words.
        problem: &'static str,
    },
    /// The store did not answer as its API says; with what was wrong, in the program's own words.
    StoreFailed(&'static str),
    /// A cache was looked into, or had to let go of something.
    Cache(CacheName, CacheEvent),
    /// A signature is about to be checked with one key: the arithmetic that refusals are to do without.
    SignatureCheck(Algorithm),
}

/// The caches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CacheName {
    /// The key sets of this VM, parsed.
    KeySets,
    /// The key sets that the VMs of a process share, as they were fetched.
    SharedKeySets,
    /// The software statements whose signature verified.
    Statements,
    /// The clients at the token endpoint.
    Clients,
}

impl CacheName {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::KeySets, Self::SharedKeySets, Self::Statements, Self::Clients];

    /// As metrics name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::KeySets => "key_sets",
            Self::SharedKeySets => "shared_key_sets",
            Self::Statements => "statements",
            Self::Clients => "clients",
        }
    }
}

/// What happened to a cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CacheEvent {
    /// It had what was looked for, and that could be used.
    Hit,
    /// It had not.
    Miss,
    /// An entry had to go for another.
    Evicted,
}

impl CacheEvent {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Hit, Self::Miss, Self::Evicted];

    /// As metrics name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Miss => "miss",
            Self::Evicted => "evicted",
        }
    }
}

/// A value that the VMs of a process share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shared {
    /// The value.
    pub value: Vec<u8>,
    /// Changes whenever the value is set.
    pub version: u32,
}

/// The surroundings of a journey.
pub trait Host: Clone + 'static {
    /// Unix time in seconds.
    fn now(&self) -> Timestamp;

    /// Sends one call and awaits its response.
    fn call(&self, call: Call) -> impl Future<Output = Result<CallResponse, CallNotSent>>;

    /// Runs work that several requests may wait for, and that goes on when the one that started it is gone.
    fn in_background(&self, work: Background);

    /// Lets about this much time pass.
    fn sleep(&self, time: Duration) -> impl Future<Output = ()>;

    /// A number that differs from VM to VM and from call to call. Not for secrets.
    fn random(&self) -> u64;

    /// A value that all VMs of this process see, and its version; `None` where there is none, or where nothing is shared.
    fn shared(&self, key: &str) -> Option<Shared>;

    /// Sets a value that all VMs of this process see: whatever is there, or only while it is still of the version `replaces`. False where
    /// it is of another version by now. A key that was never set has no version: of several VMs that set it first the last wins.
    fn share(&self, key: &str, value: &[u8], replaces: Option<u32>) -> bool;

    /// Counts and logs an event.
    fn record(&self, event: Event);
}
