use std::path::PathBuf;

/// Why keys, certificates or tokens could not be made or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The content of a file does not fit its name.
    #[error("{path}: {problem}")]
    Content {
        /// The file.
        path: PathBuf,
        /// The problem, and the expected content.
        problem: String,
    },
    /// A signing key could not be made, read or used.
    #[error("signing key: {0}")]
    Key(String),
    /// A certificate could not be made or read.
    #[error("certificate: {0}")]
    Certificate(String),
    /// The text is not a compact JWS.
    #[error("not a compact JWS: {0}")]
    Token(String),
}

impl From<rcgen::Error> for Error {
    fn from(error: rcgen::Error) -> Self {
        Self::Certificate(error.to_string())
    }
}
