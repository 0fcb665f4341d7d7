//! A small server on a thread of its own, so that it outlives the asynchronous runtime of whoever started it (each test has one).

use std::future::Future;
use std::thread::JoinHandle;

use tokio::sync::oneshot;

use crate::Error;

/// A running server. Dropping it ends the server and waits for its thread.
pub struct Background {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Background {
    /// Runs the future that `serve` makes, on a new thread with its own runtime, until it ends or this value is dropped.
    pub fn spawn<F, S>(name: &str, serve: S) -> Result<Self, Error>
    where
        F: Future<Output = ()>,
        S: FnOnce() -> F + Send + 'static,
    {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(no_thread(name))?;
        let (stop, stopped) = oneshot::channel();
        let run = move || {
            runtime.block_on(async move {
                tokio::select! { () = serve() => (), _ = stopped => () }
            });
        };
        let thread = std::thread::Builder::new().name(name.into()).spawn(run).map_err(no_thread(name))?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A server that panicked has told so on stderr already.
            let _ = thread.join();
        }
    }
}

fn no_thread(name: &str) -> impl Fn(std::io::Error) -> Error {
    move |source| Error::Thread { name: name.into(), source }
}
