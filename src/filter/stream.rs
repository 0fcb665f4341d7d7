//! One request, as Envoy hands it over in parts: headers, body, trailers; and what of its response the filter must hold.

use std::cell::{Cell, OnceCell};
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use dcr_policy::Refusal;
use dcr_policy::catalogue::GW_02;
use futures_util::future::{Either, select};
use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::{Action, LogLevel};

use super::envoy::Envoy;
use super::executor::{self, PassedOn, Task};
use super::hostcalls;
use crate::config::Headers;
use crate::host::Host;
use crate::journey::{Answer, Body, BodySender, Changes, Decision, Gate, Head, Outcome, Request, Route};
use crate::shared_once::SharedOnce;

/// How long the filter waits for a body before it asks whether Envoy withholds it, and how long an answer waits for the body's end. A gate
/// in shadow mode waits for nothing longer than a second, so this is shorter: the log then names the fault.
const BODY_WAIT: Duration = Duration::from_millis(800);

/// How often the filter asks whether the body has come, before it lets the headers go ([`Headers::Forward`]).
const FORWARD_POLL: Duration = Duration::from_millis(20);

/// Whether Envoy has withheld a body from this configuration of the filter, and has handed none over since. So an empty body is withheld
/// too, although no byte of it was received.
pub(super) type Withholds = Rc<Cell<bool>>;

/// One request.
pub(super) struct Stream {
    context_id: u32,
    gate: Option<Rc<Gate<Envoy>>>,
    withholds: Withholds,
    /// Present if the request waits for a decision.
    journey: Option<Journey>,
}

/// The parts of a request's journey that its stream needs.
struct Journey {
    /// Receives the body, as long as the journey may read it.
    body: BodySender,
    progress: Rc<Progress>,
}

/// What a stream and its journey tell each other.
#[derive(Default)]
struct Progress {
    /// The gate has answered, or the request goes to the upstream.
    is_over: Cell<bool>,
    /// The request goes to the upstream.
    is_open: Cell<bool>,
    /// A callback of the request is running. Its return value tells Envoy to continue. Otherwise a hostcall must do it.
    in_callback: Cell<bool>,
    /// Envoy has handed over a part of the body.
    body_has_begun: Cell<bool>,
    /// The answer is known, so the body is not read any more.
    discards_body: Cell<bool>,
    /// The upstream has the headers already ([`Headers::Forward`]).
    headers_are_gone: Cell<bool>,
    /// The upstream has answered before the decision, and its response waits.
    holds_response: Cell<bool>,
}

impl Progress {
    /// Continues the request to the upstream.
    fn open(&self, changes: &Changes) {
        self.is_over.set(true);
        if self.headers_are_gone.get() && *changes != Changes::default() {
            // The upstream has the unchanged headers.
            hostcalls::close();
            return;
        }
        hostcalls::change_request(changes);
        self.is_open.set(true);
        if !self.in_callback.get() {
            hostcalls::resume();
        }
        if self.holds_response.get() {
            hostcalls::resume_response();
        }
    }

    /// Envoy hands over a part of the body.
    fn begin_body(&self, withholds: &Withholds) {
        self.body_has_begun.set(true);
        if !self.headers_are_gone.get() {
            withholds.set(false);
        }
    }

    /// Lets the headers go to the upstream. Envoy hands the body over then.
    fn forward_headers(&self) {
        self.headers_are_gone.set(true);
        hostcalls::resume();
    }

    fn answer(&self, answer: Answer, outcome: Outcome) {
        self.is_over.set(true);
        hostcalls::answer(answer, outcome);
    }

    /// Runs `work` inside a callback of the request, and returns the action for Envoy.
    fn decide(&self, work: impl FnOnce()) -> Action {
        self.in_callback.set(true);
        work();
        self.in_callback.set(false);
        if self.is_open.get() { Action::Continue } else { Action::Pause }
    }
}

impl Stream {
    pub(super) fn new(context_id: u32, gate: Option<Rc<Gate<Envoy>>>, withholds: Withholds) -> Self {
        Self { context_id, gate, withholds, journey: None }
    }

    /// Carries out a decision that needs no journey.
    fn end_at_once(&mut self, decision: Decision, gate: &Rc<Gate<Envoy>>, end_of_stream: bool) -> Action {
        match decision {
            Decision::Answer(answer, outcome) if end_of_stream => {
                hostcalls::answer(answer, outcome);
                Action::Pause
            }
            Decision::Answer(answer, outcome) => {
                let (sender, body) = Body::channel();
                let (gate, progress) = (gate.clone(), self.begin(sender));
                let work = async move { answer_after_body(&gate, &body, &progress, answer, outcome).await };
                self.run(work, PassedOn::new())
            }
            Decision::HandOn(changes) => {
                hostcalls::change_request(&changes);
                Action::Continue
            }
        }
    }

