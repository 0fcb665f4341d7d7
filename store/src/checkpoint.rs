//! The task that moves the write-ahead log into the database file. SQLite would do it in the commit that makes the log long enough, and
//! whoever writes would wait for all of it; here it goes on beside the writing. Answers never depend on it.

use std::time::Duration;

use tokio::time::MissedTickBehavior;

use crate::database::Database;

/// How long the task sleeps between two rounds. Each flushes the disk where there is something to move.
pub const INTERVAL: Duration = Duration::from_millis(100);

/// How long it leaves a database alone that failed.
const PAUSE: Duration = Duration::from_secs(10);

/// Moves what is in the log every `interval`, for as long as the future is polled. A round that fails is logged and tried again at the next.
pub async fn run(database: Database, interval: Duration) {
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
