//! The records of dcr-gate: registered clients, used `jti` and access tokens, behind a small HTTP API.
//!
//! The gateways decide and the store remembers. It never reads a client's record, and it knows no rule of any ecosystem. It guarantees
//! atomicity: every operation is one transaction. A `jti` is consumed if and only if the operation that carried it succeeded, however many
//! gateways call at the same time. Data that was answered with 201 survives a crash.
//!
//! - [`api`]: the routes, with what each accepts and answers
//! - [`database`]: one function for each operation, each in one transaction, over the database that a URL names
//! - [`model`]: the values that the two exchange, in the shapes of the protocol
//! - [`credential`]: the bearer credential that callers present
//! - [`metrics`]: the metrics for Prometheus
//! - [`purge`]: the task that deletes expired rows
//! - [`server`]: the connections, with their deadlines and their bound
//! - [`spans`]: the spans for a collector of traces
//! - [`clock`]: the source of the current time

pub mod api;
pub mod clock;
pub mod credential;
pub mod database;
pub mod metrics;
pub mod model;
pub mod purge;
pub mod server;
pub mod spans;
#[cfg(test)]
mod test_log;