    /// From now on the request waits for a decision.
    fn begin(&mut self, body: BodySender) -> Rc<Progress> {
        let progress = Rc::<Progress>::default();
        self.journey = Some(Journey { body, progress: progress.clone() });
        progress
    }

    fn run(&self, work: impl Future<Output = ()> + 'static, passed_on: PassedOn) -> Action {
        let Some(Journey { progress, .. }) = &self.journey else { return Action::Pause };
        progress.decide(|| executor::run(self.context_id, Box::pin(work), passed_on))
    }
}

/// Answers once the body has ended. Over HTTP/2, an answer before that makes Envoy reset the stream behind it, and some clients that still
/// send then lose the answer: curl 7.88 in half of the tries. A body that does not end is not awaited longer than [`BODY_WAIT`]. With
/// [`Headers::Forward`] the filter cannot see the end of a body that it did not ask for, so only one that came with its headers is awaited.
async fn answer_after_body(gate: &Gate<Envoy>, body: &Body, progress: &Progress, answer: Answer, outcome: Outcome) {
    progress.discards_body.set(true);
    if !body.has_ended() {
        match gate.config.headers {
            Headers::Hold => drop(select(pin!(body.read()), pin!(gate.host.sleep(BODY_WAIT))).await),
            Headers::Forward => turn(&gate.host).await,
        }
    }
    progress.answer(answer, outcome);
}

/// Watches whether Envoy hands over the body that it receives. Without `allow_on_headers_stop_iteration` it keeps the body until the
/// headers may continue, and the journey would wait for ever. If it keeps the body, the headers continue ([`Headers::Forward`]), or the
/// journey is told that there will be no body.
async fn watch_body(gate: &Gate<Envoy>, head: &Head, body: &BodySender, progress: &Progress, withholds: &Withholds) {
    let forwards = gate.config.headers == Headers::Forward;
    let (pause, mut waited) = if forwards {
        // Envoy may not be able to keep so much, and would then wait.
        let limit = u64::try_from(gate.config.settings.limits.body_bytes).unwrap_or(u64::MAX);
        if head.content_length().is_some_and(|length| length > limit) {
            body.too_large();
            return;
        }
        // A body that came together with its headers is there in the next turn.
        turn(&gate.host).await;
        (FORWARD_POLL, Duration::ZERO)
    } else {
        // Most bodies come at once. Only for one that does not, Envoy is asked what it has.
        gate.host.sleep(BODY_WAIT).await;
        (BODY_WAIT, BODY_WAIT)
    };
    loop {
        if progress.body_has_begun.get() || !body.is_awaited() {
            return;
        }
        let received = hostcalls::received_body(&head.headers);
        let is_complete = received > 0 && head.content_length().is_none_or(|length| received >= length);
        let is_withheld = received > 0 || withholds.get();
        if is_withheld && (waited >= BODY_WAIT || forwards && is_complete) {
            break;
        }
        gate.host.sleep(pause).await;
        waited = waited.saturating_add(pause);
    }
    withholds.set(true);
    if forwards {
        progress.forward_headers();
        return;
    }
    hostcalls::log_sometimes(
        LogLevel::Critical,
        "body withheld",
        "dcr-gate gets no request bodies: set allow_on_headers_stop_iteration: true in the filter's config (with Istio in an EnvoyFilter, with Envoy Gateway in an EnvoyPatchPolicy), or headers: forward in the filter's configuration",
    );
    body.withheld();
}

/// Waits until Envoy has done what it is doing.
async fn turn(host: &Envoy) {
    let turn = SharedOnce::default();
    let ended = turn.clone();
    host.in_background(Box::pin(async move { ended.set(()) }));
    turn.get().await;
}

impl HttpContext for Stream {
    fn on_http_request_headers(&mut self, _count: usize, end_of_stream: bool) -> Action {
        let Some(gate) = self.gate.clone() else {
            // Envoy starts no stream before on_configure has succeeded. If it ever does, the request is closed.
            hostcalls::close();
            return Action::Pause;
        };
        // Most requests are for the upstream only. Of those, only the path is read.
        let Some(path) = hostcalls::path() else {
            let decision = gate.refuse("registration", Refusal::by(&GW_02).claim("path"), None);
            return self.end_at_once(decision, &gate, end_of_stream);
        };
        let (path, query) = match path.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (path.as_str(), None),
        };
        let method = OnceCell::new();
        let ask_for_method = || method.get_or_init(|| hostcalls::method().unwrap_or_default()).clone();
        let endpoint = match gate.routes.find(path, ask_for_method) {
            Route::Pass => return Action::Continue,
            Route::Refuse { endpoint, refusal, allow } => {
                let decision = gate.refuse(endpoint, refusal, allow);
                return self.end_at_once(decision, &gate, end_of_stream);
            }
            Route::Serve(endpoint) => endpoint,
        };

