//! The task that deletes expired rows. Answers never depend on it, because expired rows count as absent.
//!
//! A row is deleted only when it has expired by both clocks of the machine ([`Clock`]). If the wall clock jumps ahead and is set right
//! later, the `jti` of assertions that can still be used are still there.

use std::time::Duration;

use tokio::time::MissedTickBehavior;

use crate::clock::Clock;
use crate::database::Database;

/// The pause between two rounds.
pub const INTERVAL: Duration = Duration::from_secs(60);

/// The most rows of one kind that one transaction deletes, so that a request never waits long for the purge.
pub const BATCH: u32 = 500;

/// The difference in seconds between the two clocks that is not yet a jump. Both are read in whole seconds, and not at the same moment.
pub const JUMP_TOLERANCE: i64 = 10;

/// Purges every `interval`, as long as the future is polled. A failed round is logged, and the next round tries again. A jump of the wall
/// clock is logged once.
pub async fn run(database: Database, clock: Clock, interval: Duration) {
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut jumps = Jumps::default();
    loop {
        ticks.tick().await;
        jumps.look(&clock);
        match purge_all(&database).await {
            Ok(0) => {}
            Ok(rows) => tracing::debug!(rows, "purged what has expired"),
            Err(failure) => tracing::warn!(%failure, "purging failed and will be tried again"),
        }
    }
}

/// The jumps of the wall clock, of which each is logged once.
#[derive(Debug, Default)]
struct Jumps {
    /// The jump that was logged last, in seconds.
    logged: i64,
}

impl Jumps {
    fn look(&mut self, clock: &Clock) {
        let jump = clock.jump();
        if jump.saturating_sub(self.logged).saturating_abs() <= JUMP_TOLERANCE {
            return;
        }
        self.logged = jump;
        let seconds = jump.saturating_abs();
        if seconds <= JUMP_TOLERANCE {
            tracing::info!("the clock of this machine agrees with its monotonic clock again");
        } else if jump > 0 {
            tracing::warn!(
                seconds,
                "the clock of this machine jumped ahead; used jti and expired tokens are kept for that much longer; \
                 set the clock right, or restart dcr-store if the clock is right now"
            );
        } else {
            tracing::warn!(
                seconds,
                "the clock of this machine jumped back; what had expired may be accepted again for that long; set the clock right, \
                 or restart dcr-store if the clock is right now"
            );
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::*;
    use crate::test_log::TestLog;

    const NOW: i64 = 1_643_090_861;

    /// A clock, and the two times that it shows.
    fn clock() -> (Clock, [Arc<AtomicI64>; 2]) {
        let times = [(); 2].map(|()| Arc::new(AtomicI64::new(NOW)));
        let [wall, steady] = times.clone();
        (Clock::from_fns(move || wall.load(Ordering::SeqCst), move || steady.load(Ordering::SeqCst)), times)
    }

    #[test]
    fn each_jump_is_told_once_with_what_to_do() {
        let (log, _guard) = TestLog::start();
        let (clock, [wall, steady]) = clock();
        let mut jumps = Jumps::default();
        let mut told = |wall_time: i64, steady_time: i64| {
            let before = log.lines().len();
            wall.store(wall_time, Ordering::SeqCst);
            steady.store(steady_time, Ordering::SeqCst);
            (0..3).for_each(|_| jumps.look(&clock));
            log.lines().split_off(before)
        };
        assert_eq!(told(NOW + JUMP_TOLERANCE, NOW), [""; 0]);
        for (wall_time, words) in [
            (NOW + 3600, ["WARN", "jumped ahead", "seconds=3600", "set the clock right"]),
            (NOW + 7200, ["WARN", "jumped ahead", "seconds=7200", "restart dcr-store"]),
            (NOW, ["INFO", "agrees", "monotonic", "again"]),
            (NOW - 60, ["WARN", "jumped back", "seconds=60", "set the clock right"]),
        ] {
            let lines = told(wall_time, NOW);
            assert!(matches!(&*lines, [line] if words.iter().all(|word| line.contains(word))), "{words:?}: {lines:?}");
        }
        assert_eq!(told(NOW + 940, NOW + 1000), [""; 0], "the jump is the same while time goes on");
    }

    #[tokio::test]
    async fn the_task_tells_of_a_jump_and_keeps_what_has_not_expired_by_the_monotonic_clock() {
        use crate::model::{Jti, NewClient, Record, Software};

        let (log, _guard) = TestLog::start();
        let (clock, [wall, steady]) = clock();
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("store.db").display());
        let database = Database::open(&url, clock.clone()).await.unwrap();
        let used = |jti: &str, expires_at| NewClient {
            request_id: None,
            traceparent: None,
            software: Software { issuer: "OpenBanking Ltd".to_owned(), id: "sgsMuc8ACBgBzinpr8oJ8B".to_owned() },
            single_registration: false,
            registration_access_token: false,
            consume_jti: vec![Jti { issuer: "scope".to_owned(), jti: jti.to_owned(), expires_at }],
            record: Record::from_text("{}".to_owned()).unwrap(),
        };
        let every = vec![used("short", NOW + 10), used("long", NOW + 600)];
        assert!(database.create_clients(every).await.unwrap().iter().all(Result::is_ok));

        // The wall clock jumps ahead by a day, and 11 seconds pass.
        wall.store(NOW + 86_400, Ordering::SeqCst);
        steady.store(NOW + 11, Ordering::SeqCst);
        let kept = async {
            loop {
                let kept = database.counts().await.unwrap().jti_kept;
                if kept < 2 && !log.lines().is_empty() {
                    break kept;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            kept = kept => assert_eq!(kept, 1, "only what has expired by both clocks is gone"),
            () = run(database.clone(), clock.clone(), Duration::from_millis(1)) => unreachable!("it runs for ever"),
        }
        assert_eq!(purge_all(&database).await.unwrap(), 0);
        let lines = log.lines();
        assert!(matches!(&*lines, [line] if line.contains("jumped ahead")), "{lines:?}");

        // The clock is right again. The assertion that has not expired cannot be used a second time.
        wall.store(NOW + 11, Ordering::SeqCst);
        let again = database.create_clients(vec![used("long", NOW + 600)]).await.unwrap();
        assert!(matches!(&*again, [Err(crate::database::Refusal::Replayed { index: 0 })]), "{again:?}");
    }
}
