//! A database in one SQLite file.
//!
//! Transactions that write begin with the write lock (`BEGIN IMMEDIATE`). So what they read stays true until they commit, and they read the
//! clock under that lock. Operations that queue at the same time share one transaction (`writer`) and are answered when it is on the disk.
//! Operations that only read (`reader`) do not wait for this.

mod checkpoint;
mod open;
mod reader;
mod schema;
mod statements;
#[cfg(test)]
mod tests;
mod thread;
mod writer;

use std::pin::Pin;

use rusqlite::params;

use self::open::Connections;
pub(super) use self::open::OpenError;
use self::statements::{consume, create_client, find_access_token, find_client, find_registration_token, issue_token};
use self::thread::{DatabaseThread, FastLane};
use crate::clock::Clock;
use crate::database::backend::{Backend, ClientToCreate, Operation, TokenToIssue};
use crate::database::{Counts, Failure, Refusal, Waiting};
use crate::model::{ActiveToken, Client, IssuedToken, Replacement, WrittenClient};

/// The scheme of the URLs of this database.
pub(super) const SCHEME: &str = "sqlite";

/// The threads that have the file open. SQLite blocks the calling thread while it waits for the disk.
#[derive(Debug)]
pub(super) struct Sqlite {
    writer: DatabaseThread,
    /// Writes past the queue of the writer.
    prober: FastLane,
    /// Reads what requests look up.
    reader: DatabaseThread,
    /// Runs the reads that take longer.
    counter: DatabaseThread,
    clock: Clock,
}

/// Why an operation did not succeed, while its transaction is open.
#[derive(Debug)]
enum Error {
    /// Only this operation failed. Its writes are undone, and the transaction goes on.
    Operation(Failure),
    /// SQLite failed. After some failures it has undone the whole transaction with all savepoints, so the transaction ends.
    Sqlite(rusqlite::Error),
}

impl Sqlite {
    /// Opens the file in `url` (`sqlite:PATH`), creates it if it is missing, and brings its schema up to date. It blocks on the disk.
    ///
    /// # Errors
    /// The URL names no file, or the file cannot be used. The message says what to do.
    pub(super) fn open(url: &str, clock: Clock) -> Result<Self, OpenError> {
        let Connections { lock, writer, reader, counter } = open::open(url)?;
        let (writer, prober) = writer::start(lock, writer).map_err(OpenError::Thread)?;
        let reader = reader::start(reader).map_err(OpenError::Thread)?;
        let counter = reader::start(counter).map_err(OpenError::Thread)?;
        Ok(Self { writer, prober, reader, counter, clock })
    }

    /// Moves pages from the write-ahead log into the database file, except those whose old version a reader still needs. Operations do not
    /// wait for it.
    async fn checkpoint(&self) -> Result<(), Failure> {
        self.counter.run(|data| Ok(data.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?)).await
    }
}

impl Backend for Sqlite {
    fn create_clients(&self, every: Vec<ClientToCreate>) -> Operation<'_, Vec<Result<WrittenClient, Refusal>>> {
        let clock = self.clock.clone();
        Box::pin(self.writer.run(move |work| {
            let now = clock.now();
            every.into_iter().map(|one| writer::one_of_several(work, || create_client(work, one, now))).collect()
        }))
    }

    fn client(&self, client_id: String) -> Operation<'_, Client> {
        Box::pin(
            self.reader.run(move |data| find_client(data, client_id)?.ok_or_else(|| Refusal::UnknownClient.into())),
        )
    }

    fn replace_client(&self, client_id: String, version: i64, new: Replacement) -> Operation<'_, Client> {
        let clock = self.clock.clone();
        Box::pin(self.writer.run(move |work| {
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
        }))
    }

    /// `ON DELETE CASCADE` deletes the tokens.
    fn delete_client(&self, client_id: String) -> Operation<'_, ()> {
        Box::pin(self.writer.run(move |work| {
            match work.prepare_cached("DELETE FROM clients WHERE client_id = ?1")?.execute([client_id])? {
                0 => Err(Refusal::UnknownClient.into()),
                _ => Ok(()),
            }
        }))
    }

    fn issue_tokens(&self, every: Vec<TokenToIssue>) -> Operation<'_, Vec<Result<IssuedToken, Refusal>>> {
        let clock = self.clock.clone();
        Box::pin(self.writer.run(move |work| {
            let now = clock.now();
            every.into_iter().map(|one| writer::one_of_several(work, || issue_token(work, one, now))).collect()
        }))
    }

    fn introspect(&self, digest: String) -> Operation<'_, Option<ActiveToken>> {
        let now = self.clock.now();
        Box::pin(self.reader.run(move |data| match find_access_token(data, &digest, now)? {
            Some(token) => Ok(Some(token)),
            None => find_registration_token(data, &digest),
        }))
    }

    fn revoke(&self, digest: String) -> Operation<'_, ()> {
        Box::pin(self.writer.run(move |work| {
            work.prepare_cached("DELETE FROM access_tokens WHERE token_digest = ?1")?.execute([&digest])?;
            work.prepare_cached(
                "UPDATE clients SET registration_token_digest = NULL WHERE registration_token_digest = ?1",
            )?
            .execute([&digest])?;
            Ok(())
        }))
    }

    fn purge_expired(&self, batch: u32) -> Operation<'_, usize> {
        let clock = self.clock.clone();
        Box::pin(self.writer.run(move |work| {
            let now = clock.now().min(clock.steady_now());
            let mut jti = work.prepare_cached(
                "DELETE FROM used_jti WHERE (issuer, jti) IN
                 (SELECT issuer, jti FROM used_jti WHERE expires_at < ?1 ORDER BY expires_at LIMIT ?2)",
            )?;
            let mut tokens = work.prepare_cached(
                "DELETE FROM access_tokens WHERE token_digest IN
                 (SELECT token_digest FROM access_tokens WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)",
            )?;
            Ok(jti.execute(params![now, batch])? + tokens.execute(params![now, batch])?)
        }))
    }

    fn ready(&self) -> Operation<'_, ()> {
        Box::pin(self.prober.run(|work| {
            let mut write = work.prepare_cached(
                "INSERT INTO readiness (id, writes) VALUES (1, 1) ON CONFLICT (id) DO UPDATE SET writes = readiness.writes + 1",
            )?;
            Ok(write.execute([]).map(drop)?)
        }))
    }

    fn counts(&self) -> Operation<'_, Counts> {
        let now = self.clock.now();
        Box::pin(self.counter.run(move |data| {
            let mut count = data.prepare_cached(
                "SELECT (SELECT COUNT(*) FROM clients),
                        (SELECT COUNT(*) FROM access_tokens WHERE expires_at > ?1),
                        (SELECT COUNT(*) FROM used_jti)",
            )?;
            Ok(count.query_row([now], |row| {
                Ok(Counts { clients: row.get(0)?, live_tokens: row.get(1)?, jti_kept: row.get(2)? })
            })?)
        }))
    }

    fn waiting(&self) -> Waiting {
        Waiting { writes: self.writer.waiting(), reads: self.reader.waiting() }
    }

    /// Moves the write-ahead log into the database file. If that fails, the next start reads the log.
    fn close(&self) -> Operation<'_, ()> {
        Box::pin(async {
            self.reader.close().await?;
            self.counter.close().await?;
            self.writer.close().await
        })
    }

    fn housekeeping(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(checkpoint::run(self, checkpoint::INTERVAL))
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::Operation(refusal.into())
    }
}

impl From<serde_json::Error> for Error {
    fn from(error: serde_json::Error) -> Self {
        Self::Operation(error.into())
    }
}
