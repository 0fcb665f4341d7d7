//! The write-ahead log is moved into the database file beside the writing. Without this, SQLite would do it in the commit that makes the log
//! long enough, and the operations of that commit would wait for all of it. Answers never depend on it.

use std::time::Duration;

use tokio::time::MissedTickBehavior;

use super::Sqlite;

/// How long to sleep between two rounds. Each flushes the disk where there is something to move.
pub(super) const INTERVAL: Duration = Duration::from_millis(100);

/// How long to leave a database alone that failed.
const PAUSE: Duration = Duration::from_secs(10);

/// Moves what is in the log every `interval`, for as long as the future is polled. A round that fails is logged and tried again at the next.
pub(super) async fn run(database: &Sqlite, interval: Duration) {
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Err(failure) = database.checkpoint().await {
            tracing::warn!(%failure, "moving the log into the database file failed and will be tried again");
            ticks.reset_after(PAUSE);
        }
    }
}
