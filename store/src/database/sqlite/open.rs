//! Opening the database file: the settings that make an answer durable, and who may write.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use percent_encoding::percent_decode_str;
use rusqlite::{Connection, OpenFlags};

use super::schema::{self, SchemaError};

/// How long a request queues, and a transaction waits for the lock of another process on the same file.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(3);

/// More than there are statements in this program, so that each is compiled once a connection.
const MAX_STATEMENTS: usize = 32;

/// Why a file could not be opened as the database.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    /// The URL of a database that would be gone with the process.
    #[error(
        "a database in memory forgets every registration when the store stops: name a file, as `sqlite:./dcr-store.db`"
    )]
    InMemory,
    /// What follows `sqlite:` cannot be understood.
    #[error("the database URL cannot be read: {0}; write `sqlite:PATH`, as `sqlite:./dcr-store.db`")]
    MalformedUrl(&'static str),
    /// The file cannot be created or opened.
    #[error("the database file `{}` cannot be opened for writing: {error}; its folder must exist and belong to this user", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        error: std::io::Error,
    },
    /// The file is there, but SQLite cannot work with it.
    #[error("the file is not a database the store can use: {0}")]
    Connect(#[from] rusqlite::Error),
    /// The schema could not be brought up to date.
    #[error("the database's schema cannot be brought up to date: {0}; a newer dcr-store may have written this file")]
    Migrate(#[from] SchemaError),
    /// The operating system gave no thread to write in.
    #[error("the operating system gave no thread: {0}")]
    Thread(std::io::Error),
}

/// The connections to one database file.
pub(super) struct Connections {
    /// The one that writes: SQLite writes one transaction at a time.
    pub(super) writer: Connection,
    /// One that cannot write, for what a request looks up.
    pub(super) reader: Connection,
    /// Another, for what takes longer.
    pub(super) counter: Connection,
}

/// Opens the file that `url` names, creates it when it is missing, and brings its schema up to date. Waits for the disk.
pub(super) fn open(url: &str) -> Result<Connections, OpenError> {
    let path = path_of(url)?;
    create_private(&path)?;
    let mut writer = connect(&path)?;
    schema::bring_up_to_date(&mut writer)?;
    Ok(Connections { writer, reader: connect_reader(&path)?, counter: connect_reader(&path)? })
}

/// Reads `sqlite:PATH` or `sqlite://PATH`. PATH may be percent-encoded, so that it can hold a `?`. The two modes that may follow say what
/// the store does anyway.
fn path_of(url: &str) -> Result<PathBuf, OpenError> {
    let rest = url.strip_prefix("sqlite:").ok_or(OpenError::MalformedUrl("its scheme is not `sqlite`"))?;
    if url.contains(":memory:") || url.contains("mode=memory") {
        return Err(OpenError::InMemory);
    }
    let rest = rest.strip_prefix("//").unwrap_or(rest);
    let (path, parameters) = rest.split_once('?').unwrap_or((rest, "mode=rwc"));
    if !["mode=rw", "mode=rwc"].contains(&parameters) {
        return Err(OpenError::MalformedUrl("nothing but `mode=rwc` may follow the `?`"));
    }
    let path = percent_decode_str(path).decode_utf8();
    let path = PathBuf::from(&*path.map_err(|_| OpenError::MalformedUrl("its path is not UTF-8"))?);
    // SQLite would take a name that begins with `file:` for a URI.
    std::path::absolute(&path).map_err(|error| OpenError::File { path, error })
}

/// SQLite would create the file readable by everyone; its companions (`-wal`, `-shm`) take over the mode of the file.
fn create_private(path: &Path) -> Result<(), OpenError> {
    let opened = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path);
    opened.map(drop).map_err(|error| OpenError::File { path: path.to_owned(), error })
}

/// With `synchronous=FULL` a commit in WAL mode returns when the log is on the disk: the answer outlives a power loss, not only
/// the process.
///
/// Digests and `jti` are random, and so are the pages of their indexes that each operation changes. A cache of 8 MiB (SQLite's default is 2)
/// holds them and what a transaction changes. A larger cache is slower: at the end of a transaction SQLite searches it, and that takes
/// longer than reading a page from the operating system's cache. A commit that finds the log 64 MiB long (by default 4) waits until the
/// rest of it is in the database file; most of it has been moved there by then (`checkpoint`).
///
/// What a savepoint needs to undo its pages is kept in memory. Beyond 64 KiB, which a transaction of many operations exceeds, SQLite would
/// write it to a file in the system's temporary folder, and that takes as long as the rest of the transaction.
fn connect(path: &Path) -> Result<Connection, rusqlite::Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(MAX_STATEMENTS);
    connection.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;
         PRAGMA cache_size = -8192; PRAGMA wal_autocheckpoint = 16000; PRAGMA temp_store = MEMORY;",
    )?;
    Ok(connection)
}

fn connect_reader(path: &Path) -> Result<Connection, rusqlite::Error> {
    let reader = connect(path)?;
    reader.execute_batch("PRAGMA query_only = ON;")?;
    Ok(reader)
}
