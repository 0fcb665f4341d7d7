//! The filter: the only module that knows proxy-wasm. It passes requests to the journeys and carries out their decisions in Envoy.

mod configuration;
mod envoy;
mod executor;
mod hostcalls;
mod local_reply;
mod metrics;
mod stream;
mod verify_signature;

pub use self::hostcalls::change_request;

use std::rc::Rc;

use dcr_jose::{es256, rsa};
use dcr_policy::mode::Mode;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{ContextType, LogLevel};

use self::envoy::Envoy;
use self::stream::{Stream, Withholds};
use crate::config::{Config, Headers};
use crate::journey::Gate;

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
    withholds: Withholds,
}

impl Root {
    fn new(context_id: u32) -> Self {
        Self { context_id, gate: None, withholds: Withholds::default() }
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
        if config.headers == Headers::Forward {
            hostcalls::log(
                LogLevel::Warn,
                "dcr-gate: headers forward: the upstream sees the headers of requests that are refused later; docs/configuration.md says when that is safe",
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
        Some(Box::new(Stream::new(context_id, self.gate.clone(), self.withholds.clone())))
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
