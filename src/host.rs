//! The trait for what a journey needs from its surroundings: a clock, calls, background work, values that VMs share, counters and a log.
//!
//! The filter implements it over Envoy. The module `mock` implements it in memory, so that the same journeys run in unit tests.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use dcr_jose::Algorithm;
use dcr_policy::{Refusal, Timestamp};
use dcr_store_protocol::{is_request_id, is_traceparent};

#[cfg(test)]
pub(crate) mod mock;

/// One outbound HTTP call, to an Envoy cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The Envoy cluster that receives the call.
    pub cluster: String,
    /// `:method`.
    pub method: &'static str,
    /// `:authority`.
    pub authority: String,
    /// `:path`.
    pub path: String,
    /// Other headers.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// The longest time that it may take.
    pub timeout: Duration,
}

/// The response to a call. If the upstream does not answer, Envoy answers for it: 503 if the connection was refused, 504 after the timeout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallResponse {
    /// `:status`; `None` if it is not a number.
    pub status: Option<u16>,
    /// The headers. Their names are in lower case.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body.
    pub body: Vec<u8>,
}

impl CallResponse {
    /// The media type of the body, in lower case and without parameters. `None` if the header is missing, repeated or malformed.
    pub fn media_type(&self) -> Option<String> {
        let mut values = self.headers.iter().filter(|(name, _)| name == "content-type");
        match (values.next(), values.next()) {
            (Some((_, value)), None) => media_type(value),
            _ => None,
        }
    }
}

/// A media type without its parameters, in lower case (RFC 9110 section 8.3.1). `None` if it is malformed.
pub fn media_type(value: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(value).ok()?;
    let essence = text.split(';').next().unwrap_or_default().trim_matches([' ', '\t']).to_ascii_lowercase();
    let is_token =
        |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b));
    essence.split_once('/').is_some_and(|(kind, subtype)| is_token(kind) && is_token(subtype)).then_some(essence)
}

/// The id of a request. `None` if it must not be passed on or logged: see [`is_request_id`].
pub fn request_id(value: &[u8]) -> Option<&str> {
    std::str::from_utf8(value).ok().filter(|id| is_request_id(id))
}

/// The trace that a request belongs to, as its `traceparent` says. `None` if it must not be passed on: see [`is_traceparent`].
pub fn traceparent(value: &[u8]) -> Option<&str> {
    std::str::from_utf8(value).ok().filter(|parent| is_traceparent(parent))
}

/// Why a call could not be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallNotSent {
    /// The host has no such cluster, or does not let this filter call it.
    UnknownCluster,
    /// The host has the cluster and refused the call.
    Refused,
}

impl CallNotSent {
    /// The problem, behind the name of what was called.
    pub fn problem(self) -> &'static str {
        match self {
            Self::UnknownCluster => "could not be called: Envoy has no such cluster",
            Self::Refused => {
                "could not be called: Envoy refused the call; look at the cluster's health and circuit breakers"
            }
        }
    }
}

impl fmt::Display for CallNotSent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the cluster {}", self.problem())
    }
}

impl std::error::Error for CallNotSent {}

/// Work that belongs to no request.
pub type Background = Pin<Box<dyn Future<Output = ()>>>;

