//! One function an operation, one transaction each.
//!
//! Transactions that write begin with the write lock (`BEGIN IMMEDIATE`): what they read stays true until they commit. The clock
//! is read under that lock, so that a request that queued past the expiry of its `jti` cannot consume it after the purge. Operations that
//! queue at the same time share one transaction (`writer`), and are answered when it is on the disk.

mod open;
#[cfg(test)]
mod tests;
mod writer;

use std::sync::Arc;

use base64ct::{Base64UrlUnpadded, Encoding};
use sha2::{Digest, Sha256};
use sqlx::SqliteConnection;

pub use self::open::OpenError;
use self::open::Pools;
use self::writer::Writer;
use crate::clock::Clock;
use crate::model::{
    ActiveToken, Client, CreatedClient, Jti, MAX_LIFETIME, NewClient, NewToken, Replacement, Software, TokenUse,
};

/// The store's memory: a handle to the database, cheap to clone.
#[derive(Debug, Clone)]
pub struct Database {
    pools: Pools,
    writer: Writer,
    clock: Clock,
}

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
    /// One of the `jti` asks to be kept for longer than [`MAX_LIFETIME`].
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
    /// The database did not answer as it should.
    #[error("the database failed: {0}")]
    Database(#[from] sqlx::Error),
    /// The transaction that the operation shared with others failed as a whole.
    #[error("the database failed: {0}")]
    Transaction(Arc<sqlx::Error>),
    /// A record in the database is not the JSON that was put there.
    #[error("a stored record cannot be read: {0}")]
    Record(#[from] serde_json::Error),
    /// The operating system gave no random bytes.
    #[error("the operating system gave no random bytes: {0}")]
    Randomness(getrandom::Error),
}

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
    /// Opens the SQLite file named by `url` (`sqlite:PATH`), creates it when it is missing, and brings its schema up to date.
    ///
    /// # Errors
    /// Another kind of URL, or a file that cannot be used; the message says what to do.
    pub async fn open(url: &str, clock: Clock) -> Result<Self, OpenError> {
        let pools = open::open(url).await?;
        Ok(Self { writer: Writer::start(pools.writer.clone()), pools, clock })
    }

    /// Consumes the `jti` and creates a client, version 1, with a registration access token where one is asked for: 256 random bits as
    /// base64url, of which only the digest is kept.
    ///
    /// # Errors
    /// [`Refusal::Replayed`], [`Refusal::JtiExpired`], [`Refusal::JtiTooFarAhead`], [`Refusal::DuplicateSoftware`].
    pub async fn create_client(&self, new: &NewClient) -> Result<CreatedClient, Failure> {
        let (new, clock) = (new.clone(), self.clock.clone());
        let (client_id, record) = (random_client_id()?, serde_json::to_string(&new.record)?);
        let registration_access_token = new.registration_access_token.then(random_token).transpose()?;
        let written = self.writer.write(move |work| {
            Box::pin(async move {
                let now = clock.now();
                consume(work, &new.consume_jti, now).await?;
                if new.single_registration && is_registered(work, &new.software).await? {
                    return Err(Refusal::DuplicateSoftware.into());
                }
                sqlx::query(
                    "INSERT INTO clients
                         (client_id, issued_at, version, software_issuer, software_id, record, registration_token_digest)
                     VALUES ($1, $2, 1, $3, $4, $5, $6)",
                )
                .bind(&client_id)
                .bind(now)
                .bind(&new.software.issuer)
                .bind(&new.software.id)
                .bind(record)
                .bind(registration_access_token.as_deref().map(digest))
                .execute(work)
                .await?;
                let NewClient { software, record, .. } = new;
                let client = Client { client_id, client_id_issued_at: now, version: 1, software, record };
                Ok(CreatedClient { client, registration_access_token })
            })
        });
        written.await
    }

    /// The client as it is now.
    ///
    /// # Errors
    /// [`Refusal::UnknownClient`].
    pub async fn client(&self, client_id: &str) -> Result<Client, Failure> {
        let row: ClientRow = sqlx::query_as(SELECT_CLIENT)
            .bind(client_id)
            .fetch_optional(&self.pools.readers)
            .await?
            .ok_or(Refusal::UnknownClient)?;
        row.into_client(client_id)
    }

    /// Consumes the `jti` and replaces the whole record of a client that is at `version`; its tokens stay, the registration access token
    /// among them.
    ///
    /// # Errors
    /// In this order: [`Refusal::UnknownClient`], [`Refusal::VersionMismatch`], [`Refusal::SoftwareMismatch`],
    /// [`Refusal::JtiExpired`], [`Refusal::JtiTooFarAhead`], [`Refusal::Replayed`].
    pub async fn replace_client(&self, client_id: &str, version: i64, new: &Replacement) -> Result<Client, Failure> {
        let (new, clock, client_id) = (new.clone(), self.clock.clone(), client_id.to_owned());
        let written = self.writer.write(move |work| {
            Box::pin(async move {
                let row: Option<ClientRow> =
                    sqlx::query_as(SELECT_CLIENT).bind(&client_id).fetch_optional(&mut *work).await?;
                let current = row.ok_or(Refusal::UnknownClient)?.into_client(&client_id)?;
                if current.version != version {
                    return Err(Refusal::VersionMismatch.into());
                }
                if current.software != new.software {
                    return Err(Refusal::SoftwareMismatch.into());
                }
                consume(work, &new.consume_jti, clock.now()).await?;
                let replaced = Client { version: version.saturating_add(1), record: new.record, ..current };
                sqlx::query("UPDATE clients SET version = $1, record = $2 WHERE client_id = $3")
                    .bind(replaced.version)
                    .bind(serde_json::to_string(&replaced.record)?)
                    .bind(client_id)
                    .execute(work)
                    .await?;
                Ok(replaced)
            })
        });
        written.await
    }

    /// Deletes a client, and with it (`ON DELETE CASCADE`) every token it holds.
    ///
    /// # Errors
    /// [`Refusal::UnknownClient`].
    pub async fn delete_client(&self, client_id: &str) -> Result<(), Failure> {
        let client_id = client_id.to_owned();
        let written = self.writer.write(move |work| {
            Box::pin(async move {
                let delete = sqlx::query("DELETE FROM clients WHERE client_id = $1").bind(client_id);
                if delete.execute(work).await?.rows_affected() == 0 {
                    Err(Refusal::UnknownClient.into())
                } else {
                    Ok(())
                }
            })
        });
        written.await
    }

    /// Consumes the `jti` and issues an access token: 256 random bits as base64url, of which only the digest is kept. With a `version`,
    /// only while the client is at it.
    ///
    /// # Errors
    /// In this order: [`Refusal::UnknownClient`], [`Refusal::VersionMismatch`], [`Refusal::JtiExpired`], [`Refusal::JtiTooFarAhead`],
    /// [`Refusal::Replayed`].
    pub async fn issue_token(&self, client_id: &str, version: Option<i64>, new: &NewToken) -> Result<String, Failure> {
        let token = random_token()?;
        let (new, clock) = (new.clone(), self.clock.clone());
        let (client_id, token_digest) = (client_id.to_owned(), digest(&token));
        let written = self.writer.write(move |work| {
            Box::pin(async move {
                let now = clock.now();
                let current = version_of(work, &client_id).await?.ok_or(Refusal::UnknownClient)?;
                if version.is_some_and(|version| version != current) {
                    return Err(Refusal::VersionMismatch.into());
                }
                consume(work, &new.consume_jti, now).await?;
                sqlx::query(
                    "INSERT INTO access_tokens (token_digest, client_id, scope, certificate_thumbprint, issued_at, expires_at)
                     VALUES ($1, $2, $3, $4, $5, $6)",
                )
                .bind(token_digest)
                .bind(client_id)
                .bind(new.scope)
                .bind(new.certificate_thumbprint)
                .bind(now)
                .bind(now.saturating_add(new.expires_in))
                .execute(work)
                .await?;
                Ok(())
            })
        });
        written.await.map(|()| token)
    }

    /// What is known of a token; `None` when it is unknown, expired or revoked (RFC 7662 section 2.2).
    ///
    /// # Errors
    /// Only failures of the database.
    pub async fn introspect(&self, token: &str) -> Result<Option<ActiveToken>, Failure> {
        let digest = digest(token);
        let row: Option<AccessTokenRow> = sqlx::query_as(
            "SELECT client_id, scope, certificate_thumbprint, issued_at, expires_at FROM access_tokens
             WHERE token_digest = $1 AND expires_at > $2",
        )
        .bind(&digest)
        .bind(self.clock.now())
        .fetch_optional(&self.pools.readers)
        .await?;
        if let Some(row) = row {
            return Ok(Some(row.into_token()));
        }
        let row: Option<(String, i64)> =
            sqlx::query_as("SELECT client_id, issued_at FROM clients WHERE registration_token_digest = $1")
                .bind(&digest)
                .fetch_optional(&self.pools.readers)
                .await?;
        Ok(row.map(|(client_id, issued_at)| ActiveToken { client_id, issued_at, token_use: TokenUse::Registration }))
    }

    /// Forgets a token of either use; one that is unknown is no error (RFC 7009 section 2.2).
    ///
    /// # Errors
    /// Only failures of the database.
    pub async fn revoke(&self, token: &str) -> Result<(), Failure> {
        let digest = digest(token);
        let written = self.writer.write(move |work| {
            Box::pin(async move {
                sqlx::query("DELETE FROM access_tokens WHERE token_digest = $1")
                    .bind(&digest)
                    .execute(&mut *work)
                    .await?;
                sqlx::query("UPDATE clients SET registration_token_digest = NULL WHERE registration_token_digest = $1")
                    .bind(&digest)
                    .execute(work)
                    .await?;
                Ok(())
            })
        });
        written.await
    }

    /// Deletes at most `batch` expired `jti` and `batch` expired tokens; returns how many rows went.
    ///
    /// # Errors
    /// Only failures of the database.
    pub async fn purge_expired(&self, batch: u32) -> Result<u64, Failure> {
        let clock = self.clock.clone();
        let written = self.writer.write(move |work| {
            Box::pin(async move {
                let now = clock.now();
                let jti = sqlx::query(
                    "DELETE FROM used_jti WHERE (issuer, jti) IN
                     (SELECT issuer, jti FROM used_jti WHERE expires_at < $1 ORDER BY expires_at LIMIT $2)",
                )
                .bind(now)
                .bind(i64::from(batch))
                .execute(&mut *work)
                .await?;
                let tokens = sqlx::query(
                    "DELETE FROM access_tokens WHERE token_digest IN
                     (SELECT token_digest FROM access_tokens WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)",
                )
                .bind(now)
                .bind(i64::from(batch))
                .execute(work)
                .await?;
                Ok(jti.rows_affected() + tokens.rows_affected())
            })
        });
        written.await
    }

    /// Takes the write lock and gives it back: the database can be written to.
    ///
    /// # Errors
    /// Only failures of the database.
    pub async fn ready(&self) -> Result<(), Failure> {
        let read = self.writer.write(move |work| {
            Box::pin(async move {
                sqlx::query("SELECT client_id FROM clients LIMIT 1").fetch_optional(work).await?;
                Ok(())
            })
        });
        read.await
    }

    /// Counts what is kept.
    ///
    /// # Errors
    /// Only failures of the database.
    pub async fn counts(&self) -> Result<Counts, Failure> {
        let (clients, live_tokens, jti_kept) = sqlx::query_as(
            "SELECT (SELECT COUNT(*) FROM clients),
                    (SELECT COUNT(*) FROM access_tokens WHERE expires_at > $1),
                    (SELECT COUNT(*) FROM used_jti)",
        )
        .bind(self.clock.now())
        .fetch_one(&self.pools.readers)
        .await?;
        Ok(Counts { clients, live_tokens, jti_kept })
    }

    /// Waits for running transactions, moves the write-ahead log into the database file and closes it.
    ///
    /// # Errors
    /// When the log could not be moved. Nothing is lost by that: the next start reads it.
    pub async fn close(self) -> Result<(), Failure> {
        self.pools.readers.close().await;
        let checkpoint = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&self.pools.writer).await;
        self.pools.writer.close().await;
        checkpoint?;
        Ok(())
    }
}

