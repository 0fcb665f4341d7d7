//! A small server on its own thread. It outlives the asynchronous runtime that started it; each test has its own runtime.

use std::future::Future;
use std::thread::JoinHandle;

use tokio::sync::oneshot;

use crate::Error;

/// A running server. When it is dropped, it stops the server and waits for the thread.
pub struct Background {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Background {
    /// Starts a new thread with its own runtime. It runs the future that `serve` makes until the future ends or this value is dropped.
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
            // If the server panicked, the panic is already on stderr.
            let _ = thread.join();
        }
    }
}

fn no_thread(name: &str) -> impl Fn(std::io::Error) -> Error {
    move |source| Error::Thread { name: name.into(), source }
}
