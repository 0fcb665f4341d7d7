//! The reasons why an operation did not happen. They are the same for every database.

use std::error::Error;
use std::sync::Arc;

/// Why an operation was refused. Nothing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No client has this `client_id`.
    #[error("no client has this client_id")]
    UnknownClient,
    /// One of the `jti` was consumed before and has not expired.
    #[error("a jti of this request was used before")]
    Replayed {
        /// The index of the `jti` in `consume_jti`, starting at 0.
        index: usize,
    },
    /// One of the `jti` has expired. The document that carried it must not have been accepted.
    #[error("`expires_at` of a jti is in the past; compare the clocks of the gateway and the store")]
    JtiExpired,
    /// One of the `jti` would have to be kept for longer than [`MAX_LIFETIME`](crate::model::MAX_LIFETIME).
    #[error("`expires_at` of a jti is more than 366 days ahead")]
    JtiTooFarAhead,
    /// `single_registration` is set, and the software has a client already.
    #[error("this software is registered already")]
    DuplicateSoftware,
    /// The client was created for other software.
    #[error("the client is a registration of another software")]
    SoftwareMismatch,
    /// The client was updated since the caller read it.
    #[error("the client is at another version; read it again")]
    VersionMismatch,
}

/// Why an operation did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// It was refused. The reason lies with the caller.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The database failed, in the operation or in the transaction that it shared with others. The error comes from the database and is
    /// only for the log.
    #[error("the database failed: {0}")]
    Database(Arc<dyn Error + Send + Sync>),
    /// Too many operations waited for the database.
    #[error("too many wait for the database")]
    Overloaded,
    /// The database gave no answer in time, as when its disk hangs.
    #[error("the database did not answer in time")]
    Timeout,
    /// The store is stopping.
    #[error("the database is closed")]
    Closed,
    /// A record in the database is not the JSON that was stored.
    #[error("a stored record cannot be read: {0}")]
    Record(#[from] serde_json::Error),
    /// The operating system gave no random bytes.
    #[error("the operating system gave no random bytes: {0}")]
    Randomness(getrandom::Error),
}

impl Failure {
    /// Every word that [`Self::cause`] can have.
    pub const CAUSES: [&str; 6] = ["database", "overloaded", "timeout", "closed", "record", "randomness"];

    /// The cause in one word, for metrics and spans. `None` if the operation was refused: then the reason lies with the caller.
    #[must_use]
    pub fn cause(&self) -> Option<&'static str> {
        let [database, overloaded, timeout, closed, record, randomness] = Self::CAUSES;
        match self {
            Self::Refused(_) => None,
            Self::Database(_) => Some(database),
            Self::Overloaded => Some(overloaded),
            Self::Timeout => Some(timeout),
            Self::Closed => Some(closed),
            Self::Record(_) => Some(record),
            Self::Randomness(_) => Some(randomness),
        }
    }
}

/// Why a database could not be opened. The message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The URL does not belong to a supported database.
    #[error(
        "the database must be a SQLite file, written `sqlite:PATH` (as `sqlite:./dcr-store.db`); other databases are not supported"
    )]
    UnsupportedUrl,
    /// The database that the URL names cannot be used.
    #[error("{0}")]
    Unusable(Box<dyn Error + Send + Sync>),
}
