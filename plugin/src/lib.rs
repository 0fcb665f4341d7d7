//! The module that Envoy loads. It contains only the entry point; `dcr_gate` does the work.
//!
//! It is a crate of its own because a build with link-time optimisation uses the optimisation level of the last crate. This crate is built
//! for speed, and the arithmetic keeps that level. The functions of the other crates keep their own level and stay small.

#[cfg(target_os = "wasi")]
mod entry {
    proxy_wasm::main! {{
        dcr_gate::filter::start();
    }}
}
