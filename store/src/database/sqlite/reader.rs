//! A thread that reads, one job after the other. In WAL mode a reader never waits for the writer, and what is in memory is read in
//! microseconds: one such thread keeps up with all that requests look up, and another has what takes longer. To read in the threads that
//! serve HTTP would save a request about 10 µs of processor time, but a disk that hangs would then block `/healthz` and everything else.

use std::sync::Arc;

use rusqlite::Connection;

use super::thread::{DatabaseThread, Message, Queue};

/// Starts a thread that reads.
///
/// # Errors
/// When the operating system gives no thread.
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
            Message::Close(closed) => {
                queue.close();
                drop(connection);
                drop(closed.send(Ok(())));
                return;
            }
        }
    }
}
