//! The task that deletes expired rows. Answers never depend on it, because expired rows count as absent.

use std::time::Duration;

use tokio::time::MissedTickBehavior;

use crate::database::Database;

/// The pause between two rounds.
pub const INTERVAL: Duration = Duration::from_secs(60);

/// The most rows of one kind that one transaction deletes, so that a request never waits long for the purge.
pub const BATCH: u32 = 500;

/// Purges every `interval`, as long as the future is polled. A failed round is logged, and the next round tries again.
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

/// Purges batch after batch until no expired row is left. Returns the number of deleted rows.
///
/// # Errors
/// The first failure of the database. The rows that were deleted before stay deleted.
pub async fn purge_all(database: &Database) -> Result<usize, crate::database::Failure> {
    let mut purged = 0;
    loop {
        match database.purge_expired(BATCH).await? {
            0 => return Ok(purged),
            rows => purged += rows,
        }
    }
}