const SELECT_CLIENT: &str =
    "SELECT issued_at, version, software_issuer, software_id, record FROM clients WHERE client_id = $1";

#[derive(sqlx::FromRow)]
struct ClientRow {
    issued_at: i64,
    version: i64,
    software_issuer: String,
    software_id: String,
    record: String,
}

impl ClientRow {
    fn into_client(self, client_id: &str) -> Result<Client, Failure> {
        Ok(Client {
            client_id: client_id.to_owned(),
            client_id_issued_at: self.issued_at,
            version: self.version,
            software: Software { issuer: self.software_issuer, id: self.software_id },
            record: serde_json::from_str(&self.record)?,
        })
    }
}

#[derive(sqlx::FromRow)]
struct AccessTokenRow {
    client_id: String,
    scope: String,
    certificate_thumbprint: String,
    issued_at: i64,
    expires_at: i64,
}

impl AccessTokenRow {
    fn into_token(self) -> ActiveToken {
        let Self { client_id, scope, certificate_thumbprint, issued_at, expires_at } = self;
        ActiveToken { client_id, issued_at, token_use: TokenUse::Access { scope, certificate_thumbprint, expires_at } }
    }
}

/// Consumes every `jti`; the caller drops the transaction on an error, and none is consumed.
///
/// A row that has expired counts as absent, purged or not: it is overwritten.
async fn consume(work: &mut SqliteConnection, every: &[Jti], now: i64) -> Result<(), Failure> {
    for (index, Jti { issuer, jti, expires_at }) in every.iter().enumerate() {
        if *expires_at < now {
            return Err(Refusal::JtiExpired.into());
        }
        if *expires_at > now.saturating_add(MAX_LIFETIME) {
            return Err(Refusal::JtiTooFarAhead.into());
        }
        let inserted = sqlx::query(
            "INSERT INTO used_jti (issuer, jti, expires_at) VALUES ($1, $2, $3)
             ON CONFLICT (issuer, jti) DO UPDATE SET expires_at = excluded.expires_at WHERE used_jti.expires_at < $4",
        )
        .bind(issuer)
        .bind(jti)
        .bind(expires_at)
        .bind(now)
        .execute(&mut *work)
        .await?;
        if inserted.rows_affected() == 0 {
            return Err(Refusal::Replayed { index }.into());
        }
    }
    Ok(())
}

