//! The thread that writes. SQLite writes one transaction at a time, and a durable one waits for the disk. Whoever comes while the disk
//! works queues, and all who queue share the next transaction: each in a savepoint of its own, so that one who is refused undoes nothing of
//! the others. Nobody is answered before the transaction is on the disk.

use std::sync::Arc;

use rusqlite::{Connection, TransactionBehavior};

use super::Failure;
use super::orders::{Message, Order, Orders, Queue, of_its_own};

/// The most operations of one transaction. More would only let the first wait longer.
const GROUP: usize = 64;

/// Starts the thread that writes; it is given its orders through what is returned. Each is done in a transaction that begins with the
/// write lock, and over when that is on the disk. Of one that fails nothing has happened.
///
/// # Errors
/// When the operating system gives no thread.
pub(super) fn start(connection: Connection) -> std::io::Result<Orders> {
    Orders::start("writer", move |queue| serve(connection, queue))
}

fn serve(mut connection: Connection, mut queue: Queue) {
    let mut next = queue.blocking_recv();
    while let Some(message) = next {
        match message {
            Message::Do(first) => {
                next = share_transaction(&mut connection, first, &mut queue).or_else(|| queue.blocking_recv());
            }
            Message::Close(closed) => {
                queue.close();
                let checkpoint = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
                drop(connection);
                drop(closed.send(checkpoint));
                return;
            }
        }
    }
}

/// Does `first`, and the orders that queue, in one transaction, and answers them. Returns what it took from the queue and is no order.
fn share_transaction(connection: &mut Connection, first: Box<dyn Order>, queue: &mut Queue) -> Option<Message> {
    let (mut group, mut other) = (vec![first], None);
    let ended = transaction(connection, &mut group, || match queue.try_recv().ok()? {
        Message::Do(order) => Some(order),
        message => {
            other = Some(message);
            None
        }
    });
    let ended = ended.map_err(Arc::new);
    for order in group {
        order.answer(ended.clone());
    }
    other
}

/// One transaction of the orders in `group` and of those that `join` it.
fn transaction(
    connection: &mut Connection,
    group: &mut Vec<Box<dyn Order>>,
    mut join: impl FnMut() -> Option<Box<dyn Order>>,
) -> Result<(), rusqlite::Error> {
    let work = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for order in group.iter_mut() {
        run(&work, order.as_mut())?;
    }
    while let Some(mut order) = (group.len() < GROUP).then(&mut join).flatten() {
        let done = run(&work, order.as_mut());
        group.push(order);
        done?;
    }
    work.commit()
}

fn run(work: &Connection, order: &mut dyn Order) -> Result<(), rusqlite::Error> {
    in_savepoint(work, || Ok(((), order.run(work)?)))
}

/// Does one of several operations of an order: what it wrote is undone if it is refused, and only that.
///
/// # Errors
/// Only what ends the whole transaction.
pub(super) fn one_of_several<T>(
    work: &Connection,
    operation: impl FnOnce() -> Result<T, Failure>,
) -> Result<Result<T, Failure>, Failure> {
    Ok(in_savepoint(work, || {
        let result = of_its_own(operation())?;
        let stays = result.is_ok();
        Ok((result, stays))
    })?)
}

/// `operation` returns, beside its result, whether what it wrote is to stay.
fn in_savepoint<T>(
    work: &Connection,
    operation: impl FnOnce() -> Result<(T, bool), rusqlite::Error>,
) -> Result<T, rusqlite::Error> {
    work.prepare_cached("SAVEPOINT an_operation")?.execute([])?;
    let (result, stays) = operation()?;
    if !stays {
        work.prepare_cached("ROLLBACK TO an_operation")?.execute([])?;
    }
    work.prepare_cached("RELEASE an_operation")?.execute([])?;
    Ok(result)
}
