use std::path::PathBuf;

/// What went wrong while making keys, minting tokens, serving the directory or calling a gateway.
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
    /// TLS could not be set up with the given certificates and keys.
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// A server could not listen.
    #[error("cannot listen on {address}: {source}; free that port or choose another")]
    Listen {
        /// The address asked for.
        address: std::net::SocketAddr,
        /// The system's answer.
        source: std::io::Error,
    },
    /// A server's thread could not be started.
    #[error("cannot start the thread `{name}`: {source}")]
    Thread {
        /// The thread.
        name: String,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The gateway could not be reached, or did not answer.
    #[error("no answer from {url}: {reason}")]
    Http {
        /// The URL called.
        url: String,
        /// The whole chain of causes.
        reason: String,
    },
    /// Text that should be a compact JWS is not one.
    #[error("not a compact JWS: {0}")]
    Token(String),
}

impl From<rcgen::Error> for Error {
    fn from(error: rcgen::Error) -> Self {
        Self::Certificate(error.to_string())
    }
}
