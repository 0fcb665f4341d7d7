//! The thread that writes. SQLite writes one transaction at a time, and a durable transaction waits for the disk. Jobs that arrive while
//! the disk is busy wait in the queue, and all queued jobs share the next transaction. Each job has its own savepoint, so a refused job
//! does not undo the others. A caller is answered only when the transaction is on the disk.

use std::fs::File;
use std::sync::Arc;

use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::mpsc;

use super::Error;
use super::thread::{DatabaseThread, FastLane, Job, Message, Queue};
use crate::database::{Failure, Refusal};

/// The most jobs in one transaction. With more, the first job would only wait longer.
pub(super) const MAX_JOBS: usize = 64;

/// Starts the thread that writes. Each job runs in a transaction that begins with the write lock, and ends when that transaction is on the
/// disk. A failed job changes nothing. A job in the fast lane has a transaction of its own. The thread keeps `lock` until the connection is
/// closed.
///
/// # Errors
/// The operating system gave no thread.
pub(super) fn start(lock: File, connection: Connection) -> std::io::Result<(DatabaseThread, FastLane)> {
    let (jobs, urgent) = mpsc::channel(1);
    let thread = DatabaseThread::start("writer", move |queue| serve(lock, connection, queue, urgent))?;
    Ok((thread.clone(), FastLane::beside(thread, jobs)))
}

fn serve(lock: File, mut connection: Connection, mut queue: Queue, mut urgent: mpsc::Receiver<Box<dyn Job>>) {
    let mut next = queue.blocking_recv();
    while let Some(message) = next {
        if let Ok(job) = urgent.try_recv() {
            run_together(&mut connection, job, || None);
        }
        match message {
            Message::Wake => next = queue.blocking_recv(),
            Message::Run(first) => {
                next = share_transaction(&mut connection, first, &mut queue).or_else(|| queue.blocking_recv());
            }
            Message::Close(closed) => {
                queue.close();
                let checkpoint = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
                drop(connection);
                // Once the caller knows, another store can open the file.
                drop(lock);
                drop(closed.send(checkpoint));
                return;
            }
        }
    }
}

/// Runs `first` and the queued jobs in one transaction, and replies to them. Returns the message from the queue that is not a job, if there
/// is one.
fn share_transaction(connection: &mut Connection, first: Box<dyn Job>, queue: &mut Queue) -> Option<Message> {
    let mut other = None;
    run_together(connection, first, || match queue.try_recv().ok()? {
        Message::Run(job) => Some(job),
        message => {
            other = Some(message);
            None
        }
    });
    other
}

/// Runs `first` and those that `join` it in one transaction, and replies to them.
fn run_together(connection: &mut Connection, first: Box<dyn Job>, join: impl FnMut() -> Option<Box<dyn Job>>) {
    let mut jobs = vec![first];
    let ended = transaction(connection, &mut jobs, join).map_err(Arc::new);
    for job in jobs {
        job.reply(ended.clone());
    }
}

/// Runs one transaction with `jobs` and with those that `join` them.
fn transaction(
    connection: &mut Connection,
    jobs: &mut Vec<Box<dyn Job>>,
    mut join: impl FnMut() -> Option<Box<dyn Job>>,
) -> Result<(), rusqlite::Error> {
    let work = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for job in jobs.iter_mut() {
        run(&work, job.as_mut())?;
    }
    while let Some(mut job) = (jobs.len() < MAX_JOBS).then(&mut join).flatten() {
        let done = run(&work, job.as_mut());
        jobs.push(job);
        done?;
    }
    work.commit()
}

fn run(work: &Connection, job: &mut dyn Job) -> Result<(), rusqlite::Error> {
    in_savepoint(work, || Ok(((), job.run(work)?)))
}

/// Runs one of several operations of a job. If it is refused, only its own writes are undone.
///
/// # Errors
/// A failure that ends the whole job.
pub(super) fn one_of_several<T>(
    work: &Connection,
    operation: impl FnOnce() -> Result<T, Error>,
) -> Result<Result<T, Refusal>, Error> {
    in_savepoint(work, || match operation() {
        Ok(done) => Ok((Ok(done), true)),
        Err(Error::Operation(Failure::Refused(refusal))) => Ok((Err(refusal), false)),
        Err(error) => Err(error),
    })
}

/// `operation` returns its result, and whether its writes should be kept.
fn in_savepoint<T, E: From<rusqlite::Error>>(
    work: &Connection,
    operation: impl FnOnce() -> Result<(T, bool), E>,
) -> Result<T, E> {
    work.prepare_cached("SAVEPOINT an_operation")?.execute([])?;
    let (result, stays) = operation()?;
    if !stays {
        work.prepare_cached("ROLLBACK TO an_operation")?.execute([])?;
    }
    work.prepare_cached("RELEASE an_operation")?.execute([])?;
    Ok(result)
}
