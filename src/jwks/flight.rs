//! Fetches under way: one for each source, however many wait for it.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use dcr_policy::Timestamp;

use super::Source;
use crate::shared_once::SharedOnce;

/// The fetches under way, each bringing a `T` to all who wait: a few at a time, if any.
#[derive(Debug, Clone)]
pub(super) struct Flights<T>(Rc<RefCell<Vec<Flight<T>>>>);

#[derive(Debug)]
struct Flight<T> {
    source: Source,
    begun_at: Timestamp,
    brings: SharedOnce<T>,
}

impl<T> Flights<T> {
    /// Whether there is one of this source, lost or not.
    pub(super) fn is_under_way(&self, source: &Source) -> bool {
        self.0.borrow().iter().any(|flight| flight.source == *source)
    }

    /// What the one of this source brings, and whether it falls to the caller to do the work: there was none, or the one that was there is
    /// older than `longest`. Work that the host lost never ends; those who wait for it are served by whoever does it again.
    pub(super) fn join(&self, source: &Source, now: Timestamp, longest: Duration) -> (SharedOnce<T>, bool) {
        let mut flights = self.0.borrow_mut();
        if let Some(flight) = flights.iter_mut().find(|flight| flight.source == *source) {
            let is_lost = now.abs_diff(flight.begun_at) > longest.as_secs();
            if is_lost {
                flight.begun_at = now;
            }
            return (flight.brings.clone(), is_lost);
        }
        let brings = SharedOnce::default();
        flights.push(Flight { source: source.clone(), begun_at: now, brings: brings.clone() });
        (brings, true)
    }

    /// Brings what was waited for.
    pub(super) fn land(&self, source: &Source, brought: T) {
        let place = self.0.borrow().iter().position(|flight| flight.source == *source);
        let landed = place.map(|place| self.0.borrow_mut().swap_remove(place));
        if let Some(flight) = landed {
            flight.brings.bring(brought);
        }
    }
}

impl<T> Default for Flights<T> {
    fn default() -> Self {
        Self(Rc::default())
    }
}
