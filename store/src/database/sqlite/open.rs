//! Opens the database file, with the settings that make answers durable and with restricted access.

use std::borrow::Cow;
use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use percent_encoding::percent_decode_str;
use rusqlite::{Connection, OpenFlags};

use super::schema::{self, SchemaError};
use crate::database::without_userinfo;

/// How long a request may wait in the queue, and a transaction for the lock of another process on the same file.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(3);

/// More than the number of statements in this program, so that each is compiled once for each connection.
const MAX_STATEMENTS: usize = 32;

/// Why a file could not be opened as the database.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    /// The URL names a database in memory, which would be lost with the process.
    #[error(
        "a database in memory forgets every registration when the store stops: name a file, as `sqlite:./dcr-store.db`"
    )]
    InMemory,
    /// The text after `sqlite:` is malformed.
    #[error("the database URL cannot be read: {0}; write `sqlite:PATH`, as `sqlite:./dcr-store.db`")]
    MalformedUrl(&'static str),
    /// The file cannot be created or opened.
    #[error(
        "the database file `{file}` cannot be opened for writing: {error}; its folder must exist and belong to this user"
    )]
    File {
        /// The file, or the URL without the password that it may hold.
        file: String,
        /// The error of the operating system.
        error: std::io::Error,
    },
    /// Another process has the file open as its database.
    #[error(
        "the database file `{file}` belongs to another dcr-store that is running: stop that one, or name another file with --database"
    )]
    InUse {
        /// The file, or the URL without the password that it may hold.
        file: String,
    },
    /// The file exists, but SQLite cannot use it.
    #[error("the file is not a database the store can use: {0}")]
    Connect(#[from] rusqlite::Error),
    /// The schema could not be brought up to date.
    #[error("the database's schema cannot be brought up to date: {0}; a newer dcr-store may have written this file")]
    Migrate(#[from] SchemaError),
    /// The operating system gave no thread for the database.
    #[error("the operating system gave no thread: {0}")]
    Thread(std::io::Error),
}

/// The connections to one database file.
pub(super) struct Connections {
    /// Keeps every other store away from the file while it is open.
    pub(super) lock: File,
    /// The connection that writes. SQLite writes one transaction at a time.
    pub(super) writer: Connection,
    /// A read-only connection for what requests look up.
    pub(super) reader: Connection,
    /// A read-only connection for reads that take longer.
    pub(super) counter: Connection,
}

/// Opens the file in `url`, creates it if it is missing, and brings its schema up to date. It blocks on the disk.
pub(super) fn open(url: &str) -> Result<Connections, OpenError> {
    let path = path_of(url)?;
    let file = shown(&path, url);
    let lock = create_private(&path).and_then(|_created| lock_for(&path));
    let lock = lock.map_err(|error| OpenError::File { file: file.clone(), error })?;
    lock.try_lock().map_err(|refused| match refused {
        TryLockError::WouldBlock => OpenError::InUse { file },
        TryLockError::Error(error) => OpenError::File { file, error },
    })?;
    let mut writer = connect(&path)?;
    schema::bring_up_to_date(&mut writer)?;
    Ok(Connections { lock, writer, reader: connect_reader(&path)?, counter: connect_reader(&path)? })
}

/// Reads `sqlite:PATH` or `sqlite://PATH`. PATH may be percent-encoded, so that it can contain a `?`. The two modes that may follow only
/// repeat the store's normal behaviour.
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
    // SQLite would read a name that begins with `file:` as a URI.
    std::path::absolute(&path).map_err(|error| OpenError::File { file: shown(&path, url), error })
}

/// The path of the file, for errors. A part of the URL that may be a password would be a part of the path too.
fn shown(path: &Path, url: &str) -> String {
    match without_userinfo(url) {
        Cow::Borrowed(_) => path.display().to_string(),
        Cow::Owned(url) => url,
    }
}

/// SQLite would create a file that every user can read. Its companion files (`-wal`, `-shm`) get the mode of the file.
fn create_private(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)
}

/// The file whose lock stands for the whole database. It is a file of its own, because SQLite loses its locks when the process closes the
/// database file a second time. It is never removed: a store that has it open already would then lock another file than the next store. The
/// system releases the lock when the process ends, however it ends.
///
/// The same database may be reached by several paths, so the name is made from the path without links.
fn lock_for(path: &Path) -> std::io::Result<File> {
    let mut name = path.canonicalize()?.into_os_string();
    name.push("-lock");
    create_private(Path::new(&name))
}

/// With `synchronous=FULL`, a commit in WAL mode returns when the log is on the disk. So the answer survives a power loss, not only the end
/// of the process.
///
/// Digests and `jti` are random, so each operation changes random pages of their indexes. A cache of 8 MiB (SQLite's default is 2) holds
/// these pages and the changes of a transaction. A larger cache is slower: at the end of a transaction SQLite searches the cache, and that
/// takes longer than reading a page from the operating system's cache. If a commit finds a log of 64 MiB (4 by default), it waits until the
/// rest of the log is in the database file; most of it has been moved there by then (`checkpoint`).
///
/// The old pages that a savepoint needs for undoing are kept in memory. Otherwise SQLite would write them to a temporary file when they
/// exceed 64 KiB, which happens in a transaction of many operations. That takes as long as the rest of the transaction.
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
