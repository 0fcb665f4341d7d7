//! The database of the store. The rest of the program knows only [`Database`]. The URL selects the database behind it (`backend` is the
//! trait that each implements, and `sqlite` implements it).

mod backend;
mod failure;
mod identifiers;
mod sqlite;

use std::borrow::Cow;
use std::sync::Arc;

use self::backend::{Backend, ClientToCreate, TokenToIssue};
pub use self::failure::{Failure, OpenError, Refusal};
use self::identifiers::{NewSecret, digest, new_client_id};
use self::sqlite::Sqlite;
use crate::clock::Clock;
use crate::model::{ActiveToken, Client, IssuedToken, NewClient, NewToken, Replacement, WrittenClient};

/// A handle to the database. It is cheap to clone.
#[derive(Debug, Clone)]
pub struct Database(Arc<dyn Backend>);

/// The URL of a database without the user and the password that it may hold, for the log and for errors.
///
/// A password should have its `/` and `@` escaped. For one that has not, everything up to the last `@` is removed.
#[must_use]
pub fn without_userinfo(url: &str) -> Cow<'_, str> {
    let Some((scheme, rest)) = url.split_once("://") else { return url.into() };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    match rest.rsplit_once('@') {
        Some((_, rest)) if authority.contains(['@', ':']) => format!("{scheme}://{rest}").into(),
        _ => url.into(),
    }
}

/// How many rows of each kind there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Registered clients.
    pub clients: i64,
    /// Access tokens that have not expired.
    pub live_tokens: i64,
    /// The kept `jti`, including expired ones that the purge has not removed yet.
    pub jti_kept: i64,
}

/// How many operations wait for the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    /// Operations that write.
    pub writes: usize,
    /// Operations that only read.
    pub reads: usize,
}

impl Database {
    /// Opens the database at `url`, creates it if it is missing, and brings its schema up to date. The scheme of the URL selects the kind
    /// of database: `sqlite:PATH` is a SQLite file.
    ///
    /// # Errors
    /// The URL has another scheme, or the database cannot be used. The message says what to do.
    pub async fn open(url: &str, clock: Clock) -> Result<Self, OpenError> {
        let scheme = url.split_once(':').map(|(scheme, _)| scheme);
        let backend: Arc<dyn Backend> = match scheme {
            Some(sqlite::SCHEME) => {
                Arc::new(Sqlite::open(url, clock).map_err(|error| OpenError::Unusable(error.into()))?)
            }
            _ => return Err(OpenError::UnsupportedUrl),
        };
        Ok(Self(backend))
    }

    /// Creates clients, each independently of the others. If one is refused, nothing is changed for it. A client starts at version 1, and
    /// its `jti` are consumed. If a registration access token is requested, it is 256 random bits as base64url, and only its digest is
    /// kept. The results have the order of the requests.
    ///
    /// # Errors
    /// For one client: [`Refusal::JtiExpired`], [`Refusal::JtiTooFarAhead`], [`Refusal::Replayed`], [`Refusal::DuplicateSoftware`]. For
    /// all: failures of the database. Then no client was created.
    pub async fn create_clients(&self, every: Vec<NewClient>) -> Result<Vec<Result<WrittenClient, Refusal>>, Failure> {
        let draw = |new: NewClient| {
            let registration_access_token = new.registration_access_token.then(NewSecret::draw).transpose()?;
            Ok(ClientToCreate { client_id: new_client_id()?, registration_access_token, new })
        };
        self.0.create_clients(every.into_iter().map(draw).collect::<Result<_, Failure>>()?).await
    }

    /// The current state of the client.
    ///
    /// # Errors
    /// [`Refusal::UnknownClient`].
    pub async fn client(&self, client_id: String) -> Result<Client, Failure> {
        self.0.client(client_id).await
    }

    /// Consumes the `jti` and replaces the whole record of a client that is at `version`. Its tokens stay valid, and so does its
    /// registration access token.
    ///
    /// # Errors
    /// In this order: [`Refusal::UnknownClient`], [`Refusal::VersionMismatch`], [`Refusal::SoftwareMismatch`], [`Refusal::JtiExpired`],
    /// [`Refusal::JtiTooFarAhead`], [`Refusal::Replayed`].
    pub async fn replace_client(&self, client_id: String, version: i64, new: Replacement) -> Result<Client, Failure> {
        self.0.replace_client(client_id, version, new).await
    }

