//! The task that forgets what has expired. Answers never depend on it: what has expired counts as absent, purged or not.

use std::time::Duration;

use tokio::time::MissedTickBehavior;

use crate::database::Database;

/// How long the task sleeps between two rounds.
pub const INTERVAL: Duration = Duration::from_secs(60);

/// Rows of one kind that one transaction deletes at most, so that a request never waits long for the purge.
pub const BATCH: u32 = 500;

/// Purges every `interval`, for as long as the future is polled. A round that fails is logged and tried again at the next.
pub async fn run(database: Database, interval: Duration) {
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match purge_all(&database).await {
            Ok(0) => {}
            Ok(rows) => tracing::debug!(rows, "purged what has expired"),
            Err(failure) => tracing::warn!(%failure, "purging failed and will be tried again"),
        }
    }
}

/// Purges batch after batch until nothing expired is left; returns the number of rows deleted.
///
/// # Errors
/// The first failure of the database; what was deleted before stays deleted.
pub async fn purge_all(database: &Database) -> Result<usize, crate::database::Failure> {
    let mut purged = 0;
    loop {
        match database.purge_expired(BATCH).await? {
            0 => return Ok(purged),
            rows => purged += rows,
        }
    }
}
