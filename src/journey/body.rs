//! The request body, which arrives after the head: a journey awaits it where it needs it.

use std::rc::Rc;

use crate::shared_once::SharedOnce;

/// The body is larger than the endpoint takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLarge;

/// The journey's end.
#[derive(Debug, Clone, Default)]
pub struct Body(SharedOnce<Result<Rc<[u8]>, TooLarge>>);

/// The end of whoever receives the body. The first word counts: what was too large stays so, whatever part of it is sent later.
#[derive(Debug, Clone)]
pub struct BodySender(SharedOnce<Result<Rc<[u8]>, TooLarge>>);

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
        self.0.arrived().await
    }
}

impl BodySender {
    /// The whole body is here.
    pub fn complete(&self, body: Vec<u8>) {
        self.0.bring(Ok(body.into()));
    }

    /// The body will be too large.
    pub fn too_large(&self) {
        self.0.bring(Err(TooLarge));
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
