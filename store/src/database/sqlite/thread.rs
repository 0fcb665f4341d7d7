//! A thread with a connection, and the queue of its operations.
//!
//! SQLite blocks while it waits for the disk. So it is called in its own threads (`reader`, `writer`) and never in those that serve HTTP: a
//! slow disk delays only the requests that need it. A job is a whole operation, so it costs two thread switches however many statements it
//! has, and fewer if several jobs queue.

use std::sync::Arc;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::Error;
use super::open::BUSY_TIMEOUT;
use crate::database::Failure;

/// How many jobs may queue before callers must wait for a place.
pub(super) const QUEUE_LENGTH: usize = 256;

/// The queue from which the thread takes its jobs.
pub(super) type Queue = mpsc::Receiver<Message>;

/// A handle to a thread that runs operations on its connection. It is cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct DatabaseThread {
    queue: mpsc::Sender<Message>,
}

impl DatabaseThread {
    /// Starts a thread that runs `serve` with the queue. The queue ends when the last handle is dropped.
    ///
    /// # Errors
    /// The operating system gave no thread.
    pub(super) fn start(name: &str, serve: impl FnOnce(Queue) + Send + 'static) -> std::io::Result<Self> {
        let (queue, jobs) = mpsc::channel(QUEUE_LENGTH);
        std::thread::Builder::new().name(name.to_owned()).spawn(move || serve(jobs))?;
        Ok(Self { queue })
    }

    /// Runs `operation` in the thread, and returns when it has ended. An operation is not started if its caller has gone before its turn.
    ///
    /// # Errors
    /// The error of the operation, or [`Failure::Database`] if SQLite failed in it or in its transaction.
    pub(super) async fn run<T, F>(&self, operation: F) -> Result<T, Failure>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, Error> + Send + 'static,
    {
        let (job, replied) = job(operation);
        match timeout(BUSY_TIMEOUT, self.queue.send(Message::Run(job))).await {
            Ok(Ok(())) => replied.await.unwrap_or(Err(Failure::Closed)),
            Ok(Err(_)) => Err(Failure::Closed),
            Err(_) => Err(Failure::Overloaded),
        }
    }

    /// How many jobs are in the queue.
    pub(super) fn waiting(&self) -> usize {
        self.queue.max_capacity().saturating_sub(self.queue.capacity())
    }

    /// Wakes the thread if it waits for a message. If the queue is full, the thread is not waiting.
    fn wake(&self) {
        drop(self.queue.try_send(Message::Wake));
    }

    /// Waits for the jobs in the queue and closes the connection. Later jobs fail with [`Failure::Closed`].
    ///
    /// # Errors
    /// The failure while closing. The connection is closed all the same.
    pub(super) async fn close(&self) -> Result<(), Failure> {
        let (closed, closing) = oneshot::channel();
        self.queue.send(Message::Close(closed)).await.map_err(|_| Failure::Closed)?;
        let result = closing.await.map_err(|_| Failure::Closed)?;
        result.map_err(|error| Failure::Database(Arc::new(error)))
    }
}

/// A way past the queue of a thread, for one job at a time: the thread runs it before the next message of the queue.
#[derive(Debug)]
pub(super) struct FastLane {
    jobs: mpsc::Sender<Box<dyn Job>>,
    thread: DatabaseThread,
}

impl FastLane {
    /// A way past the queue of `thread`, and where the thread finds the job.
    pub(super) fn beside(thread: DatabaseThread, jobs: mpsc::Sender<Box<dyn Job>>) -> Self {
        Self { jobs, thread }
    }

    /// Runs `operation` in the thread as soon as what it is running has ended.
    ///
    /// # Errors
    /// As for [`DatabaseThread::run`], and [`Failure::Timeout`].
    pub(super) async fn run<T, F>(&self, operation: F) -> Result<T, Failure>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, Error> + Send + 'static,
    {
        let (job, replied) = job(operation);
        let done = async {
            self.jobs.send(job).await.map_err(|_| Failure::Closed)?;
            self.thread.wake();
            replied.await.unwrap_or(Err(Failure::Closed))
        };
        timeout(BUSY_TIMEOUT, done).await.unwrap_or(Err(Failure::Timeout))
    }
}

/// A message in the queue of a thread.
pub(super) enum Message {
    /// A job to run.
    Run(Box<dyn Job>),
    /// Look for a job in the fast lane.
    Wake,
    /// Close the connection, and report the result.
    Close(oneshot::Sender<Result<(), rusqlite::Error>>),
}

/// One operation with any type of result.
pub(super) trait Job: Send {
    /// Runs the operation, unless its caller has gone. Returns whether its writes, if any, should be kept. An error ends the whole
    /// transaction that the operation is part of.
    fn run(&mut self, connection: &Connection) -> Result<bool, rusqlite::Error>;

    /// Gives the caller its result. It is called after the transaction has ended.
    fn reply(self: Box<Self>, transaction: Result<(), Arc<rusqlite::Error>>);
}

/// A job that runs `operation`, and where its result arrives.
fn job<T, F>(operation: F) -> (Box<dyn Job>, oneshot::Receiver<Result<T, Failure>>)
where
    T: Send + 'static,
    F: FnOnce(&Connection) -> Result<T, Error> + Send + 'static,
{
    let (reply, replied) = oneshot::channel();
    (Box::new(QueuedOperation { operation: Some(operation), result: None, reply }), replied)
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
        // If the caller has gone, it can find out the effect of the operation by a later read.
        drop(self.reply.send(result));
    }
}
