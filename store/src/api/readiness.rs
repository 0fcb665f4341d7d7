//! `/readyz`: whether a write can be committed now.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::problem::Problem;
use crate::database::Database;

/// The shortest time between the starts of two writes.
const INTERVAL: Duration = Duration::from_secs(1);

/// The proof that the database can be written to. All that ask within a second share one write and its result.
pub(super) struct Readiness {
    database: Database,
    latest: Mutex<Option<Write>>,
}

/// A write that was started.
struct Write {
    started: Instant,
    /// Whether it was committed. `None` until it has ended.
    committed: watch::Receiver<Option<bool>>,
}

impl Readiness {
    /// The readiness of this database.
    pub(super) fn of(database: Database) -> Self {
        Self { database, latest: Mutex::default() }
    }

    /// Waits for the result of the latest write.
    ///
    /// # Errors
    /// [`Problem::NotReady`] if it was not committed.
    pub(super) async fn check(&self) -> Result<(), Problem> {
        match self.latest().wait_for(Option::is_some).await.as_deref() {
            Ok(Some(true)) => Ok(()),
            _ => Err(Problem::NotReady),
        }
    }

    /// The result of a write that is running or was started within the last second, or else of a new one.
    fn latest(&self) -> watch::Receiver<Option<bool>> {
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        let still_good = |write: &&Write| write.started.elapsed() < INTERVAL || write.committed.borrow().is_none();
        if let Some(write) = latest.as_ref().filter(still_good) {
            return write.committed.clone();
        }
        let write = Write { started: Instant::now(), committed: self.start_write() };
        latest.insert(write).committed.clone()
    }

    /// A task of its own: a caller that goes away must not end the write of the others, nor cause another one.
    fn start_write(&self) -> watch::Receiver<Option<bool>> {
        let (ended, committed) = watch::channel(None);
        let database = self.database.clone();
        tokio::spawn(async move {
            let result = database.ready().await;
            if let Err(failure) = &result {
                tracing::error!(%failure, "not ready: the database cannot be written to");
            }
            ended.send_replace(Some(result.is_ok()));
        });
        committed
    }
}
