//! The source of the current time. Tests can set the time.
//!
//! A machine has two clocks. The wall clock says what time it is, and it can be set: by hand, by NTP, or by a host that resumes the machine.
//! The monotonic clock only counts seconds, and it cannot be set. Requests are judged by the wall clock. What is deleted for good must have
//! expired by both, so that a wall clock that is wrong for a while deletes nothing too early.

use std::fmt;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// A source of the current time.
#[derive(Clone)]
pub struct Clock {
    wall: Seconds,
    steady: Seconds,
}

type Seconds = Arc<dyn Fn() -> i64 + Send + Sync>;

impl Clock {
    /// The machine's clocks.
    ///
    /// A clock before 1970 reads as 0. Every `jti` is then refused as too far ahead, and nothing is purged.
    #[must_use]
    pub fn system() -> Self {
        let (start, started) = (Instant::now(), wall_time());
        let steady = move || started.saturating_add(i64::try_from(start.elapsed().as_secs()).unwrap_or(i64::MAX));
        Self::from_fns(wall_time, steady)
    }

    /// A clock that shows the result of `now`, in Unix seconds. It is never set: both clocks agree.
    pub fn from_fn(now: impl Fn() -> i64 + Send + Sync + 'static) -> Self {
        let now: Seconds = Arc::new(now);
        Self { wall: now.clone(), steady: now }
    }

    /// A clock with these results for [`Self::now`] and [`Self::steady_now`], in Unix seconds.
    pub fn from_fns(
        wall: impl Fn() -> i64 + Send + Sync + 'static,
        steady: impl Fn() -> i64 + Send + Sync + 'static,
    ) -> Self {
        Self { wall: Arc::new(wall), steady: Arc::new(steady) }
    }

    /// The current time by the wall clock, in Unix seconds.
    #[must_use]
    pub fn now(&self) -> i64 {
        (self.wall)()
    }

    /// The time in Unix seconds that the wall clock showed when this clock was made, plus the seconds that the monotonic clock has counted
    /// since.
    #[must_use]
    pub fn steady_now(&self) -> i64 {
        (self.steady)()
    }

    /// The seconds by which the wall clock is ahead of where it would be if it had not been set. Negative: it is behind.
    #[must_use]
    pub fn jump(&self) -> i64 {
        self.now().saturating_sub(self.steady_now())
    }
}

fn wall_time() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_secs()).unwrap_or(i64::MAX)
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Clock({})", self.now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clocks_of_a_machine_agree_unless_one_is_set() {
        let clock = Clock::system();
        assert!(clock.now() > 1_700_000_000);
        assert!(clock.jump().abs() <= 1, "{}", clock.jump());
    }
}
