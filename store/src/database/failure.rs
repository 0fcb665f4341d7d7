//! Why an operation did not happen, whatever the database.

use std::error::Error;
use std::sync::Arc;

/// Why an operation was refused; nothing of it has happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No client has this `client_id`.
    #[error("no client has this client_id")]
    UnknownClient,
    /// One of the `jti` was consumed before and has not expired.
    #[error("a jti of this request was used before")]
    Replayed {
        /// Which: its place in `consume_jti`, the first is 0.
        index: usize,
    },
    /// One of the `jti` has expired already: what carried it must not have been accepted.
    #[error("`expires_at` of a jti is in the past; compare the clocks of the gateway and the store")]
    JtiExpired,
    /// One of the `jti` asks to be kept for longer than [`MAX_LIFETIME`](crate::model::MAX_LIFETIME).
    #[error("`expires_at` of a jti is more than 366 days ahead")]
    JtiTooFarAhead,
    /// `single_registration`, and the software has a client.
    #[error("this software is registered already")]
    DuplicateSoftware,
    /// The client was created for another software.
    #[error("the client is a registration of another software")]
    SoftwareMismatch,
    /// The client was updated since the caller read it.
    #[error("the client is at another version; read it again")]
    VersionMismatch,
}

/// Why an operation did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// It was refused: the caller's matter.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The database did not answer as it should, in the operation or in the transaction that it shared with others. The error is the
    /// database's own and is only for the log.
    #[error("the database failed: {0}")]
    Database(Arc<dyn Error + Send + Sync>),
    /// Too many operations waited for the database.
    #[error("too many wait for the database")]
    Overloaded,
    /// The store is stopping.
    #[error("the database is closed")]
    Closed,
    /// A record in the database is not the JSON that was put there.
    #[error("a stored record cannot be read: {0}")]
    Record(#[from] serde_json::Error),
    /// The operating system gave no random bytes.
    #[error("the operating system gave no random bytes: {0}")]
    Randomness(getrandom::Error),
}

/// Why a database could not be opened. The message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// No database of this store has a URL like this.
    #[error(
        "the database must be a SQLite file, written `sqlite:PATH` (as `sqlite:./dcr-store.db`); other databases are not supported"
    )]
    UnsupportedUrl,
    /// The database that the URL names cannot be used.
    #[error("{0}")]
    Unusable(Box<dyn Error + Send + Sync>),
}
