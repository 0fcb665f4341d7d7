//! The trait that each database of the store implements. The rest of the program knows only [`Database`](super::Database).
//!
//! Every operation is one transaction, or has its own savepoint in a shared transaction: everything in it happens, or nothing. When its
//! future is ready, its effect is durable. What it reads stays true until it commits. It reads the clock inside the transaction: a request
//! that waited until its `jti` had expired must not consume it after the purge. Expired rows count as absent, even if they are not purged
//! yet.
//!
//! `store/tests/store/suite` has the cases that every database must pass.

use std::fmt::Debug;
use std::pin::Pin;

use super::identifiers::NewSecret;
use super::{Counts, Failure, Refusal, Waiting};
use crate::model::{
    ActiveToken, Client, IssuedToken, Jti, MAX_LIFETIME, NewClient, NewToken, Replacement, WrittenClient,
};

/// An operation that is running.
pub(super) type Operation<'a, T> = Pin<Box<dyn Future<Output = Result<T, Failure>> + Send + 'a>>;

/// An open database. Its methods are those of [`Database`](super::Database), which documents their effects and errors.
pub(super) trait Backend: Debug + Send + Sync {
    /// Creates clients. Each can be refused on its own.
    fn create_clients(&self, every: Vec<ClientToCreate>) -> Operation<'_, Vec<Result<WrittenClient, Refusal>>>;

    /// Reads a client.
    fn client(&self, client_id: String) -> Operation<'_, Client>;

    /// Replaces the record of a client that is at `version`.
    fn replace_client(&self, client_id: String, version: i64, new: Replacement) -> Operation<'_, Client>;

    /// Deletes a client and all its tokens.
    fn delete_client(&self, client_id: String) -> Operation<'_, ()>;

    /// Issues access tokens. Each can be refused on its own.
    fn issue_tokens(&self, every: Vec<TokenToIssue>) -> Operation<'_, Vec<Result<IssuedToken, Refusal>>>;

    /// The data of the token with this digest, if it is active.
    fn introspect(&self, digest: String) -> Operation<'_, Option<ActiveToken>>;

    /// Deletes the token with this digest, for either use.
    fn revoke(&self, digest: String) -> Operation<'_, ()>;

    /// Deletes at most `batch` `jti` and `batch` tokens that have expired by both clocks. Returns the number of deleted rows.
    fn purge_expired(&self, batch: u32) -> Operation<'_, usize>;

    /// Commits a small write, to prove that the database can be written to. It does not wait behind other operations.
    fn ready(&self) -> Operation<'_, ()>;

    /// Counts the rows.
    fn counts(&self) -> Operation<'_, Counts>;

    /// Counts the operations that wait. It must not wait for the database.
    fn waiting(&self) -> Waiting;

    /// Waits for running operations, then closes. Later operations fail with [`Failure::Closed`].
    fn close(&self) -> Operation<'_, ()>;

    /// Does the work that this database needs beside its operations, as long as the future is polled. By default it does nothing.
    fn housekeeping(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(std::future::ready(()))
    }
}

/// A client to create, with its random values.
#[derive(Debug)]
pub(super) struct ClientToCreate {
    /// Its id.
    pub(super) client_id: String,
    /// Its registration access token, if one was requested.
    pub(super) registration_access_token: Option<NewSecret>,
    /// The request.
    pub(super) new: NewClient,
}

/// A token to issue, with its random values.
#[derive(Debug)]
pub(super) struct TokenToIssue {
    /// The token.
    pub(super) access_token: NewSecret,
    /// The request.
    pub(super) new: NewToken,
}

/// Checks that a `jti` has not expired and need not be kept for too long.
///
/// # Errors
/// [`Refusal::JtiExpired`], [`Refusal::JtiTooFarAhead`].
pub(super) fn check_expiry(jti: &Jti, now: i64) -> Result<(), Refusal> {
    if jti.expires_at < now {
        return Err(Refusal::JtiExpired);
    }
    if jti.expires_at > now.saturating_add(MAX_LIFETIME) {
        return Err(Refusal::JtiTooFarAhead);
    }
    Ok(())
}
