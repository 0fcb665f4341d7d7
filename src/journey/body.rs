//! The request body. It arrives after the headers, and a journey waits for it only if it needs it.

use std::rc::Rc;

use crate::shared_once::SharedOnce;

/// The body is larger than the endpoint accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLarge;

/// The journey's handle of the body.
#[derive(Debug, Clone, Default)]
pub struct Body(SharedOnce<Result<Rc<[u8]>, TooLarge>>);

/// The filter's handle, by which it delivers the body. Only the first call counts: a body that was too large remains too large, even if a
/// part of it is delivered later.
#[derive(Debug, Clone)]
pub struct BodySender(SharedOnce<Result<Rc<[u8]>, TooLarge>>);

impl Body {
    /// The two handles of a body that has not arrived yet.
    pub fn channel() -> (BodySender, Self) {
        let body = Self::default();
        (BodySender(body.0.clone()), body)
    }

    /// Waits for the whole body. It can be called again.
    ///
    /// # Errors
    /// [`TooLarge`] if the body is larger than the endpoint accepts.
    pub async fn read(&self) -> Result<Rc<[u8]>, TooLarge> {
        self.0.get().await
    }
}

impl BodySender {
    /// Delivers the whole body.
    pub fn complete(&self, body: Vec<u8>) {
        self.0.set(Ok(body.into()));
    }

    /// Reports that the body is too large.
    pub fn too_large(&self) {
        self.0.set(Err(TooLarge));
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
