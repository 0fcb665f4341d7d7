//! What a database has to do for the store. [`Database`](super::Database) is all that the rest of the program knows.
//!
//! Every operation is one transaction, or has a savepoint of its own in a transaction that it shares: all of it happens, or nothing. It has
//! happened for good when its future is ready. What it reads stays true until it commits, and it reads the clock inside the transaction:
//! a request that waited until its `jti` had expired must not consume it after the purge. What has expired counts as absent, purged or not.
//!
//! `store/tests/store/suite` has the cases that every database must pass.

use std::fmt::Debug;
use std::pin::Pin;

use super::identifiers::NewSecret;
use super::{Counts, Failure, Refusal};
use crate::model::{
    ActiveToken, Client, IssuedToken, Jti, MAX_LIFETIME, NewClient, NewToken, Replacement, WrittenClient,
};

/// An operation that is under way.
pub(super) type Operation<'a, T> = Pin<Box<dyn Future<Output = Result<T, Failure>> + Send + 'a>>;

/// A database that is open. The methods are those of [`Database`](super::Database), which says what each does and how it is refused.
pub(super) trait Backend: Debug + Send + Sync {
    /// Creates clients. Each is refused for itself.
    fn create_clients(&self, every: Vec<ClientToCreate>) -> Operation<'_, Vec<Result<WrittenClient, Refusal>>>;

    /// Reads a client.
    fn client(&self, client_id: String) -> Operation<'_, Client>;

    /// Replaces the record of a client that is at `version`.
    fn replace_client(&self, client_id: String, version: i64, new: Replacement) -> Operation<'_, Client>;

    /// Deletes a client and all its tokens.
    fn delete_client(&self, client_id: String) -> Operation<'_, ()>;

    /// Issues access tokens. Each is refused for itself.
    fn issue_tokens(&self, every: Vec<TokenToIssue>) -> Operation<'_, Vec<Result<IssuedToken, Refusal>>>;

    /// What is known of the token with this digest, if it is active.
    fn introspect(&self, digest: String) -> Operation<'_, Option<ActiveToken>>;

    /// Deletes the token with this digest, whatever its use.
    fn revoke(&self, digest: String) -> Operation<'_, ()>;

    /// Deletes at most `batch` expired `jti` and `batch` expired tokens; returns how many rows went.
    fn purge_expired(&self, batch: u32) -> Operation<'_, usize>;

    /// Succeeds when the database can be written to.
    fn ready(&self) -> Operation<'_, ()>;

    /// Counts what is kept.
    fn counts(&self) -> Operation<'_, Counts>;

    /// Waits for operations that are under way, then closes. Later operations fail with [`Failure::Closed`].
    fn close(&self) -> Operation<'_, ()>;

    /// Does, for as long as the future is polled, what this database needs done beside its operations. By default that is nothing.
    fn housekeeping(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(std::future::ready(()))
    }
}

/// A client that is to be created, with what was drawn for it.
#[derive(Debug)]
pub(super) struct ClientToCreate {
    /// Its id.
    pub(super) client_id: String,
    /// Its registration access token, where one was asked for.
    pub(super) registration_access_token: Option<NewSecret>,
    /// What was asked for.
    pub(super) new: NewClient,
}

/// A token that is to be issued, with what was drawn for it.
#[derive(Debug)]
pub(super) struct TokenToIssue {
    /// The token.
    pub(super) access_token: NewSecret,
    /// What was asked for.
    pub(super) new: NewToken,
}

/// Checks that a `jti` has not expired and does not ask to be kept for too long.
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
