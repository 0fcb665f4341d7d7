//! `dcr-store`: reads its arguments, serves the API and stops in order.

mod arguments;

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use dcr_store::clock::Clock;
use dcr_store::database::{Database, Failure, OpenError, without_userinfo};
use dcr_store::spans::Spans;
use dcr_store::{api, purge, server};
use opentelemetry_otlp::ExporterBuildError;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tokio::time::timeout;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

use crate::arguments::{ArgumentError, Arguments, LogFormat};

/// One for Rust and for SQLite. With the allocator of musl, an issued token costs twice the processor time.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How long running requests may take after the store was told to stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// How long closing the database may take after that.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// Why the store did not start, or did not stop in order.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Argument(#[from] ArgumentError),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("cannot listen on {0}: {1}; choose another address or port with --listen")]
    Listen(std::net::SocketAddr, std::io::Error),
    #[error("cannot write the ready file `{}`: {error}", path.display())]
    ReadyFile { path: PathBuf, error: std::io::Error },
    #[error("spans cannot be sent: {0}")]
    Spans(#[from] ExporterBuildError),
    #[error("the operating system refused what the store needs: {0}")]
    System(#[from] std::io::Error),
    #[error("the database could not be closed in good order: {0}; nothing is lost, the next start reads its log")]
    Close(#[from] Failure),
    #[error("the database did not close within {} seconds; nothing is lost, the next start reads its log", CLOSE_TIMEOUT.as_secs())]
    CloseTimeout,
}

// One thread serves HTTP. The database has its own threads, and passing requests between threads costs more than serving them.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Err(error) = start_log(&arguments) {
        // `eprintln!` panics if standard error cannot be written.
        drop(writeln!(std::io::stderr(), "dcr-store: --log `{}` cannot be read: {error}", arguments.log));
        return ExitCode::FAILURE;
    }
    match run(arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Starts, serves until a signal comes, and stops.
async fn run(arguments: Arguments) -> Result<(), Error> {
    let credential = arguments.credential()?;
    let limits = arguments.limits();
    let signals = Signals::listen()?;
    let ready_file = ReadyFile::forget_stale(arguments.ready_file)?;
    let clock = Clock::system();
    let database = Database::open(&arguments.database, clock.clone()).await?;
    let listener = TcpListener::bind(arguments.listen).await.map_err(|error| Error::Listen(arguments.listen, error))?;
    let url = format!("http://{}", listener.local_addr()?);

    let (stop, stopped) = oneshot::channel::<()>();
    let spans = arguments.otlp_endpoint.as_ref().map_or_else(|| Ok(Spans::none()), Spans::sent_to)?;
    let app = api::router(database.clone(), clock.clone(), credential, spans.clone());
    let serving = tokio::spawn(server::serve(listener, app, limits, async { drop(stopped.await) }));
    let purging = tokio::spawn(purge::run(database.clone(), clock, purge::INTERVAL));
    let housekeeping = tokio::spawn(database.clone().housekeeping());
    ready_file.write(&url)?;
    tracing::info!(url, database = %without_userinfo(&arguments.database), "listening");

    let signal = signals.wait().await;
    tracing::info!(signal, "stopping");
    drop(ready_file);
    drop(stop);
    purging.abort();
    housekeeping.abort();
    if timeout(STOP_TIMEOUT, serving).await.is_err() {
        tracing::warn!("requests were still running after {} seconds and are cut off", STOP_TIMEOUT.as_secs());
    }
    spans.close().await;
    timeout(CLOSE_TIMEOUT, database.close()).await.map_err(|_elapsed| Error::CloseTimeout)??;
    tracing::info!("stopped");
    Ok(())
}

/// A line that cannot be written (a full disk, a closed pipe) is lost, and nothing else. `tracing_subscriber` would report the loss with
/// `eprintln!` on the same standard error. That panics, and a panic ends the process in the release profile.
fn start_log(arguments: &Arguments) -> Result<(), ParseError> {
    let log = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_new(&arguments.log)?)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .log_internal_errors(false);
    match arguments.log_format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().flatten_event(true).with_span_list(false).init(),
    }
    Ok(())
}

/// The signals that stop the store.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for a signal and returns its name.
    async fn wait(mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// The file that tells a launcher the address of the store. It is removed when it is dropped.
struct ReadyFile(Option<PathBuf>);

impl ReadyFile {
    /// A store that was killed leaves its file behind. A launcher that waits for this store must not see it.
    fn forget_stale(path: Option<PathBuf>) -> Result<Self, Error> {
        match path.as_ref().map(std::fs::remove_file) {
            Some(Err(error)) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::ReadyFile { path: path.unwrap_or_default(), error })
            }
            _ => Ok(Self(path)),
        }
    }

    /// Writes to another file and renames it, so that a launcher never sees a part of the content.
    fn write(&self, url: &str) -> Result<(), Error> {
        let Some(path) = &self.0 else { return Ok(()) };
        let mut partial = path.clone().into_os_string();
        partial.push(".partial");
        write_then_rename(Path::new(&partial), path, url)
            .map_err(|error| Error::ReadyFile { path: path.clone(), error })
    }
}

impl Drop for ReadyFile {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            drop(std::fs::remove_file(path));
        }
    }
}

fn write_then_rename(partial: &Path, path: &Path, content: &str) -> std::io::Result<()> {
    std::fs::write(partial, content)?;
    std::fs::rename(partial, path)
}
