//! The request body, which arrives after the head: a journey awaits it where it needs it.

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

/// The body is larger than the endpoint takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLarge;

/// The journey's end.
#[derive(Debug, Clone, Default)]
pub struct Body(Rc<RefCell<State>>);

/// The end of whoever receives the body.
#[derive(Debug, Clone)]
pub struct BodySender(Rc<RefCell<State>>);

#[derive(Debug, Default)]
struct State {
    /// The first word counts: what was too large stays so, whatever part of it is sent later.
    arrived: Option<Result<Rc<[u8]>, TooLarge>>,
    waiting: Option<Waker>,
}

impl Body {
    /// A body still to arrive, and the end to send it by.
    pub fn channel() -> (BodySender, Self) {
        let body = Self::default();
        (BodySender(body.0.clone()), body)
    }

    /// Awaits the whole body. It may be read again.
    ///
    /// # Errors
    /// [`TooLarge`].
    pub async fn read(&self) -> Result<Rc<[u8]>, TooLarge> {
        poll_fn(|context| {
            let mut state = self.0.borrow_mut();
            match state.arrived.clone() {
                Some(arrived) => Poll::Ready(arrived),
                None => {
                    state.waiting = Some(context.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }
}

impl BodySender {
    /// The whole body is here.
    pub fn complete(&self, body: Vec<u8>) {
        self.send(Ok(body.into()));
    }

    /// The body will be too large.
    pub fn too_large(&self) {
        self.send(Err(TooLarge));
    }

    fn send(&self, arrived: Result<Rc<[u8]>, TooLarge>) {
        let waiting = {
            let mut state = self.0.borrow_mut();
            state.arrived.get_or_insert(arrived);
            state.waiting.take()
        };
        waiting.into_iter().for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn rg_13_a_body_once_too_large_stays_too_large() {
        let (sender, body) = Body::channel();
        sender.too_large();
        sender.complete(b"a part of it".to_vec());
        assert_eq!(body.read().now_or_never(), Some(Err(TooLarge)));
    }
}
