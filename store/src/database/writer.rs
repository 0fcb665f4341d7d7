//! The one writer. SQLite writes one transaction at a time, and a durable one waits for the disk. Whoever comes while the disk works queues,
//! and all who queue share the next transaction: each in a savepoint of its own, so that one who is refused undoes nothing of the others.
//! Nobody is answered before the transaction is on the disk.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use sqlx::sqlite::SqlitePool;
use sqlx::{Connection, SqliteConnection};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::Failure;
use super::open::PATIENCE;

/// The most operations of one transaction. More would only let the first wait longer.
const GROUP: usize = 64;

/// How many operations may queue before callers wait for a place.
const QUEUE: usize = 256;

/// What an operation does with the connection.
pub(super) type Doing<'c, T> = Pin<Box<dyn Future<Output = Result<T, Failure>> + Send + 'c>>;

/// Where operations queue; cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Writer {
    orders: mpsc::Sender<Box<dyn Order>>,
}

impl Writer {
    /// Starts the task that writes. It ends when nobody can queue any more.
    pub(super) fn start(pool: SqlitePool) -> Self {
        let (orders, queue) = mpsc::channel(QUEUE);
        tokio::spawn(serve(pool, queue));
        Self { orders }
    }

    /// Does `operation` in a transaction that begins with the write lock, and returns when it is on the disk. Of an operation that fails
    /// nothing has happened; one whose caller has left before its turn is not begun.
    ///
    /// # Errors
    /// The operation's own, or [`Failure::Transaction`] when the transaction that it was part of failed as a whole.
    pub(super) async fn write<T, F>(&self, operation: F) -> Result<T, Failure>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut SqliteConnection) -> Doing<'c, T> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let order = Pending { operation: Some(operation), result: None, answer };
        match timeout(PATIENCE, self.orders.send(Box::new(order))).await {
            Ok(Ok(())) => answered.await.unwrap_or(Err(sqlx::Error::PoolClosed.into())),
            Ok(Err(_)) => Err(sqlx::Error::PoolClosed.into()),
            Err(_) => Err(sqlx::Error::PoolTimedOut.into()),
        }
    }
}

/// One operation, whatever it results in.
trait Order: Send {
    /// Does the operation as a part of the transaction; an error ends the whole transaction.
    fn run<'c>(
        &'c mut self,
        work: &'c mut SqliteConnection,
    ) -> Pin<Box<dyn Future<Output = Result<(), sqlx::Error>> + Send + 'c>>;

    /// Tells the caller, now that the transaction has ended.
    fn answer(self: Box<Self>, transaction: Result<(), Arc<sqlx::Error>>);
}

struct Pending<T, F> {
    operation: Option<F>,
    result: Option<Result<T, Failure>>,
    answer: oneshot::Sender<Result<T, Failure>>,
}

impl<T, F> Order for Pending<T, F>
where
    T: Send + 'static,
    F: for<'c> FnOnce(&'c mut SqliteConnection) -> Doing<'c, T> + Send + 'static,
{
    fn run<'c>(
        &'c mut self,
        work: &'c mut SqliteConnection,
    ) -> Pin<Box<dyn Future<Output = Result<(), sqlx::Error>> + Send + 'c>> {
        Box::pin(async move {
            let Some(operation) = self.operation.take().filter(|_| !self.answer.is_closed()) else { return Ok(()) };
            let mut part = work.begin().await?;
            match operation(&mut part).await {
                Ok(value) => {
                    part.commit().await?;
                    self.result = Some(Ok(value));
                }
                // After some failures SQLite has undone the whole transaction, savepoints and all.
                Err(Failure::Database(error)) => return Err(error),
                Err(refused) => {
                    part.rollback().await?;
                    self.result = Some(Err(refused));
                }
            }
            Ok(())
        })
    }

    fn answer(self: Box<Self>, transaction: Result<(), Arc<sqlx::Error>>) {
        let answer = match (transaction, self.result) {
            (Ok(()), Some(result)) => result,
            (Ok(()), None) => return,
            (Err(error), _) => Err(Failure::Transaction(error)),
        };
        // A caller who left meanwhile will read what became of it.
        drop(self.answer.send(answer));
    }
}

async fn serve(pool: SqlitePool, mut queue: mpsc::Receiver<Box<dyn Order>>) {
    while let Some(first) = queue.recv().await {
        let mut group = vec![first];
        let ended = transaction(&pool, &mut queue, &mut group).await.map_err(Arc::new);
        for order in group {
            order.answer(ended.clone());
        }
    }
}

/// One transaction of the orders in `group` and of those that queue, which join it.
async fn transaction(
    pool: &SqlitePool,
    queue: &mut mpsc::Receiver<Box<dyn Order>>,
    group: &mut Vec<Box<dyn Order>>,
) -> Result<(), sqlx::Error> {
    let mut work = pool.begin_with("BEGIN IMMEDIATE").await?;
    for order in group.iter_mut() {
        order.run(&mut work).await?;
    }
    while let Some(mut order) = (group.len() < GROUP).then(|| queue.try_recv().ok()).flatten() {
        let done = order.run(&mut work).await;
        group.push(order);
        done?;
    }
    work.commit().await
}
