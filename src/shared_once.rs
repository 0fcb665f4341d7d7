//! A value that is set once and that any number of tasks may wait for: the body of a request, the result of a fetch, an answer of the
//! store.

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

/// A handle of the value. The task that sets the value and all tasks that wait for it hold clones.
#[derive(Debug)]
pub(crate) struct SharedOnce<T>(Rc<RefCell<State<T>>>);

#[derive(Debug)]
struct State<T> {
    value: Option<T>,
    waiting: Vec<Waker>,
}

impl<T> SharedOnce<T> {
    /// Sets the value for all that wait now or later. Only the first value counts.
    pub(crate) fn set(&self, value: T) {
        let waiting = {
            let mut state = self.0.borrow_mut();
            state.value.get_or_insert(value);
            std::mem::take(&mut state.waiting)
        };
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Whether the value is there.
    pub(crate) fn is_set(&self) -> bool {
        self.0.borrow().value.is_some()
    }

    /// Whether there is another handle besides the caller's.
    pub(crate) fn is_shared(&self) -> bool {
        Rc::strong_count(&self.0) > 1
    }
}

impl<T: Clone> SharedOnce<T> {
    /// Waits for the value. It can be called again and then returns at once.
    pub(crate) async fn get(&self) -> T {
        poll_fn(|context| {
            let mut state = self.0.borrow_mut();
            match state.value.clone() {
                Some(value) => Poll::Ready(value),
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
        Self(Rc::new(RefCell::new(State { value: None, waiting: Vec::new() })))
    }
}
