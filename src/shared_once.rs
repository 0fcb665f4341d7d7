//! Something that arrives once, and that any number may wait for: a request's body, a fetch's result, an answer of the store.

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

/// One end of it. Whoever brings it and all who wait hold clones.
#[derive(Debug)]
pub(crate) struct SharedOnce<T>(Rc<RefCell<State<T>>>);

#[derive(Debug)]
struct State<T> {
    arrived: Option<T>,
    waiting: Vec<Waker>,
}

impl<T> SharedOnce<T> {
    /// Brings it to all who wait, and to those who ask later. What was brought first stays.
    pub(crate) fn bring(&self, value: T) {
        let waiting = {
            let mut state = self.0.borrow_mut();
            state.arrived.get_or_insert(value);
            std::mem::take(&mut state.waiting)
        };
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Whether anybody but the caller holds an end of it.
    pub(crate) fn is_shared(&self) -> bool {
        Rc::strong_count(&self.0) > 1
    }
}

impl<T: Clone> SharedOnce<T> {
    /// Awaits it. It may be awaited again.
    pub(crate) async fn arrived(&self) -> T {
        poll_fn(|context| {
            let mut state = self.0.borrow_mut();
            match state.arrived.clone() {
                Some(arrived) => Poll::Ready(arrived),
                None => {
                    state.waiting.push(context.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }
}

impl<T> Clone for SharedOnce<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Default for SharedOnce<T> {
    fn default() -> Self {
        Self(Rc::new(RefCell::new(State { arrived: None, waiting: Vec::new() })))
    }
}
