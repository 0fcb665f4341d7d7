/// Why the directory could not serve, or a gateway could not be called.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A key, a certificate, a token or one of their files could not be made or read.
    #[error(transparent)]
    Mint(#[from] dcr_mint::Error),
    /// TLS could not be set up with the given certificates and keys.
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// A server could not listen.
    #[error("cannot listen on {address}: {source}; free that port or choose another")]
    Listen {
        /// The address.
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
    /// The gateway could not be reached or did not answer.
    #[error("no answer from {url}: {reason}")]
    Http {
        /// The URL of the call.
        url: String,
        /// The whole chain of causes.
        reason: String,
    },
}