async fn is_registered(work: &mut SqliteConnection, software: &Software) -> Result<bool, Failure> {
    let clients: i64 =
        sqlx::query_scalar("SELECT COUNT(*) FROM clients WHERE software_issuer = $1 AND software_id = $2")
            .bind(&software.issuer)
            .bind(&software.id)
            .fetch_one(&mut *work)
            .await?;
    Ok(clients > 0)
}

async fn version_of(work: &mut SqliteConnection, client_id: &str) -> Result<Option<i64>, Failure> {
    Ok(sqlx::query_scalar("SELECT version FROM clients WHERE client_id = $1")
        .bind(client_id)
        .fetch_optional(&mut *work)
        .await?)
}

fn random_client_id() -> Result<String, Failure> {
    Ok(format!("{:032x}", u128::from_be_bytes(random_bytes()?)))
}

fn random_token() -> Result<String, Failure> {
    Ok(Base64UrlUnpadded::encode_string(&random_bytes::<32>()?))
}

fn random_bytes<const LENGTH: usize>() -> Result<[u8; LENGTH], Failure> {
    let mut bytes = [0; LENGTH];
    getrandom::fill(&mut bytes).map_err(Failure::Randomness)?;
    Ok(bytes)
}

fn digest(token: &str) -> String {
    Base64UrlUnpadded::encode_string(&Sha256::digest(token))
}
