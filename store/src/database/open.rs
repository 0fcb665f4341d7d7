//! Opening the database file: the settings that make an answer durable, the pools, the migrations.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};

static MIGRATIONS: Migrator = sqlx::migrate!();

/// How long a request queues for a connection, and a connection for the lock of another process on the same file.
pub(super) const PATIENCE: Duration = Duration::from_secs(3);

/// Readers never wait for the writer (WAL), only for each other.
const READERS: u32 = 4;

/// The connections to one database file.
#[derive(Debug, Clone)]
pub(super) struct Pools {
    /// One connection: SQLite writes one transaction at a time, and those who queue here cannot fail with `SQLITE_BUSY`.
    pub(super) writer: SqlitePool,
    /// Connections that cannot write.
    pub(super) readers: SqlitePool,
}

/// Why a database could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A URL that is not one of a SQLite file.
    #[error(
        "the database must be a SQLite file, written `sqlite:PATH` (as `sqlite:./dcr-store.db`); other databases are not supported"
    )]
    UnsupportedUrl,
    /// The URL of a database that would be gone with the process.
    #[error(
        "a database in memory forgets every registration when the store stops: name a file, as `sqlite:./dcr-store.db`"
    )]
    InMemory,
    /// What follows `sqlite:` cannot be understood.
    #[error("the database URL cannot be read: {0}; write `sqlite:PATH`, as `sqlite:./dcr-store.db`")]
    MalformedUrl(sqlx::Error),
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
    Connect(#[from] sqlx::Error),
    /// The schema could not be brought up to date.
    #[error("the database's schema cannot be brought up to date: {0}; a newer dcr-store may have written this file")]
    Migrate(#[from] MigrateError),
}

/// Opens the file that `url` names, creates it when it is missing, and brings its schema up to date.
pub(super) async fn open(url: &str) -> Result<Pools, OpenError> {
    let options = durable(parse(url)?);
    create_private(options.get_filename()).await?;

    let writer = pool(1).connect_with(options.clone()).await?;
    MIGRATIONS.run(&writer).await?;
    let readers = pool(READERS).connect_with(options.pragma("query_only", "ON")).await?;
    Ok(Pools { writer, readers })
}

fn parse(url: &str) -> Result<SqliteConnectOptions, OpenError> {
    if !url.starts_with("sqlite:") {
        return Err(OpenError::UnsupportedUrl);
    }
    if url.contains(":memory:") || url.contains("mode=memory") {
        return Err(OpenError::InMemory);
    }
    SqliteConnectOptions::from_str(url).map_err(OpenError::MalformedUrl)
}

/// With `synchronous=FULL` a commit in WAL mode returns when the log is on the disk: the answer outlives a power loss, not only
/// the process.
fn durable(options: SqliteConnectOptions) -> SqliteConnectOptions {
    options
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(PATIENCE)
        .foreign_keys(true)
        .create_if_missing(true)
}

/// SQLite would create the file readable by everyone; its companions (`-wal`, `-shm`) take over the mode of the file.
async fn create_private(path: &Path) -> Result<(), OpenError> {
    let opened = tokio::fs::OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path).await;
    opened.map(drop).map_err(|error| OpenError::File { path: path.to_owned(), error })
}

fn pool(connections: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(PATIENCE)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
}