    /// Deletes a client and all of its tokens.
    ///
    /// # Errors
    /// [`Refusal::UnknownClient`].
    pub async fn delete_client(&self, client_id: String) -> Result<(), Failure> {
        self.0.delete_client(client_id).await
    }

    /// Issues access tokens, each independently of the others. If one is refused, nothing is changed for it. A token is 256 random bits as
    /// base64url, and only its digest is kept. Its `jti` are consumed. The results have the order of the requests.
    ///
    /// # Errors
    /// For one token, in this order: [`Refusal::UnknownClient`], [`Refusal::VersionMismatch`], [`Refusal::JtiExpired`],
    /// [`Refusal::JtiTooFarAhead`], [`Refusal::Replayed`]. For all: failures of the database. Then no token was issued.
    pub async fn issue_tokens(&self, every: Vec<NewToken>) -> Result<Vec<Result<IssuedToken, Refusal>>, Failure> {
        let draw = |new| Ok(TokenToIssue { access_token: NewSecret::draw()?, new });
        self.0.issue_tokens(every.into_iter().map(draw).collect::<Result<_, Failure>>()?).await
    }

    /// The data of a token. `None` if it is unknown, expired or revoked (RFC 7662 section 2.2).
    ///
    /// # Errors
    /// Only failures of the database.
    pub async fn introspect(&self, token: &str) -> Result<Option<ActiveToken>, Failure> {
        self.0.introspect(digest(token)).await
    }

    /// Deletes a token of either use. An unknown token is not an error (RFC 7009 section 2.2).
    ///
    /// # Errors
    /// Only failures of the database.
    pub async fn revoke(&self, token: &str) -> Result<(), Failure> {
        self.0.revoke(digest(token)).await
    }

    /// Deletes at most `batch` `jti` and `batch` tokens that have expired by both [`Clock::now`] and [`Clock::steady_now`]. Returns the
    /// number of deleted rows.
    ///
    /// # Errors
    /// Only failures of the database.
    pub async fn purge_expired(&self, batch: u32) -> Result<usize, Failure> {
        self.0.purge_expired(batch).await
    }

    /// Commits a small write, to prove that the database can be written to. It does not wait behind other operations.
    ///
    /// # Errors
    /// Only failures of the database.
    pub async fn ready(&self) -> Result<(), Failure> {
        self.0.ready().await
    }

    /// Counts the rows.
    ///
    /// # Errors
    /// Only failures of the database.
    pub async fn counts(&self) -> Result<Counts, Failure> {
        self.0.counts().await
    }

    /// Counts the operations that wait for the database. It asks only the queues, so it answers at once.
    #[must_use]
    pub fn waiting(&self) -> Waiting {
        self.0.waiting()
    }

    /// Waits for running transactions, then closes the database. Later operations fail.
    ///
    /// # Errors
    /// The database could not be closed properly. No data is lost.
    pub async fn close(self) -> Result<(), Failure> {
        self.0.close().await
    }

    /// Does the work that the database needs beside its operations, as long as the future is polled. Answers never depend on it.
    pub async fn housekeeping(self) {
        self.0.housekeeping().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_no_part_of_what_is_shown_of_a_url() {
        for (url, shown) in [
            (
                "postgres://dcr:secret@db.example:5432/dcr?sslmode=require",
                "postgres://db.example:5432/dcr?sslmode=require",
            ),
            ("postgres://dcr@db.example/dcr", "postgres://db.example/dcr"),
            ("postgres://dcr:sec/ret@db.example/dcr", "postgres://db.example/dcr"),
            ("postgres://dcr:s@cret@db.example/dcr", "postgres://db.example/dcr"),
            ("postgres://dcr:secret?#@db.example/dcr", "postgres://db.example/dcr"),
            ("postgres://db.example:5432/dcr", "postgres://db.example:5432/dcr"),
            ("sqlite:./dcr-store.db", "sqlite:./dcr-store.db"),
            ("sqlite:/data/a@b.db", "sqlite:/data/a@b.db"),
            ("sqlite:///data/a@b.db", "sqlite:///data/a@b.db"),
            ("sqlite://user:secret@host/x.db", "sqlite://host/x.db"),
        ] {
            assert_eq!(without_userinfo(url), shown);
        }
    }
}
