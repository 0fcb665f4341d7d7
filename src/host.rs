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

/// The response to a call. If the upstream does not answer, Envoy answers for it: 503 if the connection was refused, 504 after the timeout, 502
/// if the upstream does not speak HTTP. If the connection ends inside an answer, there is no status and nothing else.
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

/// The texts of Envoy's own answers to calls, and what each means, as text behind the name of what was called. The first that is found counts.
/// An answer of the upstream itself could have the same text, so nothing depends on it but a log line.
const NO_ANSWER: [(&str, &str); 9] = [
    (
        "no healthy upstream",
        "did not answer: its cluster has no healthy host, or the name of its host does not resolve",
    ),
    ("upstream request timeout", "did not answer in time"),
    ("reset reason: overflow", "did not answer: a circuit breaker of its cluster allows no more calls"),
    ("TLS_error", "did not answer: the TLS handshake failed, see cluster.<name>.ssl in the statistics of Envoy"),
    ("reset reason: connection timeout", "did not answer: no connection within connect_timeout of its cluster"),
    ("Connection refused", "did not answer: it refused the connection"),
    (
        "connection failure",
        "did not answer: no connection to it; it refuses, cannot be reached, or its TLS does not verify",
    ),
    ("reset reason: connection termination", "did not answer: it closed the connection before the answer"),
    ("reset reason:", "did not answer: it reset the call, or what it sent is not HTTP"),
];

/// How much of a response is searched for [`NO_ANSWER`], in bytes.
const NO_ANSWER_BYTES: usize = 512;

impl CallResponse {
    /// Why the call got no answer, if Envoy answered it: text of this program, behind the name of what was called. `None` if the upstream
    /// itself answered.
    pub fn no_answer(&self) -> Option<&'static str> {
        let Some(status) = self.status else {
            return Some(
                "did not answer to the end: the connection ended inside the answer, or the answer is too large",
            );
        };
        let cannot_serve = matches!(status, 503 | 504);
        // Envoy writes its own answers as text/plain. The store writes JSON, and so do hosts of key sets.
        if self.media_type().is_some_and(|media_type| media_type != "text/plain") {
            return cannot_serve.then_some("answered that it cannot serve now (503 or 504)");
        }
        let start = self.body.get(..NO_ANSWER_BYTES).unwrap_or(&self.body);
        let is_in = |text: &str| start.windows(text.len()).any(|window| window == text.as_bytes());
        let known = || NO_ANSWER.iter().find(|(text, _)| is_in(text)).map(|(_, meaning)| *meaning);
        match status {
            502 => known(),
            _ if cannot_serve => known().or(Some("refused the connection or did not answer in time")),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, media_type: &str, body: &str) -> CallResponse {
        let headers = vec![("content-type".to_owned(), media_type.as_bytes().to_vec())];
        CallResponse { status: Some(status), headers, body: body.as_bytes().to_vec() }
    }

    /// The texts are those of Envoy 1.40. Older versions add the reason of a failure of the transport.
    #[test]
    fn an_answer_of_envoy_itself_says_why_there_is_no_other() {
        let reset = "upstream connect error or disconnect/reset before headers. ";
        for (status, body, meaning) in [
            (503, "no healthy upstream".to_owned(), "no healthy host"),
            (504, "upstream request timeout".to_owned(), "did not answer in time"),
            (503, format!("{reset}reset reason: overflow"), "circuit breaker"),
            (
                503,
                format!(
                    "{reset}reset reason: remote connection failure, transport failure reason: delayed connect error: Connection refused"
                ),
                "refused the connection",
            ),
            (
                503,
                format!(
                    "{reset}retried and the latest reset reason: remote connection failure, transport failure reason: TLS_error:|268435581:SSL routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED"
                ),
                "TLS handshake",
            ),
            (503, format!("{reset}reset reason: connection timeout"), "connect_timeout"),
            (503, format!("{reset}reset reason: connection termination"), "closed the connection"),
            (503, format!("{reset}reset reason: remote connection failure"), "no connection to it"),
            (502, format!("{reset}reset reason: protocol error"), "is not HTTP"),
            (503, String::new(), "refused the connection or did not"),
            (503, format!("{} no healthy upstream", "x".repeat(NO_ANSWER_BYTES)), "refused the connection or did not"),
        ] {
            let told = answer(status, "text/plain", &body).no_answer();
            assert!(told.is_some_and(|told| told.contains(meaning)), "{body}: {told:?}");
        }
    }

    #[test]
    fn an_answer_of_the_upstream_is_told_as_such() {
        let own = answer(503, "application/json", "no healthy upstream").no_answer();
        assert!(own.is_some_and(|told| told.contains("cannot serve")), "{own:?}");
        for status in [200, 404, 500] {
            assert_eq!(answer(status, "text/plain", "no healthy upstream").no_answer(), None);
        }
        assert_eq!(answer(502, "text/plain", "Bad Gateway").no_answer(), None);
        assert_eq!(answer(502, "application/json", "no healthy upstream").no_answer(), None);
        let broken = CallResponse { status: None, headers: Vec::new(), body: Vec::new() };
        assert!(broken.no_answer().is_some_and(|told| told.contains("ended inside")));
    }
}
