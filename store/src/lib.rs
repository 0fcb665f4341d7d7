//! The record of dcr-gate: registered clients, used `jti` and access tokens, behind a small HTTP API.
//!
//! The gateways decide, the store remembers: it never looks into a client's record and knows no rule of any ecosystem. What it
//! promises is atomicity. Every operation is one transaction, so a `jti` is consumed if and only if what it was consumed for
//! happened, however many gateways ask at once, and what was answered 201 survives a crash.
//!
//! - [`api`]: the routes, what each takes and answers
//! - [`database`]: one function for each operation, one transaction each, over the database that a URL names
//! - [`model`]: the values that pass between the two, in the shapes of the protocol
//! - [`credential`]: the bearer credential that callers show
//! - [`metrics`]: what Prometheus reads
//! - [`purge`]: the task that forgets what has expired
//! - [`clock`]: where the time comes from

pub mod api;
pub mod clock;
pub mod credential;
pub mod database;
pub mod metrics;
pub mod model;
pub mod purge;
