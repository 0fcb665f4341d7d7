//! One function an operation, one transaction each.
//!
//! Transactions that write begin with the write lock (`BEGIN IMMEDIATE`): what they read stays true until they commit. The clock
//! is read under that lock, so that a request that queued past the expiry of its `jti` cannot consume it after the purge. Operations that
//! queue at the same time share one transaction (`writer`), and are answered when it is on the disk. Whoever only reads (`reader`) waits for
//! none of that.

mod open;
mod orders;
mod reader;
mod schema;
#[cfg(test)]
mod tests;
mod writer;

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use rusqlite::{Connection, OptionalExtension, params};
use sha2::{Digest, Sha256};

use self::open::Connections;
pub use self::open::OpenError;
use self::orders::Orders;
pub use self::schema::SchemaError;
use crate::clock::Clock;
use crate::model::{
    ActiveToken, Client, Confirmation, IssuedToken, Jti, MAX_LIFETIME, NewClient, NewToken, Record, Replacement,
    Software, TokenType, TokenUse, WrittenClient,
};

/// The store's memory: a handle to the database, cheap to clone.
#[derive(Debug, Clone)]
pub struct Database {
    writer: Orders,
    reader: Orders,
    counter: Orders,
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
    Database(#[from] rusqlite::Error),
    /// The transaction that the operation shared with others failed as a whole.
    #[error("the database failed: {0}")]
    Transaction(Arc<rusqlite::Error>),
    /// It found no place among those who wait for the database.
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
    /// Opens the SQLite file named by `url` (`sqlite:PATH`), creates it when it is missing, and brings its schema up to date. Waits for
    /// the disk.
    ///
    /// # Errors
    /// Another kind of URL, or a file that cannot be used; the message says what to do.
    pub fn open(url: &str, clock: Clock) -> Result<Self, OpenError> {
        let Connections { writer, reader, counter } = open::open(url)?;
        let writer = writer::start(writer).map_err(OpenError::Thread)?;
        let reader = reader::start(reader).map_err(OpenError::Thread)?;
        let counter = reader::start(counter).map_err(OpenError::Thread)?;
        Ok(Self { writer, reader, counter, clock })
    }

    /// Creates clients, each for itself: of one that is refused nothing has happened, and the others do not notice. A client is at version
    /// 1, its `jti` are consumed, and where a registration access token is asked for it has one: 256 random bits as base64url, of which
    /// only the digest is kept. The results are in the order of what was asked.
    ///
    /// # Errors
    /// For one: [`Refusal::JtiExpired`], [`Refusal::JtiTooFarAhead`], [`Refusal::Replayed`], [`Refusal::DuplicateSoftware`]. For all,
    /// failures of the database: then none was created.
    pub async fn create_clients(&self, every: Vec<NewClient>) -> Result<Vec<Result<WrittenClient, Failure>>, Failure> {
        let clock = self.clock.clone();
        let drawn = |new: NewClient| {
            let token = new.registration_access_token.then(random_token).transpose()?;
            Ok((new_client_id()?, token, new))
        };
        let every: Vec<(String, Option<String>, NewClient)> =
            every.into_iter().map(drawn).collect::<Result<_, Failure>>()?;
        let created = self.writer.give(move |work| {
            let now = clock.now();
            let one = |(client_id, token, new)| {
                writer::one_of_several(work, || create_client(work, client_id, token, new, now))
            };
            every.into_iter().map(one).collect()
        });
        created.await
    }

    /// The client as it is now.
    ///
    /// # Errors
    /// [`Refusal::UnknownClient`].
    pub async fn client(&self, client_id: String) -> Result<Client, Failure> {
        self.reader.give(move |data| find_client(data, client_id)?.ok_or_else(|| Refusal::UnknownClient.into())).await
    }

    /// Consumes the `jti` and replaces the whole record of a client that is at `version`; its tokens stay, the registration access token
    /// among them.
    ///
    /// # Errors
    /// In this order: [`Refusal::UnknownClient`], [`Refusal::VersionMismatch`], [`Refusal::SoftwareMismatch`],
    /// [`Refusal::JtiExpired`], [`Refusal::JtiTooFarAhead`], [`Refusal::Replayed`].
    pub async fn replace_client(&self, client_id: String, version: i64, new: Replacement) -> Result<Client, Failure> {
        let clock = self.clock.clone();
        let replaced = self.writer.give(move |work| {
            let current = find_client(work, client_id)?.ok_or(Refusal::UnknownClient)?;
            if current.version != version {
                return Err(Refusal::VersionMismatch.into());
            }
            if current.software != new.software {
                return Err(Refusal::SoftwareMismatch.into());
            }
            consume(work, &new.consume_jti, clock.now())?;
            let replaced = Client { version: version.saturating_add(1), record: new.record, ..current };
            work.prepare_cached("UPDATE clients SET version = ?1, record = ?2 WHERE client_id = ?3")?
                .execute(params![replaced.version, replaced.record.text(), replaced.client_id])?;
            Ok(replaced)
        });
        replaced.await
    }

    /// Deletes a client, and with it (`ON DELETE CASCADE`) every token it holds.
    ///
    /// # Errors
    /// [`Refusal::UnknownClient`].
    pub async fn delete_client(&self, client_id: String) -> Result<(), Failure> {
        let deleted = self.writer.give(move |work| {
            match work.prepare_cached("DELETE FROM clients WHERE client_id = ?1")?.execute([client_id])? {
                0 => Err(Refusal::UnknownClient.into()),
                _ => Ok(()),
            }
        });
        deleted.await
    }

    /// Issues access tokens, each for itself: of one that is refused nothing has happened, and the others do not notice. The token is 256
    /// random bits as base64url, of which only the digest is kept; its `jti` are consumed. The results are in the order of what was asked.
    ///
    /// # Errors
    /// For one, in this order: [`Refusal::UnknownClient`], [`Refusal::VersionMismatch`], [`Refusal::JtiExpired`],
    /// [`Refusal::JtiTooFarAhead`], [`Refusal::Replayed`]. For all, failures of the database: then none was issued.
    pub async fn issue_tokens(&self, every: Vec<NewToken>) -> Result<Vec<Result<IssuedToken, Failure>>, Failure> {
        let clock = self.clock.clone();
        // Drawn and digested here: the thread that writes has enough to do.
        let drawn = |new| random_token().map(|token| (new, digest(&token), token));
        let every: Vec<(NewToken, String, String)> = every.into_iter().map(drawn).collect::<Result<_, _>>()?;
        let issued = self.writer.give(move |work| {
            let now = clock.now();
            let one =
                |(new, digest, token)| writer::one_of_several(work, || issue_token(work, new, digest, token, now));
            every.into_iter().map(one).collect()
        });
        issued.await
    }

    /// What is known of a token; `None` when it is unknown, expired or revoked (RFC 7662 section 2.2).
    ///
    /// # Errors
    /// Only failures of the database.
    pub async fn introspect(&self, token: &str) -> Result<Option<ActiveToken>, Failure> {
        let (digest, now) = (digest(token), self.clock.now());
        let found = self.reader.give(move |data| match find_access_token(data, &digest, now)? {
            Some(token) => Ok(Some(token)),
            None => find_registration_token(data, &digest),
        });
        found.await
    }

    /// Forgets a token of either use; one that is unknown is no error (RFC 7009 section 2.2).
    ///
    /// # Errors
    /// Only failures of the database.
    pub async fn revoke(&self, token: &str) -> Result<(), Failure> {
        let digest = digest(token);
        let revoked = self.writer.give(move |work| {
            work.prepare_cached("DELETE FROM access_tokens WHERE token_digest = ?1")?.execute([&digest])?;
            work.prepare_cached(
                "UPDATE clients SET registration_token_digest = NULL WHERE registration_token_digest = ?1",
            )?
            .execute([&digest])?;
            Ok(())
        });
        revoked.await
    }

    /// Deletes at most `batch` expired `jti` and `batch` expired tokens; returns how many rows went.
    ///
    /// # Errors
    /// Only failures of the database.
    pub async fn purge_expired(&self, batch: u32) -> Result<usize, Failure> {
        let clock = self.clock.clone();
        let purged = self.writer.give(move |work| {
            let now = clock.now();
            let mut jti = work.prepare_cached(
                "DELETE FROM used_jti WHERE (issuer, jti) IN
                 (SELECT issuer, jti FROM used_jti WHERE expires_at < ?1 ORDER BY expires_at LIMIT ?2)",
            )?;
            let mut tokens = work.prepare_cached(
                "DELETE FROM access_tokens WHERE token_digest IN
                 (SELECT token_digest FROM access_tokens WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)",
            )?;
            Ok(jti.execute(params![now, batch])? + tokens.execute(params![now, batch])?)
        });
        purged.await
    }

    /// Moves what is in the write-ahead log into the database file, as far as nobody is in the way. Nobody waits for it.
    ///
    /// # Errors
    /// Only failures of the database.
    pub async fn checkpoint(&self) -> Result<(), Failure> {
        self.counter.give(|data| Ok(data.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?)).await
    }

    /// Takes the write lock and gives it back: the database can be written to.
    ///
    /// # Errors
    /// Only failures of the database.
    pub async fn ready(&self) -> Result<(), Failure> {
        self.writer
            .give(|work| Ok(work.prepare_cached("SELECT client_id FROM clients LIMIT 1")?.exists([]).map(drop)?))
            .await
    }

    /// Counts what is kept.
    ///
    /// # Errors
    /// Only failures of the database.
    pub async fn counts(&self) -> Result<Counts, Failure> {
        let now = self.clock.now();
        let counted = self.counter.give(move |data| {
            let mut count = data.prepare_cached(
                "SELECT (SELECT COUNT(*) FROM clients),
                        (SELECT COUNT(*) FROM access_tokens WHERE expires_at > ?1),
                        (SELECT COUNT(*) FROM used_jti)",
            )?;
            Ok(count.query_row([now], |row| {
                Ok(Counts { clients: row.get(0)?, live_tokens: row.get(1)?, jti_kept: row.get(2)? })
            })?)
        });
        counted.await
    }

    /// Waits for running transactions, moves the write-ahead log into the database file and closes it.
    ///
    /// # Errors
    /// When the log could not be moved. Nothing is lost by that: the next start reads it.
    pub async fn close(self) -> Result<(), Failure> {
        self.reader.close().await?;
        self.counter.close().await?;
        self.writer.close().await
    }
}

fn find_client(data: &Connection, client_id: String) -> Result<Option<Client>, Failure> {
    let mut select = data.prepare_cached(
        "SELECT issued_at, version, software_issuer, software_id, record FROM clients WHERE client_id = ?1",
    )?;
    let found = select.query_row([&client_id], |row| {
        let software = Software { issuer: row.get(2)?, id: row.get(3)? };
        Ok((row.get(0)?, row.get(1)?, software, row.get(4)?))
    });
    let Some((client_id_issued_at, version, software, record)) = found.optional()? else { return Ok(None) };
    Ok(Some(Client { client_id, client_id_issued_at, version, software, record: Record::from_text(record)? }))
}

fn find_access_token(data: &Connection, digest: &str, now: i64) -> Result<Option<ActiveToken>, Failure> {
    let mut select = data.prepare_cached(
        "SELECT client_id, issued_at, scope, certificate_thumbprint, expires_at FROM access_tokens
         WHERE token_digest = ?1 AND expires_at > ?2",
    )?;
    let found = select.query_row(params![digest, now], |row| {
        let token_use =
            TokenUse::Access { scope: row.get(2)?, certificate_thumbprint: row.get(3)?, expires_at: row.get(4)? };
        Ok(ActiveToken { client_id: row.get(0)?, issued_at: row.get(1)?, token_use })
    });
    Ok(found.optional()?)
}

fn find_registration_token(data: &Connection, digest: &str) -> Result<Option<ActiveToken>, Failure> {
    let mut select =
        data.prepare_cached("SELECT client_id, issued_at FROM clients WHERE registration_token_digest = ?1")?;
    let found = select.query_row([digest], |row| {
        Ok(ActiveToken { client_id: row.get(0)?, issued_at: row.get(1)?, token_use: TokenUse::Registration })
    });
    Ok(found.optional()?)
}

fn create_client(
    work: &Connection,
    client_id: String,
    registration_access_token: Option<String>,
    new: NewClient,
    now: i64,
) -> Result<WrittenClient, Failure> {
    let NewClient { software, single_registration, consume_jti, record, .. } = new;
    consume(work, &consume_jti, now)?;
    if single_registration && is_registered(work, &software)? {
        return Err(Refusal::DuplicateSoftware.into());
    }
    let digest = registration_access_token.as_deref().map(digest);
    work.prepare_cached(
        "INSERT INTO clients
             (client_id, issued_at, version, software_issuer, software_id, record, registration_token_digest)
         VALUES (?1, ?2, 1, ?3, ?4, ?5, ?6)",
    )?
    .execute(params![client_id, now, software.issuer, software.id, record.text(), digest])?;
    Ok(WrittenClient { client_id, client_id_issued_at: now, version: 1, software, registration_access_token })
}

fn issue_token(
    work: &Connection,
    new: NewToken,
    digest: String,
    access_token: String,
    now: i64,
) -> Result<IssuedToken, Failure> {
    let NewToken {
        client_id,
        version,
        scope,
        expires_in,
        cnf: Confirmation { certificate_thumbprint },
        consume_jti,
        ..
    } = new;
    let current = version_of(work, &client_id)?.ok_or(Refusal::UnknownClient)?;
    if version.is_some_and(|version| version != current) {
        return Err(Refusal::VersionMismatch.into());
    }
    consume(work, &consume_jti, now)?;
    let expires_at = now.saturating_add(expires_in);
    work.prepare_cached(
        "INSERT INTO access_tokens (token_digest, client_id, scope, certificate_thumbprint, issued_at, expires_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute(params![digest, client_id, scope, certificate_thumbprint, now, expires_at])?;
    Ok(IssuedToken { client_id, access_token, token_type: TokenType::Bearer, expires_in, scope })
}

/// Consumes every `jti`; the caller drops the transaction on an error, and none is consumed.
///
/// A row that has expired counts as absent, purged or not: it is overwritten.
fn consume(work: &Connection, every: &[Jti], now: i64) -> Result<(), Failure> {
    let mut insert = work.prepare_cached(
        "INSERT INTO used_jti (issuer, jti, expires_at) VALUES (?1, ?2, ?3)
         ON CONFLICT (issuer, jti) DO UPDATE SET expires_at = excluded.expires_at WHERE used_jti.expires_at < ?4",
    )?;
    for (index, Jti { issuer, jti, expires_at }) in every.iter().enumerate() {
        if *expires_at < now {
            return Err(Refusal::JtiExpired.into());
        }
        if *expires_at > now.saturating_add(MAX_LIFETIME) {
            return Err(Refusal::JtiTooFarAhead.into());
        }
        if insert.execute(params![issuer, jti, expires_at, now])? == 0 {
            return Err(Refusal::Replayed { index }.into());
        }
    }
    Ok(())
}

fn is_registered(work: &Connection, software: &Software) -> Result<bool, Failure> {
    let mut select = work.prepare_cached("SELECT 1 FROM clients WHERE software_issuer = ?1 AND software_id = ?2")?;
    Ok(select.exists([&software.issuer, &software.id])?)
}

fn version_of(work: &Connection, client_id: &str) -> Result<Option<i64>, Failure> {
    let mut select = work.prepare_cached("SELECT version FROM clients WHERE client_id = ?1")?;
    Ok(select.query_row([client_id], |row| row.get(0)).optional()?)
}

/// 48 bits of time, in milliseconds, and 80 random ones. Clients that register one after the other are neighbours in the index, whose page
/// is then written once for all of a transaction.
fn new_client_id() -> Result<String, Failure> {
    let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let random = u128::from_be_bytes(random_bytes()?) >> 48;
    Ok(format!("{:032x}", time << 80 | random))
}

fn random_token() -> Result<String, Failure> {
    Ok(BASE64_URL_SAFE_NO_PAD.encode(random_bytes::<32>()?))
}

fn random_bytes<const LENGTH: usize>() -> Result<[u8; LENGTH], Failure> {
    let mut bytes = [0; LENGTH];
    getrandom::fill(&mut bytes).map_err(Failure::Randomness)?;
    Ok(bytes)
}

fn digest(token: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(token))
}
