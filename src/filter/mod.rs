//! The filter: the only module that knows proxy-wasm. It passes requests to the journeys and carries out their decisions in Envoy.

mod configuration;
mod envoy;
mod executor;
mod hostcalls;
mod local_reply;
mod metrics;
mod verify_signature;

pub use self::hostcalls::change_request;

use std::cell::{Cell, OnceCell};
use std::rc::Rc;

use dcr_jose::{es256, rsa};
use dcr_policy::Refusal;
use dcr_policy::catalogue::GW_02;
use dcr_policy::mode::Mode;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType, LogLevel};

use self::envoy::Envoy;
use self::executor::Task;
use crate::config::Config;
use crate::journey::{Body, BodySender, Changes, Decision, Gate, Head, Request, Route};

/// Sets up a VM. Envoy calls the plugin's entry point once for each VM.
pub fn start() {
    proxy_wasm::set_log_level(LogLevel::Info);
    std::panic::set_hook(Box::new(|panic| hostcalls::log_panic(panic.location())));
    proxy_wasm::set_root_context(|context_id| Box::new(Root::new(context_id)));
}

/// One configuration of the filter in one VM.
struct Root {
    context_id: u32,
    gate: Option<Rc<Gate<Envoy>>>,
}

impl Root {
    fn new(context_id: u32) -> Self {
        Self { context_id, gate: None }
    }

    fn configure(&mut self, size: usize) -> Result<(), String> {
        let document = configuration::decode(&hostcalls::plugin_configuration(size))?;
        let config = Config::from_value(document).map_err(|error| error.to_string())?;
        let host = Envoy::new(self.context_id)?;
        hostcalls::log(
            LogLevel::Info,
            &format!(
                "dcr-gate {} configured: profile {}, directories: {}, registration at {}, token at {}, ES256 {}, PS256 {}",
                env!("CARGO_PKG_VERSION"),
                config.settings.profile.name,
                config.directories.len(),
                config.settings.profile.paths.registration,
                config.settings.profile.paths.token,
                es256::choose(verify_signature::es256),
                rsa::Arithmetic::choose(),
            ),
        );
        for danger in &config.dangers {
            hostcalls::log(LogLevel::Warn, &format!("dcr-gate: {danger} widens what the standards allow"));
        }
        if config.settings.modes.general == Mode::Shadow {
            hostcalls::log(
                LogLevel::Warn,
                "dcr-gate: mode shadow: nothing is refused, the upstream serves every request",
            );
        }
        self.gate = Some(Rc::new(Gate::new(config, host)));
        Ok(())
    }
}

impl RootContext for Root {
    fn on_configure(&mut self, size: usize) -> bool {
        match self.configure(size) {
            Ok(()) => true,
            Err(problem) => {
                hostcalls::log(LogLevel::Critical, &format!("dcr-gate configuration refused: {problem}"));
                false
            }
        }
    }

    fn on_queue_ready(&mut self, queue_id: u32) {
        hostcalls::drain_queue(queue_id);
        executor::start_background(self.context_id);
    }

    fn on_tick(&mut self) {
        executor::tick(self.context_id);
    }

    fn create_http_context(&self, context_id: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Stream { context_id, gate: self.gate.clone(), journey: None }))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

impl Context for Root {
    fn on_http_call_response(&mut self, token: u32, _headers: usize, body_size: usize, _trailers: usize) {
        executor::call_answered(token, body_size, self.context_id);
    }
}

/// One request.
struct Stream {
    context_id: u32,
    gate: Option<Rc<Gate<Envoy>>>,
    /// Present if a journey handles the request.
    journey: Option<Journey>,
}

/// The parts of a request's journey that its stream needs.
struct Journey {
    /// Receives the body, as long as the journey may read it.
    body: BodySender,
    resume: Rc<Resume>,
}

/// Continues the request to the upstream. If a callback of the request is running, its return value tells Envoy to continue. Otherwise a
/// hostcall must do it.
#[derive(Default)]
struct Resume {
    is_open: Cell<bool>,
    in_callback: Cell<bool>,
}

impl Resume {
    fn open(&self, changes: &Changes) {
        hostcalls::change_request(changes);
        self.is_open.set(true);
        if !self.in_callback.get() {
            hostcalls::resume();
        }
    }

    /// Runs `work` inside a callback of the request, and returns the action for Envoy.
    fn decide(&self, work: impl FnOnce()) -> Action {
        self.in_callback.set(true);
        work();
        self.in_callback.set(false);
        if self.is_open.get() { Action::Continue } else { Action::Pause }
    }
}

/// Carries out a decision that needs no journey.
fn end_at_once(decision: Decision) -> Action {
    match decision {
        Decision::Answer(answer, outcome) => {
            hostcalls::answer(answer, outcome);
            Action::Pause
        }
        Decision::HandOn(changes) => {
            hostcalls::change_request(&changes);
            Action::Continue
        }
    }
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
            return end_at_once(gate.refuse("registration", Refusal::by(&GW_02).claim("path"), None));
        };
        let (path, query) = match path.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (path.as_str(), None),
        };
        let method = OnceCell::new();
        let ask_for_method = || method.get_or_init(|| hostcalls::method().unwrap_or_default()).clone();
        let endpoint = match gate.routes.find(path, ask_for_method) {
            Route::Pass => return Action::Continue,
            Route::Refuse { endpoint, refusal, allow } => return end_at_once(gate.refuse(endpoint, refusal, allow)),
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
        let resume = Rc::new(Resume::default());
        self.journey = Some(Journey { body: sender, resume: resume.clone() });
        let way_out = resume.clone();
        let work = async move {
            match gate.serve(&endpoint, &request).await {
                Decision::Answer(answer, outcome) => hostcalls::answer(answer, outcome),
                Decision::HandOn(changes) => way_out.open(&changes),
            }
        };
        resume.decide(|| executor::run(Task::Stream(self.context_id), Box::pin(work), self.context_id))
    }

    fn on_http_request_body(&mut self, body_size: usize, end_of_stream: bool) -> Action {
        let Some(Journey { body, resume }) = &self.journey else { return Action::Continue };
        let limit = self.gate.as_ref().map_or(0, |gate| gate.config.settings.limits.body_bytes);
        if body_size > limit {
            body.too_large();
        } else if end_of_stream {
            body.complete(hostcalls::request_body(body_size));
        }
        resume.decide(|| executor::run_ready(self.context_id))
    }

    fn on_http_request_trailers(&mut self, _count: usize) -> Action {
        // Over HTTP/2, a request with trailers ends here. Its body callback never sees the end of the stream.
        let Some(Journey { body, resume }) = &self.journey else { return Action::Continue };
        // Reads one byte more than the limit, to tell a body that just fits from one that was too long before the trailers came.
        let limit = self.gate.as_ref().map_or(0, |gate| gate.config.settings.limits.body_bytes);
        let arrived = hostcalls::request_body(limit.saturating_add(1));
        if arrived.len() > limit {
            body.too_large();
        } else {
            body.complete(arrived);
        }
        resume.decide(|| executor::run_ready(self.context_id))
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