/// An event, for counters, the log and the access log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A request was answered successfully.
    Allowed {
        /// The endpoint's name.
        endpoint: &'static str,
    },
    /// A request at one of the gateway's endpoints was left to the upstream.
    Passed {
        /// The endpoint's name.
        endpoint: &'static str,
    },
    /// A request broke rules that are in shadow mode.
    ShadowDenied {
        /// The endpoint's name.
        endpoint: &'static str,
        /// Why it would have been refused. The caller would have received the first.
        refusals: Vec<Refusal>,
    },
    /// A request to a gate in shadow mode went to the upstream before it was judged, because that took too long.
    ShadowTimedOut,
    /// A request was refused.
    Denied {
        /// The endpoint's name.
        endpoint: &'static str,
        /// The reason.
        refusal: Refusal,
    },
    /// A key set was fetched.
    KeySetFetched,
    /// A key set could not be fetched, or the document was not a key set.
    KeySetFetchFailed {
        /// The URL of the key set: a host that the operator listed, and a path in visible ASCII.
        url: String,
        /// The directory, and the software whose key set it is; without control characters.
        owner: String,
        /// The problem. Fixed text of this program, without any input.
        problem: &'static str,
        /// The status of the answer, if there was one.
        status: Option<u16>,
    },
    /// A client authenticated with an assertion that names this audience.
    AssertionAudience(AudienceName),
    /// A registration was accepted, but these members of the request have no meaning here. Each has a likely name behind it. The text has
    /// only letters, digits and the characters `_-:,.`.
    NotUnderstood(String),
    /// The store did not answer as its API demands. The text describes the problem; it is fixed text of this program, without any input.
    StoreFailed(&'static str),
    /// A cache was read, or had to remove an entry.
    Cache(CacheName, CacheEvent),
    /// A signature is about to be checked with one key. Tests and metrics show by it that cheap refusals do not cost a signature check.
    SignatureCheck(Algorithm),
}

/// The names of this server that an assertion can have as its audience.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AudienceName {
    /// The issuer of the metadata.
    Issuer,
    /// The URL of the token endpoint.
    TokenEndpoint,
    /// The URL of the registration endpoint.
    RegistrationEndpoint,
    /// Another name that the operator accepts.
    Other,
}

impl AudienceName {
    /// All names.
    pub const ALL: [Self; 4] = [Self::Issuer, Self::TokenEndpoint, Self::RegistrationEndpoint, Self::Other];

    /// The name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Issuer => "issuer",
            Self::TokenEndpoint => "token_endpoint",
            Self::RegistrationEndpoint => "registration_endpoint",
            Self::Other => "other",
        }
    }
}

/// The caches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CacheName {
    /// The key sets of this VM, parsed.
    KeySets,
    /// The unparsed key sets that the VMs of a process share.
    SharedKeySets,
    /// The software statements whose signature verified.
    Statements,
    /// The clients that the token endpoint uses.
    Clients,
}

impl CacheName {
    /// All caches.
    pub const ALL: [Self; 4] = [Self::KeySets, Self::SharedKeySets, Self::Statements, Self::Clients];

    /// The name in metrics.
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
    /// It had a usable entry.
    Hit,
    /// It had no usable entry.
    Miss,
    /// An entry was removed to make space for another one.
    Evicted,
}

impl CacheEvent {
    /// All events.
    pub const ALL: [Self; 3] = [Self::Hit, Self::Miss, Self::Evicted];

    /// The name in metrics.
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
    /// The version. It changes whenever the value is set.
    pub version: u32,
}

/// What a journey needs from its surroundings.
pub trait Host: Clone + 'static {
    /// Unix time in seconds.
    fn now(&self) -> Timestamp;

    /// Sends one call and awaits its response.
    fn call(&self, call: Call) -> impl Future<Output = Result<CallResponse, CallNotSent>>;

    /// Runs work that several requests may wait for. It continues after the request that started it has ended.
    fn in_background(&self, work: Background);

    /// Waits for about this time.
    fn sleep(&self, time: Duration) -> impl Future<Output = ()>;

    /// A number that differs from VM to VM and from call to call. It is not for secrets.
    fn random(&self) -> u64;

    /// A value that all VMs of this process share, with its version. `None` if it was never set, or if nothing is shared.
    fn shared(&self, key: &str) -> Option<Shared>;

    /// Sets a value that all VMs of this process share. With `replaces`, it is set only if the value still has that version; otherwise the
    /// result is false. A key that was never set has no version: if several VMs set it first, the last one wins.
    fn share(&self, key: &str, value: &[u8], replaces: Option<u32>) -> bool;

    /// Counts and logs an event.
    fn record(&self, event: Event);
}
