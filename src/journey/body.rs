//! The request body. It arrives after the headers, and a journey waits for it only if it needs it.

use std::rc::Rc;

use crate::shared_once::SharedOnce;

/// Why a journey does not get the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyError {
    /// It is larger than the endpoint accepts.
    TooLarge,
    /// The gateway received it and does not hand it over.
    Withheld,
    /// The upstream, which has the headers, gave its whole answer first. The gateway drops the rest of the request then.
    CutOff,
}

/// The journey's handle of the body.
#[derive(Debug, Clone, Default)]
pub struct Body(SharedOnce<Result<Rc<[u8]>, BodyError>>);

/// The filter's handle, by which it delivers the body. Only the first call counts: a body that was too large remains too large, even if a
/// part of it is delivered later.
#[derive(Debug, Clone)]
pub struct BodySender(SharedOnce<Result<Rc<[u8]>, BodyError>>);

impl Body {
    /// The two handles of a body that has not arrived yet.
    pub fn channel() -> (BodySender, Self) {
        let body = Self::default();
        (BodySender(body.0.clone()), body)
    }

    /// Waits for the whole body. It can be called again.
    ///
    /// # Errors
    /// [`BodyError`] if there is no body to read.
    pub async fn read(&self) -> Result<Rc<[u8]>, BodyError> {
        self.0.get().await
    }

    /// Whether [`Self::read`] returns at once.
    pub fn has_ended(&self) -> bool {
        self.0.is_set()
    }
}

impl BodySender {
    /// Delivers the whole body.
    pub fn complete(&self, body: Vec<u8>) {
        self.0.set(Ok(body.into()));
    }

    /// Reports that the body is too large.
    pub fn too_large(&self) {
        self.0.set(Err(BodyError::TooLarge));
    }

    /// Whether the journey still has to wait for the body, or for the reason why it does not come.
    pub fn is_awaited(&self) -> bool {
        !self.0.is_set()
    }

    /// Reports that the upstream's answer came first.
    pub fn cut_off(&self) {
        self.0.set(Err(BodyError::CutOff));
    }

    /// Reports that the gateway does not hand the body over.
    pub fn withheld(&self) {
        self.0.set(Err(BodyError::Withheld));
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
        assert_eq!(body.read().now_or_never(), Some(Err(BodyError::TooLarge)));
    }
}
