//! A thread that reads, one job after the other. In WAL mode a reader never waits for the writer, and data in memory is read in
//! microseconds. So one thread is fast enough for everything that requests look up; another thread runs the reads that take longer. Reading
//! in the threads that serve HTTP would save about 10 µs of processor time for each request. But then a disk that hangs would block
//! `/healthz` and every other request.

use std::sync::Arc;

use rusqlite::Connection;

use super::thread::{DatabaseThread, Message, Queue};

/// Starts a thread that reads.
///
/// # Errors
/// The operating system gave no thread.
pub(super) fn start(connection: Connection) -> std::io::Result<DatabaseThread> {
    DatabaseThread::start("reader", move |queue| serve(connection, queue))
}

fn serve(connection: Connection, mut queue: Queue) {
    while let Some(message) = queue.blocking_recv() {
        match message {
            Message::Run(mut job) => {
                let done = job.run(&connection).map(drop).map_err(Arc::new);
                job.reply(done);
            }
            Message::Wake => {}
            Message::Close(closed) => {
                queue.close();
                drop(connection);
                drop(closed.send(Ok(())));
                return;
            }
        }
    }
}
