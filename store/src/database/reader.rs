//! A thread that reads, one order after the other. In WAL mode a reader never waits for the writer, and what is in memory is read in
//! microseconds: there is one such thread for what requests look up, and one for what takes longer.

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
