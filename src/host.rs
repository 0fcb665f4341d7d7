//! What a journey needs from whatever runs it: a clock, calls, work that outlives its caller, counters and a log.
//!
//! The filter implements it over Envoy; [`mock`] implements it in memory, so that the same journeys run in unit tests.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use crate::policy::{Refusal, Timestamp};

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
    /// A request broke rules that are only watched.
    Watched {
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
}

/// The surroundings of a journey.
pub trait Host: Clone + 'static {
    /// Unix time in seconds.
    fn now(&self) -> Timestamp;

    /// Sends one call and awaits its response.
    fn call(&self, call: Call) -> impl Future<Output = Result<CallResponse, CallNotSent>>;

    /// Runs work that several requests may wait for, and that goes on when the one that started it is gone.
    fn in_background(&self, work: Background);

    /// Counts and logs an event.
    fn record(&self, event: Event);
}
