//! Fetches under way in this VM: at most one for each source, however many requests wait for it.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use dcr_policy::Timestamp;

use super::Source;
use crate::shared_once::SharedOnce;

/// The fetches under way. Each delivers a `T` to all that wait for it. There are only a few at a time.
#[derive(Debug, Clone)]
pub(super) struct Flights<T>(Rc<RefCell<Vec<Flight<T>>>>);

#[derive(Debug)]
struct Flight<T> {
    source: Source,
    begun_at: Timestamp,
    /// Whether the host of the set may be asked. Until then the fetch waits for others from the same host.
    has_begun: bool,
    brings: SharedOnce<T>,
}

impl<T> Flights<T> {
    /// Whether a fetch of this source is under way. A lost one counts too.
    pub(super) fn is_under_way(&self, source: &Source) -> bool {
        self.0.borrow().iter().any(|flight| flight.source == *source)
    }

    /// The future result of the fetch of this source, and whether the caller must do the work. The caller must if there was no fetch, or if
    /// the fetch is older than `longest`: the host can lose work, and lost work never ends. Requests that wait for a lost fetch get the
    /// result of the new one.
    pub(super) fn join(&self, source: &Source, now: Timestamp, longest: Duration) -> (SharedOnce<T>, bool) {
        let mut flights = self.0.borrow_mut();
        if let Some(flight) = flights.iter_mut().find(|flight| flight.source == *source) {
            let is_lost = now.abs_diff(flight.begun_at) > longest.as_secs();
            if is_lost {
                flight.begun_at = now;
                flight.has_begun = false;
            }
            return (flight.brings.clone(), is_lost);
        }
        let brings = SharedOnce::default();
        flights.push(Flight { source: source.clone(), begun_at: now, has_begun: false, brings: brings.clone() });
        (brings, true)
    }

    /// Whether the fetch of this source may begin: its host holds up fewer than `most` others over the same cluster, so that a slow host
    /// leaves room for other hosts. Fetches older than `longest` are lost and do not count.
    pub(super) fn begin(&self, source: &Source, most: usize, now: Timestamp, longest: Duration) -> bool {
        let mut flights = self.0.borrow_mut();
        let is_held_up = |flight: &&Flight<T>| {
            flight.has_begun && flight.source.has_host_of(source) && now.abs_diff(flight.begun_at) <= longest.as_secs()
        };
        let may_begin = flights.iter().filter(is_held_up).count() < most;
        if let Some(flight) = flights.iter_mut().find(|flight| flight.source == *source).filter(|_| may_begin) {
            flight.has_begun = true;
        }
        may_begin
    }

    /// Delivers `brought` to all that wait, and ends the fetch.
    pub(super) fn land(&self, source: &Source, brought: T) {
        let place = self.0.borrow().iter().position(|flight| flight.source == *source);
        let landed = place.map(|place| self.0.borrow_mut().swap_remove(place));
        if let Some(flight) = landed {
            flight.brings.set(brought);
        }
    }
}

impl<T> Default for Flights<T> {
    fn default() -> Self {
        Self(Rc::default())
    }
}
