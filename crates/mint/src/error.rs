use std::path::PathBuf;

/// What went wrong while making or reading keys, certificates and tokens.
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
    /// A file was read, and does not hold what its name says.
    #[error("{path}: {problem}")]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and what is expected.
        problem: String,
    },
    /// A signing key could not be made, read or used.
    #[error("signing key: {0}")]
    Key(String),
    /// A certificate could not be made or read.
    #[error("certificate: {0}")]
    Certificate(String),
    /// Text that should be a compact JWS is not one.
    #[error("not a compact JWS: {0}")]
    Token(String),
}

impl From<rcgen::Error> for Error {
    fn from(error: rcgen::Error) -> Self {
        Self::Certificate(error.to_string())
    }
}