        let (path, query) = (path.to_owned(), query.map(str::to_owned));
        let method = method.into_inner().unwrap_or_default();
        let headers = hostcalls::request_headers();
        let certificate = hostcalls::transport_certificate(&gate.config.certificate, &headers);
        let (sender, body) = Body::channel();
        if end_of_stream {
            sender.complete(Vec::new());
        }
        let request = Request { head: Head { method, path, query, headers, certificate }, body };
        // The store logs the id, so that an entry in its log can be matched with Envoy's, and its spans belong to the request's trace.
        let origin = request.origin();
        let passed_on = [("x-request-id", origin.request_id), ("traceparent", origin.traceparent)];
        let passed_on = passed_on.into_iter().filter_map(|(name, value)| Some((name, value?.to_owned()))).collect();
        let progress = self.begin(sender.clone());
        let withholds = self.withholds.clone();
        let work = async move {
            let decision = {
                let served = gate.serve(&endpoint, &request);
                let watched = watch_body(&gate, &request.head, &sender, &progress, &withholds);
                match select(pin!(served), pin!(watched)).await {
                    Either::Left((decision, _)) => decision,
                    Either::Right(((), served)) => served.await,
                }
            };
            match decision {
                Decision::Answer(answer, outcome) => {
                    answer_after_body(&gate, &request.body, &progress, answer, outcome).await;
                }
                Decision::HandOn(changes) => progress.open(&changes),
            }
        };
        self.run(work, passed_on)
    }

    fn on_http_request_body(&mut self, body_size: usize, end_of_stream: bool) -> Action {
        let Some(Journey { body, progress }) = &self.journey else { return Action::Continue };
        if progress.is_open.get() {
            return Action::Continue;
        }
        progress.begin_body(&self.withholds);
        let limit = self.gate.as_ref().map_or(0, |gate| gate.config.settings.limits.body_bytes);
        if body_size > limit {
            body.too_large();
        } else if end_of_stream {
            let wanted = if progress.discards_body.get() { 0 } else { body_size };
            body.complete(hostcalls::request_body(wanted));
        }
        progress.decide(|| executor::run_ready(self.context_id))
    }

    fn on_http_request_trailers(&mut self, _count: usize) -> Action {
        // Over HTTP/2, a request with trailers ends here. Its body callback never sees the end of the stream.
        let Some(Journey { body, progress }) = &self.journey else { return Action::Continue };
        if progress.is_open.get() {
            return Action::Continue;
        }
        progress.begin_body(&self.withholds);
        // Reads one byte more than the limit, to tell a body that just fits from one that was too long before the trailers came.
        let limit = self.gate.as_ref().map_or(0, |gate| gate.config.settings.limits.body_bytes);
        let arrived = hostcalls::request_body(limit.saturating_add(1));
        if arrived.len() > limit {
            body.too_large();
        } else if let Some(gate) = self.gate.as_ref().filter(|_| progress.headers_are_gone.get()) {
            // If this callback let the request continue, Envoy would drop the body that it kept: the body and the trailers come here from
            // within the continuation of the headers.
            let body = body.clone();
            gate.host.in_background(Box::pin(async move { body.complete(arrived) }));
        } else {
            body.complete(arrived);
        }
        progress.decide(|| executor::run_ready(self.context_id))
    }

    /// With [`Headers::Forward`] the upstream can answer before the decision. Its response waits then, and the caller gets it only if the
    /// request is handed on. Envoy keeps the rest of the response until its headers may continue, as it kept the request's body. But it
    /// drops what comes of a request that is answered, so the journey does not wait for the body any longer.
    ///
    /// Envoy's own answers about this stream, such as one to a body over its buffer, need no decision.
    fn on_http_response_headers(&mut self, _count: usize, _end_of_stream: bool) -> Action {
        let Some(Journey { body, progress }) = &self.journey else { return Action::Continue };
        if progress.is_over.get() || !progress.headers_are_gone.get() || hostcalls::ends_the_stream() {
            return Action::Continue;
        }
        if body.is_awaited() {
            hostcalls::log_sometimes(
                LogLevel::Error,
                "answered first",
                "dcr-gate: the upstream answered a request before its body came, so the gate could not judge it; with headers: forward, route the gate's endpoints to an upstream that waits for bodies",
            );
            body.cut_off();
            executor::run_ready(self.context_id);
        }
        if progress.is_open.get() {
            return Action::Continue;
        }
        progress.holds_response.set(true);
        Action::Pause
    }
}

impl Context for Stream {
    fn on_http_call_response(&mut self, token: u32, _headers: usize, body_size: usize, _trailers: usize) {
        executor::call_answered(token, body_size, self.context_id);
    }
}

impl Drop for Stream {
    /// Envoy drops the stream when the request has ended.
    fn drop(&mut self) {
        if self.journey.is_some() {
            executor::forget(Task::Stream(self.context_id));
        }
    }
}
