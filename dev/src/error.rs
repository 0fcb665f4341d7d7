use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

/// Why a gateway did not start, or could not be called.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file that must be built or installed first is missing.
    #[error("{what} is not at {}; `{remedy}` puts it there", path.display())]
    Missing {
        /// The missing file, for people.
        what: &'static str,
        /// Where it was expected.
        path: PathBuf,
        /// The command that makes it.
        remedy: &'static str,
    },
    /// A program ended that should keep running.
    #[error("{program} ended ({status}); its log ends with:\n{tail}")]
    Ended {
        /// The program.
        program: &'static str,
        /// How it ended.
        status: ExitStatus,
        /// The last lines of its log.
        tail: String,
    },
    /// A condition was not met in time.
    #[error("{what}: waited {waited:?} in vain; see the logs in {}", folder.display())]
    Waited {
        /// The condition.
        what: String,
        /// How long it was waited for.
        waited: Duration,
        /// The folder with the logs.
        folder: PathBuf,
    },
    /// `envoy.yaml` does not have the expected content.
    #[error("envoy configuration: {0}")]
    Configuration(String),
    /// Another gateway uses the folder.
    #[error("another gateway uses the folder {}; name another with --folder, or leave the flag out", folder.display())]
    FolderInUse {
        /// The folder.
        folder: PathBuf,
    },
    /// An operation on a file, a process or a socket failed.
    #[error("{what}: {source}")]
    System {
        /// The operation.
        what: String,
        /// The system's answer.
        source: std::io::Error,
    },
    /// A failure with keys, tokens, the directory or a call.
    #[error(transparent)]
    Parties(#[from] dcr_parties::Error),
}

impl From<dcr_mint::Error> for Error {
    fn from(error: dcr_mint::Error) -> Self {
        Self::Parties(error.into())
    }
}

impl Error {
    pub(crate) fn system(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Self::System { what, source }
    }
}
