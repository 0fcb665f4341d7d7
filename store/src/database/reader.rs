//! A thread that reads, one order after the other. In WAL mode a reader never waits for the writer, and what is in memory is read in
//! microseconds: one such thread keeps up with all that requests look up, and another has what takes longer. To read in the threads that
//! serve HTTP would save a request about 10 µs of processor time, and let a disk that hangs take `/healthz` and all the rest with it.

use std::sync::Arc;

use rusqlite::Connection;

use super::orders::{Message, Orders, Queue};

/// Starts a thread that reads; it is given its orders through what is returned.
///
/// # Errors
/// When the operating system gives no thread.
pub(super) fn start(connection: Connection) -> std::io::Result<Orders> {
    Orders::start("reader", move |queue| serve(connection, queue))
}

fn serve(connection: Connection, mut queue: Queue) {
    while let Some(message) = queue.blocking_recv() {
        match message {
            Message::Do(mut order) => {
                let done = order.run(&connection).map(drop).map_err(Arc::new);
                order.answer(done);
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
