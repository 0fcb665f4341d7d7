//! Moves the write-ahead log into the database file, beside the writes. Without this task, SQLite would do it in the commit that makes the
//! log too long, and the operations of that commit would wait for it. Answers never depend on it.

use std::time::Duration;

use tokio::time::MissedTickBehavior;

use super::Sqlite;

/// The pause between two rounds. A round flushes the disk if there is something to move.
pub(super) const INTERVAL: Duration = Duration::from_millis(100);

/// The pause after a failure of the database.
const PAUSE: Duration = Duration::from_secs(10);

/// Moves the log every `interval`, as long as the future is polled. A failed round is logged, and the next round tries again.
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
