//! Envoy's hostcalls, as the filter uses them. They carry octets only. A failure that the SDK reports becomes a return value. The SDK
//! panics on a status that Envoy should never return; Envoy then reloads the VM.

use std::cell::RefCell;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::panic::Location;
use std::rc::Rc;
use std::time::{Duration, UNIX_EPOCH};

use dcr_policy::Timestamp;
use dcr_x509::{Certificate, Thumbprint, xfcc};
use proxy_wasm::hostcalls;
use proxy_wasm::types::{BufferType, LogLevel, MapType, MetricType, Status};

use super::local_reply;
use crate::cache::{Bounds, Cache};
use crate::config::CertificateSource;
use crate::host::{self, Call, CallNotSent, CallResponse, Shared};
use crate::journey::{Answer, Changes, Outcome, TransportCertificate};

/// The longest response to a call that is read, in bytes. It equals the largest `jwks.bytes` that can be configured.
const CALL_RESPONSE_BYTES: usize = 4 * 1024 * 1024;

/// Writes one line to Envoy's log. `message` must hold text of this program only, because input could forge log lines.
pub(super) fn log(level: LogLevel, message: &str) {
    // If the log fails, there is no other place to report it.
    let _ = hostcalls::log(level, message);
}

/// Whether Envoy's log shows level `debug`. If it does not, the caller need not build the line.
pub(super) fn shows_debug() -> bool {
    matches!(hostcalls::get_log_level(), Ok(LogLevel::Trace | LogLevel::Debug))
}

/// Logs where a panic happened. The message of the panic is left out, because it may hold input.
pub(super) fn log_panic(location: Option<&Location<'_>>) {
    let place = location.map(ToString::to_string).unwrap_or_default();
    log(LogLevel::Critical, &format!("dcr-gate panicked at {place}; Envoy reloads the VM"));
}

/// Unix time in seconds. A clock before 1970 reads as 0: every document is then from the future, so no request passes.
pub(super) fn now() -> Timestamp {
    let since = hostcalls::get_current_time().ok().and_then(|now| now.duration_since(UNIX_EPOCH).ok());
    since.map_or(0, |since| since.as_secs())
}

/// The plugin's configuration of `size` bytes, unchanged.
pub(super) fn plugin_configuration(size: usize) -> Vec<u8> {
    buffer(BufferType::PluginConfiguration, size)
}

/// `:path` with its query; `None` if it is missing or not ASCII. Envoy refuses a request that repeats a pseudo-header.
pub(super) fn path() -> Option<String> {
    pseudo_header(":path")
}

/// `:method`; `None` if it is missing or not ASCII.
pub(super) fn method() -> Option<String> {
    pseudo_header(":method")
}

fn pseudo_header(name: &str) -> Option<String> {
    let value = hostcalls::get_map_value_bytes(MapType::HttpRequestHeaders, name).ok().flatten()?;
    String::from_utf8(value).ok().filter(|value| value.is_ascii())
}

/// The request's headers, including the pseudo-headers.
pub(super) fn request_headers() -> Vec<(String, Vec<u8>)> {
    hostcalls::get_map_bytes(MapType::HttpRequestHeaders).unwrap_or_default()
}

/// The request's id; `None` if it must not be passed on.
pub(super) fn request_id() -> Option<String> {
    let id = hostcalls::get_map_value_bytes(MapType::HttpRequestHeaders, "x-request-id").ok().flatten()?;
    host::request_id(&id).map(str::to_owned)
}

/// The request's `traceparent`; `None` if it must not be passed on, or if there are several.
pub(super) fn traceparent() -> Option<String> {
    let first = hostcalls::get_map_value_bytes(MapType::HttpRequestHeaders, "traceparent").ok().flatten()?;
    let parent = host::traceparent(&first)?;
    let number = request_headers().iter().filter(|(name, _)| name == "traceparent").count();
    (number == 1).then(|| parent.to_owned())
}

/// At most `size` bytes of the buffered request body.
pub(super) fn request_body(size: usize) -> Vec<u8> {
    buffer(BufferType::HttpRequestBody, size)
}

/// The response to the call whose callback is running. `body_size` is in bytes.
pub(super) fn call_response(body_size: usize) -> CallResponse {
    let headers = hostcalls::get_map_bytes(MapType::HttpCallResponseHeaders).unwrap_or_default();
    let status = headers
        .iter()
        .find(|(name, _)| name == ":status")
        .and_then(|(_, value)| std::str::from_utf8(value).ok())
        .and_then(|status| status.parse().ok());
    let body = buffer(BufferType::HttpCallResponseBody, body_size.min(CALL_RESPONSE_BYTES));
    CallResponse { status, headers, body }
}

fn buffer(kind: BufferType, size: usize) -> Vec<u8> {
    if size == 0 {
        return Vec::new();
    }
    hostcalls::get_buffer(kind, 0, size).ok().flatten().unwrap_or_default()
}

