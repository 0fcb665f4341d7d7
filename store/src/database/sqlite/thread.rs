//! A thread that has a connection, and the operations that queue for it.
//!
//! SQLite waits for the disk where it is called, so it is called in threads of its own (`reader`, `writer`) and never in those that serve
//! HTTP: a slow disk delays only the requests that need it. A job is a whole operation, so it costs two changes of thread however
//! many statements it has, and less than that where several queue.

use std::sync::Arc;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::Error;
use super::open::BUSY_TIMEOUT;
use crate::database::Failure;

/// How many jobs may queue before callers wait for a place.
pub(super) const QUEUE_LENGTH: usize = 256;

/// Where the thread takes its jobs from.
pub(super) type Queue = mpsc::Receiver<Message>;

/// A handle to a thread that runs operations on its connection; cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct DatabaseThread {
    queue: mpsc::Sender<Message>,
}

impl DatabaseThread {
    /// Starts a thread that does what `serve` does with the queue. The queue ends when the last handle is dropped.
    ///
    /// # Errors
    /// When the operating system gives no thread.
    pub(super) fn start(name: &str, serve: impl FnOnce(Queue) + Send + 'static) -> std::io::Result<Self> {
        let (queue, jobs) = mpsc::channel(QUEUE_LENGTH);
        std::thread::Builder::new().name(name.to_owned()).spawn(move || serve(jobs))?;
        Ok(Self { queue })
    }

    /// Runs `operation` in the thread, and returns when it is over. An operation whose caller has left before its turn is not begun.
    ///
    /// # Errors
    /// The operation's own, or [`Failure::Database`] when SQLite failed in it or in the transaction that it was part of.
    pub(super) async fn run<T, F>(&self, operation: F) -> Result<T, Failure>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, Error> + Send + 'static,
    {
        let (reply, replied) = oneshot::channel();
        let job = QueuedOperation { operation: Some(operation), result: None, reply };
        match timeout(BUSY_TIMEOUT, self.queue.send(Message::Run(Box::new(job)))).await {
            Ok(Ok(())) => replied.await.unwrap_or(Err(Failure::Closed)),
            Ok(Err(_)) => Err(Failure::Closed),
            Err(_) => Err(Failure::Overloaded),
        }
    }

    /// Waits for the jobs that queue and has the connection closed. Jobs that come later fail with [`Failure::Closed`].
    ///
    /// # Errors
    /// What failed when the connection was closed, which it is all the same.
    pub(super) async fn close(&self) -> Result<(), Failure> {
        let (closed, closing) = oneshot::channel();
        self.queue.send(Message::Close(closed)).await.map_err(|_| Failure::Closed)?;
        let result = closing.await.map_err(|_| Failure::Closed)?;
        result.map_err(|error| Failure::Database(Arc::new(error)))
    }
}

/// What a thread takes from its queue.
pub(super) enum Message {
    /// A job to run.
    Run(Box<dyn Job>),
    /// Close the connection, and say how that went.
    Close(oneshot::Sender<Result<(), rusqlite::Error>>),
}

/// One operation, whatever its result.
pub(super) trait Job: Send {
    /// Runs the operation, unless its caller has left. Returns whether what it wrote, if anything, is to stay; an error ends the whole
    /// transaction that it is part of.
    fn run(&mut self, connection: &Connection) -> Result<bool, rusqlite::Error>;

    /// Gives the caller its result, now that the transaction has ended.
    fn reply(self: Box<Self>, transaction: Result<(), Arc<rusqlite::Error>>);
}

struct QueuedOperation<T, F> {
    operation: Option<F>,
    result: Option<Result<T, Failure>>,
    reply: oneshot::Sender<Result<T, Failure>>,
}

impl<T, F> Job for QueuedOperation<T, F>
where
    T: Send + 'static,
    F: FnOnce(&Connection) -> Result<T, Error> + Send + 'static,
{
    fn run(&mut self, connection: &Connection) -> Result<bool, rusqlite::Error> {
        let Some(operation) = self.operation.take().filter(|_| !self.reply.is_closed()) else { return Ok(true) };
        let result = match operation(connection) {
            Ok(done) => Ok(done),
            Err(Error::Operation(failure)) => Err(failure),
            Err(Error::Sqlite(error)) => return Err(error),
        };
        let stays = result.is_ok();
        self.result = Some(result);
        Ok(stays)
    }

    fn reply(self: Box<Self>, transaction: Result<(), Arc<rusqlite::Error>>) {
        let result = match (transaction, self.result) {
            (Ok(()), Some(result)) => result,
            (Ok(()), None) => return,
            (Err(error), _) => Err(Failure::Database(error)),
        };
        // A caller who left meanwhile can read later what became of the operation.
        drop(self.reply.send(result));
    }
}
