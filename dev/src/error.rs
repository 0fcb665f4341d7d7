use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

/// Why a gateway did not start, or could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Something that is built or installed beforehand is not there.
    #[error("{what} is not at {}; `{remedy}` puts it there", path.display())]
    Missing {
        /// What is missing.
        what: &'static str,
        /// Where it was looked for.
        path: PathBuf,
        /// The command that makes it.
        remedy: &'static str,
    },
    /// A program ended that should serve.
    #[error("{program} ended ({status}); its log ends with:\n{tail}")]
    Ended {
        /// The program.
        program: &'static str,
        /// How it ended.
        status: ExitStatus,
        /// The last lines of its log.
        tail: String,
    },
    /// A condition was waited for in vain.
    #[error("{what}: waited {waited:?} in vain; see the logs in {}", folder.display())]
    Waited {
        /// What was waited for.
        what: String,
        /// For how long.
        waited: Duration,
        /// Where the logs are.
        folder: PathBuf,
    },
    /// `envoy.yaml` is not as expected.
    #[error("envoy configuration: {0}")]
    Configuration(String),
    /// A file, a process or a socket.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: String,
        /// The system's answer.
        source: std::io::Error,
    },
    /// Keys, tokens, the directory or a call.
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
