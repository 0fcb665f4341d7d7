//! What is asked of a thread that has a connection: orders that queue. SQLite waits for the disk where it is called, so it is called in
//! threads of its own (`reader`, `writer`) and never in those that serve HTTP: a disk that is slow makes those wait who need it, and nobody
//! else. An order is a whole operation, so that it costs two changes of thread however many statements it has, and less than that where
//! several queue.

use std::sync::Arc;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::Failure;
use super::open::PATIENCE;

/// How many orders may queue before callers wait for a place.
pub(super) const QUEUE: usize = 256;

/// Where the thread takes its orders from.
pub(super) type Queue = mpsc::Receiver<Message>;

/// Where orders are given; cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Orders {
    queue: mpsc::Sender<Message>,
}

impl Orders {
    /// Starts a thread that does what `serve` does with the queue. The queue ends when nobody can give orders any more.
    ///
    /// # Errors
    /// When the operating system gives no thread.
    pub(super) fn start(thread: &str, serve: impl FnOnce(Queue) + Send + 'static) -> std::io::Result<Self> {
        let (queue, orders) = mpsc::channel(QUEUE);
        std::thread::Builder::new().name(thread.to_owned()).spawn(move || serve(orders))?;
        Ok(Self { queue })
    }

    /// Has `operation` done, and returns when it is over. One whose caller has left before its turn is not begun.
    ///
    /// # Errors
    /// The operation's own, or [`Failure::Transaction`] when SQLite failed in it or in the transaction that it was part of.
    pub(super) async fn give<T, F>(&self, operation: F) -> Result<T, Failure>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, Failure> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let order = Pending { operation: Some(operation), result: None, answer };
        match timeout(PATIENCE, self.queue.send(Message::Do(Box::new(order)))).await {
            Ok(Ok(())) => answered.await.unwrap_or(Err(Failure::Closed)),
            Ok(Err(_)) => Err(Failure::Closed),
            Err(_) => Err(Failure::Overloaded),
        }
    }

    /// Waits for the orders that queue and has the connection closed. Whoever comes later finds it closed.
    ///
    /// # Errors
    /// What failed when the connection was closed, which it is all the same.
    pub(super) async fn close(&self) -> Result<(), Failure> {
        let (closed, closing) = oneshot::channel();
        self.queue.send(Message::Close(closed)).await.map_err(|_| Failure::Closed)?;
        Ok(closing.await.map_err(|_| Failure::Closed)??)
    }
}

/// What a thread takes from its queue.
pub(super) enum Message {
    /// An order to do.
    Do(Box<dyn Order>),
    /// Close the connection, and say how that went.
    Close(oneshot::Sender<Result<(), rusqlite::Error>>),
}

/// One operation, whatever it results in.
pub(super) trait Order: Send {
    /// Does the operation, unless its caller has left. Returns whether what it wrote, if anything, is to stay; an error ends the whole
    /// transaction that it is part of.
    fn run(&mut self, connection: &Connection) -> Result<bool, rusqlite::Error>;

    /// Tells the caller, now that the transaction has ended.
    fn answer(self: Box<Self>, transaction: Result<(), Arc<rusqlite::Error>>);
}

/// What became of an operation, if that concerns it alone.
///
/// # Errors
/// After some failures SQLite has undone the whole transaction, savepoints and all.
pub(super) fn of_its_own<T>(result: Result<T, Failure>) -> Result<Result<T, Failure>, rusqlite::Error> {
    match result {
        Err(Failure::Database(error)) => Err(error),
        result => Ok(result),
    }
}

struct Pending<T, F> {
    operation: Option<F>,
    result: Option<Result<T, Failure>>,
    answer: oneshot::Sender<Result<T, Failure>>,
}

impl<T, F> Order for Pending<T, F>
where
    T: Send + 'static,
    F: FnOnce(&Connection) -> Result<T, Failure> + Send + 'static,
{
    fn run(&mut self, connection: &Connection) -> Result<bool, rusqlite::Error> {
        let Some(operation) = self.operation.take().filter(|_| !self.answer.is_closed()) else { return Ok(true) };
        let result = of_its_own(operation(connection))?;
        let stays = result.is_ok();
        self.result = Some(result);
        Ok(stays)
    }

    fn answer(self: Box<Self>, transaction: Result<(), Arc<rusqlite::Error>>) {
        let answer = match (transaction, self.result) {
            (Ok(()), Some(result)) => result,
            (Ok(()), None) => return,
            (Err(error), _) => Err(Failure::Transaction(error)),
        };
        // A caller who left meanwhile will read what became of it.
        drop(self.answer.send(answer));
    }
}
