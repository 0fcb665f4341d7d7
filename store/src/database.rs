//! The store's memory. [`Database`] is the interface that the rest of the program knows; behind it stands the database that the URL names
//! (`backend` says what one has to do, `sqlite` does it).

mod backend;
mod failure;
mod identifiers;
mod sqlite;

use std::sync::Arc;

use self::backend::{Backend, ClientToCreate, TokenToIssue};
pub use self::failure::{Failure, OpenError, Refusal};
use self::identifiers::{NewSecret, digest, new_client_id};
use self::sqlite::Sqlite;
use crate::clock::Clock;
use crate::model::{ActiveToken, Client, IssuedToken, NewClient, NewToken, Replacement, WrittenClient};

/// A handle to the database, cheap to clone.
#[derive(Debug, Clone)]
pub struct Database(Arc<dyn Backend>);

/// How many rows of each kind there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Registered clients.
    pub clients: i64,
    /// Access tokens that have not expired.
    pub live_tokens: i64,
    /// `jti` kept, expired ones that await the purge included.
    pub jti_kept: i64,
}

impl Database {
    /// Opens the database that `url` names, creates it when it is missing, and brings its schema up to date. The scheme of the URL says
    /// which kind of database it is: `sqlite:PATH` is a SQLite file.
    ///
    /// # Errors
    /// A URL of another kind, or a database that cannot be used; the message says what to do.
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

    /// Creates clients, each for itself: of one that is refused nothing has happened, and the others are not affected. A client is at version
    /// 1, its `jti` are consumed, and where a registration access token is asked for it has one: 256 random bits as base64url, of which
    /// only the digest is kept. The results are in the order of what was asked.
    ///
    /// # Errors
    /// For one: [`Refusal::JtiExpired`], [`Refusal::JtiTooFarAhead`], [`Refusal::Replayed`], [`Refusal::DuplicateSoftware`]. For all,
    /// failures of the database: then none was created.
    pub async fn create_clients(&self, every: Vec<NewClient>) -> Result<Vec<Result<WrittenClient, Refusal>>, Failure> {
        let draw = |new: NewClient| {
            let registration_access_token = new.registration_access_token.then(NewSecret::draw).transpose()?;
            Ok(ClientToCreate { client_id: new_client_id()?, registration_access_token, new })
        };
        self.0.create_clients(every.into_iter().map(draw).collect::<Result<_, Failure>>()?).await
    }

    /// The client as it is now.
    ///
    /// # Errors
    /// [`Refusal::UnknownClient`].
    pub async fn client(&self, client_id: String) -> Result<Client, Failure> {
        self.0.client(client_id).await
    }

    /// Consumes the `jti` and replaces the whole record of a client that is at `version`; its tokens stay, the registration access token
    /// among them.
    ///
    /// # Errors
    /// In this order: [`Refusal::UnknownClient`], [`Refusal::VersionMismatch`], [`Refusal::SoftwareMismatch`],
    /// [`Refusal::JtiExpired`], [`Refusal::JtiTooFarAhead`], [`Refusal::Replayed`].
    pub async fn replace_client(&self, client_id: String, version: i64, new: Replacement) -> Result<Client, Failure> {
        self.0.replace_client(client_id, version, new).await
    }

    /// Deletes a client, and with it every token it holds.
    ///
    /// # Errors
    /// [`Refusal::UnknownClient`].
    pub async fn delete_client(&self, client_id: String) -> Result<(), Failure> {
        self.0.delete_client(client_id).await
    }

    /// Issues access tokens, each for itself: of one that is refused nothing has happened, and the others are not affected. The token is 256
    /// random bits as base64url, of which only the digest is kept; its `jti` are consumed. The results are in the order of what was asked.
    ///
    /// # Errors
    /// For one, in this order: [`Refusal::UnknownClient`], [`Refusal::VersionMismatch`], [`Refusal::JtiExpired`],
    /// [`Refusal::JtiTooFarAhead`], [`Refusal::Replayed`]. For all, failures of the database: then none was issued.
    pub async fn issue_tokens(&self, every: Vec<NewToken>) -> Result<Vec<Result<IssuedToken, Refusal>>, Failure> {
        let draw = |new| Ok(TokenToIssue { access_token: NewSecret::draw()?, new });
        self.0.issue_tokens(every.into_iter().map(draw).collect::<Result<_, Failure>>()?).await
    }

    /// What is known of a token; `None` when it is unknown, expired or revoked (RFC 7662 section 2.2).
    ///
    /// # Errors
    /// Only failures of the database.
    pub async fn introspect(&self, token: &str) -> Result<Option<ActiveToken>, Failure> {
        self.0.introspect(digest(token)).await
    }

    /// Deletes a token of either use; one that is unknown is no error (RFC 7009 section 2.2).
    ///
    /// # Errors
    /// Only failures of the database.
    pub async fn revoke(&self, token: &str) -> Result<(), Failure> {
        self.0.revoke(digest(token)).await
    }

    /// Deletes at most `batch` expired `jti` and `batch` expired tokens; returns how many rows went.
    ///
    /// # Errors
    /// Only failures of the database.
    pub async fn purge_expired(&self, batch: u32) -> Result<usize, Failure> {
        self.0.purge_expired(batch).await
    }

    /// Succeeds when the database can be written to.
    ///
    /// # Errors
    /// Only failures of the database.
    pub async fn ready(&self) -> Result<(), Failure> {
        self.0.ready().await
    }

    /// Counts what is kept.
    ///
    /// # Errors
    /// Only failures of the database.
    pub async fn counts(&self) -> Result<Counts, Failure> {
        self.0.counts().await
    }

    /// Waits for running transactions, then closes the database. Operations that come later fail.
    ///
    /// # Errors
    /// When it could not be closed in good order. Nothing is lost by that.
    pub async fn close(self) -> Result<(), Failure> {
        self.0.close().await
    }

    /// Does, for as long as the future is polled, what the database needs done beside its operations. Answers never depend on it.
    pub async fn housekeeping(self) {
        self.0.housekeeping().await;
    }
}
