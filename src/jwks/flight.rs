//! Fetches under way: one for each source, however many wait for it.

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use super::Source;
use crate::policy::Timestamp;

/// The fetches under way, each bringing a `T` to all who wait: a few at a time, if any.
#[derive(Debug, Clone)]
pub(super) struct Flights<T>(Rc<RefCell<UnderWay<T>>>);

type UnderWay<T> = Vec<(Source, Flight<T>)>;

/// One of them.
#[derive(Debug)]
pub(super) struct Flight<T>(Rc<RefCell<State<T>>>);

#[derive(Debug)]
struct State<T> {
    begun_at: Timestamp,
    brought: Option<T>,
    waiting: Vec<Waker>,
}

impl<T> Flights<T> {
    /// Whether there is one of this source, lost or not.
    pub(super) fn is_under_way(&self, source: &Source) -> bool {
        self.0.borrow().iter().any(|(known, _)| known == source)
    }

    /// The one of this source, and whether it falls to the caller to do the work: there was none, or the one that was there is older than
    /// `longest`. Work that the host lost never ends; those who wait for it are served by whoever does it again.
    pub(super) fn join(&self, source: &Source, now: Timestamp, longest: Duration) -> (Flight<T>, bool) {
        let mut flights = self.0.borrow_mut();
        if let Some((_, flight)) = flights.iter().find(|(known, _)| known == source) {
            let is_lost = now.abs_diff(flight.0.borrow().begun_at) > longest.as_secs();
            if is_lost {
                flight.0.borrow_mut().begun_at = now;
            }
            return (flight.clone(), is_lost);
        }
        let state = State { begun_at: now, brought: None, waiting: Vec::new() };
        let flight = Flight(Rc::new(RefCell::new(state)));
        flights.push((source.clone(), flight.clone()));
        (flight, true)
    }

    /// Brings what was waited for.
    pub(super) fn land(&self, source: &Source, brought: T) {
        let mut flights = self.0.borrow_mut();
        let Some(place) = flights.iter().position(|(known, _)| known == source) else { return };
        let (_, flight) = flights.swap_remove(place);
        drop(flights);
        let waiting = {
            let mut state = flight.0.borrow_mut();
            state.brought = Some(brought);
            std::mem::take(&mut state.waiting)
        };
        waiting.into_iter().for_each(Waker::wake);
    }
}

impl<T> Default for Flights<T> {
    fn default() -> Self {
        Self(Rc::default())
    }
}

impl<T: Clone> Flight<T> {
    /// Awaits its end.
    pub(super) async fn landed(&self) -> T {
        poll_fn(|context| {
            let mut state = self.0.borrow_mut();
            match state.brought.clone() {
                Some(brought) => Poll::Ready(brought),
                None => {
                    state.waiting.push(context.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }
}

impl<T> Clone for Flight<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}
