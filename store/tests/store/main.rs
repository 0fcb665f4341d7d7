//! The store as its callers see it: each route, and the real binary that is started, killed and stopped.

#[cfg(test)]
mod clients;
#[cfg(test)]
mod connections;
#[cfg(test)]
mod edges;
#[cfg(test)]
mod openapi;
#[cfg(test)]
mod process;
#[cfg(test)]
mod spans;
#[cfg(test)]
mod sqlite;
#[cfg(test)]
mod suite;
#[cfg(test)]
mod support;
#[cfg(test)]
mod tokens;