/// Sends a call. Returns the token of its response.
pub(super) fn dispatch(call: &Call) -> Result<u32, CallNotSent> {
    let mut headers =
        vec![(":method", call.method), (":path", call.path.as_str()), (":authority", call.authority.as_str())];
    headers.extend(call.headers.iter().map(|(name, value)| (*name, value.as_str())));
    let body = (!call.body.is_empty()).then_some(call.body.as_slice());
    // Envoy answers BadArgument only for a cluster that it does not have, or that the filter may not call.
    hostcalls::dispatch_http_call(&call.cluster, headers, body, Vec::new(), call.timeout).map_err(|status| match status
    {
        Status::BadArgument => CallNotSent::UnknownCluster,
        _ => CallNotSent::Refused,
    })
}

/// Answers the request of the effective context.
pub(super) fn answer(answer: Answer, outcome: Outcome) {
    if !local_reply::send(answer, outcome) {
        close();
    }
}

/// Continues the request of the effective context to the upstream.
pub(super) fn resume() {
    if hostcalls::resume_http_request().is_err() {
        close();
    }
}

/// Changes the request before it continues to the upstream. If Envoy refuses a change, the request is closed, because the upstream must not
/// see what was to be removed.
pub fn change_request(changes: &Changes) {
    if change(changes).is_err() {
        close();
    }
}

fn change(Changes { removed_headers, set_headers, body }: &Changes) -> Result<(), Status> {
    const HEADERS: MapType = MapType::HttpRequestHeaders;
    for name in removed_headers {
        hostcalls::remove_map_value(HEADERS, name)?;
    }
    for (name, value) in set_headers {
        hostcalls::set_map_value_bytes(HEADERS, name, Some(value.as_bytes()))?;
    }
    if let Some(body) = body {
        // When a filter replaces the body, Envoy does not update this header.
        hostcalls::set_map_value_bytes(HEADERS, "content-length", Some(body.len().to_string().as_bytes()))?;
        hostcalls::set_buffer(BufferType::HttpRequestBody, 0, usize::MAX, body)?;
    }
    Ok(())
}

/// Ends the request of the effective context without an answer.
pub(super) fn close() {
    let _ = hostcalls::reset_http_request();
}

/// Makes `context_id` the effective context. False if that context no longer exists.
pub(super) fn enter(context_id: u32) -> bool {
    hostcalls::set_effective_context(context_id).is_ok()
}

/// A queue for this VM. The VMs of all workers share their queues, so the name is random.
pub(super) fn register_queue(root: u32) -> Option<u32> {
    hostcalls::register_shared_queue(&format!("dcr-gate.{:016x}.{root}", random())).ok()
}

/// Makes Envoy call the root back soon.
pub(super) fn wake_root(queue: u32) {
    if hostcalls::enqueue_shared_queue(queue, Some(b"work")).is_err() {
        log(LogLevel::Error, "dcr-gate could not wake its root; key sets are not fetched");
    }
}

/// Empties the queue. One entry stands for any amount of work.
pub(super) fn drain_queue(queue: u32) {
    while let Ok(Some(_)) = hostcalls::dequeue_shared_queue(queue) {}
}

/// Makes Envoy call the root of the effective context back at this interval. Zero stops it.
pub(super) fn set_tick(period: Duration) {
    if hostcalls::set_tick_period(period).is_err() {
        log(LogLevel::Error, "dcr-gate was refused a timer");
    }
}

/// A number that differs from call to call and from VM to VM. It is not for secrets.
pub(super) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// Whether the plugin's VM has an id. A VM without one would share data with every other VM without one.
pub(super) fn has_vm_id() -> bool {
    property(&["plugin_vm_id"]).is_some()
}

/// A value that all VMs with this id share.
pub(super) fn shared_data(key: &str) -> Option<Shared> {
    match hostcalls::get_shared_data(key) {
        Ok((Some(value), Some(version))) => Some(Shared { value, version }),
        _ => None,
    }
}

/// Sets a value that all VMs with this id share. With `replaces`, it is set only if the value still has that version. Returns whether it
/// was set.
pub(super) fn share_data(key: &str, value: &[u8], replaces: Option<u32>) -> bool {
    hostcalls::set_shared_data(key, Some(value), replaces).is_ok()
}

/// Defines a counter. `None` if Envoy refuses.
pub(super) fn define_counter(name: &str) -> Option<u32> {
    hostcalls::define_metric(MetricType::Counter, name).ok()
}

/// Adds one to a counter.
pub(super) fn increment(id: u32) {
    let _ = hostcalls::increment_metric(id, 1);
}

/// Sets `wasm.<name>` in the filter state, for the access log.
pub(super) fn set_filter_state(name: &str, value: &str) {
    let _ = hostcalls::set_property(vec![name], Some(value.as_bytes()));
}

/// The transport certificate, from the source that the operator configured.
pub(super) fn transport_certificate(source: &CertificateSource, headers: &[(String, Vec<u8>)]) -> TransportCertificate {
    match source {
        CertificateSource::Connection => certificate_of_connection(),
        CertificateSource::Forwarded { trusted_proxies } => forwarded_certificate(headers, trusted_proxies),
    }
}

