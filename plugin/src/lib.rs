//! The filter as Envoy loads it: its entry point, and nothing else. What it does is `dcr_gate`'s.
//!
//! It is a crate of its own because a build with link-time optimisation takes its level from the last crate: this one is built for speed,
//! which the arithmetic keeps, while the functions of the crates below stay as small as they were told to be.

#[cfg(target_os = "wasi")]
mod entry {
    proxy_wasm::main! {{
        dcr_gate::filter::start();
    }}
}
