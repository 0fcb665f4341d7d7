//! The values that pass between the API and the database, already checked. Their shapes are those of the protocol
//! ([`dcr_store_protocol`]), which has the bounds of each; here is what only the store knows.

use dcr_store_protocol as protocol;
use serde::Serialize;
use serde_json::Error;
use serde_json::value::RawValue;

pub use dcr_store_protocol::bounds::MAX_LIFETIME;
pub use dcr_store_protocol::{Confirmation, IssuedToken, Jti, Kind, Software, TokenType, WrittenClient};

/// What a registration asks to be created.
pub type NewClient = protocol::NewClient<Record>;

/// What an update puts in place of a client's record.
pub type Replacement = protocol::Replacement<Record>;

/// What a token request asks to be issued.
pub type NewToken = protocol::NewToken;

/// A registered client.
pub type Client = protocol::Client<Record>;

/// What a gateway wants back of a client: the text of a JSON object. The store never looks inside.
#[derive(Debug, Clone, Serialize)]
#[serde(transparent)]
pub struct Record(Box<RawValue>);

impl Record {
    /// The record that came in a body, if it is a JSON object. It is kept and answered as it is written.
    #[must_use]
    pub fn of_body(text: Box<RawValue>) -> Option<Self> {
        text.get().starts_with('{').then_some(Self(text))
    }

    /// A record that was kept.
    ///
    /// # Errors
    /// The text is not JSON.
    pub fn from_text(text: String) -> Result<Self, Error> {
        RawValue::from_string(text).map(Self)
    }

    /// Its text.
    #[must_use]
    pub fn text(&self) -> &str {
        self.0.get()
    }
}

impl PartialEq for Record {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text()
    }
}

/// What is known of a token that is active.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActiveToken {
    /// The client it was issued to.
    pub client_id: String,
    /// Unix seconds.
    pub issued_at: i64,
    /// What it is for.
    pub token_use: TokenUse,
}

/// What a token is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenUse {
    /// An access token (RFC 6749 section 1.4).
    Access {
        /// Granted scope.
        scope: String,
        /// `x5t#S256` of the certificate it is bound to.
        certificate_thumbprint: String,
        /// Unix seconds; at this second it is no longer active.
        expires_at: i64,
    },
    /// The registration access token (RFC 7592 section 3), which lives as long as the client.
    Registration,
}