thread_local! {
    /// The certificates that came recently, by their digests. A connection brings the same one with every request.
    static CERTIFICATES: RefCell<Cache<Thumbprint, Rc<Certificate>>> = RefCell::new(Cache::new(CERTIFICATES_AT_HAND));
}

/// How many parsed certificates each worker keeps, and about how much memory they may take together.
const CERTIFICATES_AT_HAND: Bounds = Bounds { entries: 256, bytes: 1024 * 1024 };

fn certificate_of_connection() -> TransportCertificate {
    let Some(digest) = connection_digest() else { return TransportCertificate::Absent };
    if let Some(certificate) = CERTIFICATES.with_borrow_mut(|kept| kept.get(&digest).cloned()) {
        return TransportCertificate::Presented(certificate);
    }
    let Some(pem) = property(&["connection", "peer_certificate"]) else {
        log_sometimes(
            LogLevel::Error,
            "certificate out of sight",
            "dcr-gate cannot read connection.peer_certificate: Envoy 1.38 or newer has it; before that, write certificate: { source: forwarded }",
        );
        return TransportCertificate::OutOfSight;
    };
    match Certificate::from_pem(&pem) {
        Ok(certificate) if certificate.thumbprint() == digest => {
            let certificate = Rc::new(certificate);
            // The parsed certificate takes about as much memory as its text.
            CERTIFICATES.with_borrow_mut(|kept| kept.insert(digest, certificate.clone(), pem.len()));
            TransportCertificate::Presented(certificate)
        }
        Ok(_) => TransportCertificate::OutOfSight,
        Err(error) => {
            log_unreadable(&error);
            TransportCertificate::Unreadable
        }
    }
}

/// The right-most element of x-forwarded-client-cert. Its certificate must have the hash that the element states. Envoy must have written
/// the element for this connection, or a trusted proxy must have sent it.
fn forwarded_certificate(headers: &[(String, Vec<u8>)], trusted_proxies: &[Thumbprint]) -> TransportCertificate {
    let Some(connection) = connection_digest() else { return TransportCertificate::Absent };
    let mut values = headers.iter().filter(|(name, _)| name == "x-forwarded-client-cert");
    let (Some((_, header)), None) = (values.next(), values.next()) else { return TransportCertificate::Absent };
    if header.trim_ascii().is_empty() {
        return TransportCertificate::Absent;
    }
    let element = match xfcc::parse(header) {
        Ok(mut elements) => elements.pop().unwrap_or_default(),
        Err(error) => {
            log_unreadable(&error);
            return TransportCertificate::Unreadable;
        }
    };
    let (Some(certificate), Some(hash)) = (element.certificate, element.hash) else {
        return TransportCertificate::Absent;
    };
    let trusted = hash == connection || trusted_proxies.contains(&connection);
    let is_stated = certificate.thumbprint() == hash && trusted;
    if is_stated { TransportCertificate::Presented(Rc::new(certificate)) } else { TransportCertificate::Absent }
}

thread_local! {
    /// The lines that callers can cause, with their states.
    static PACED: RefCell<Vec<Paced>> = const { RefCell::new(Vec::new()) };
}

/// The state of a log line that callers can cause as often as they like.
struct Paced {
    kind: &'static str,
    /// When it was last written, in Unix seconds.
    last: Timestamp,
    /// How often it was left out since then.
    left_out: u32,
}

/// The shortest time between two such lines, in seconds.
const PACE: u64 = 60;

fn log_unreadable(error: &dyn std::error::Error) {
    let line = format!("dcr-gate cannot read a client certificate: {error}");
    log_sometimes(LogLevel::Warn, "certificate unreadable", &line);
}

/// Writes a line that callers can cause. In each worker there is at most one line of a `kind` in a minute. It says how many were left out
/// before.
pub(super) fn log_sometimes(level: LogLevel, kind: &'static str, line: &str) {
    let now = now();
    let left_out = PACED.with_borrow_mut(|paced| match paced.iter_mut().find(|paced| paced.kind == kind) {
        Some(paced) if now.abs_diff(paced.last) < PACE => {
            paced.left_out = paced.left_out.saturating_add(1);
            None
        }
        Some(paced) => {
            paced.last = now;
            Some(std::mem::take(&mut paced.left_out))
        }
        None => {
            paced.push(Paced { kind, last: now, left_out: 0 });
            Some(0)
        }
    });
    match left_out {
        None => {}
        Some(0) => log(level, line),
        Some(more) => log(level, &format!("{line} (and {more} more of this kind since the last such line)")),
    }
}

fn connection_digest() -> Option<Thumbprint> {
    let hex = property(&["connection", "sha256_peer_certificate_digest"])?;
    Thumbprint::from_hex(std::str::from_utf8(&hex).ok()?)
}

fn property(path: &[&str]) -> Option<Vec<u8>> {
    hostcalls::get_property(path.to_vec()).ok().flatten().filter(|value| !value.is_empty())
}
