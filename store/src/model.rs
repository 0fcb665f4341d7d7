//! The checked values that the API and the database exchange. Their shapes come from the protocol ([`dcr_store_protocol`]), which also has
//! their bounds. This module adds what only the store knows.

use dcr_store_protocol as protocol;
use serde::Serialize;
use serde_json::Error;
use serde_json::value::RawValue;

pub use dcr_store_protocol::bounds::MAX_LIFETIME;
pub use dcr_store_protocol::{Confirmation, IssuedToken, Jti, Kind, Software, TokenType, WrittenClient};

/// A request to create a client.
pub type NewClient = protocol::NewClient<Record>;

/// A request to replace a client's record.
pub type Replacement = protocol::Replacement<Record>;

/// A request to issue a token.
pub type NewToken = protocol::NewToken;

/// A registered client.
pub type Client = protocol::Client<Record>;

/// The record of a client: the text of a JSON object, which only the gateways read.
#[derive(Debug, Clone, Serialize)]
#[serde(transparent)]
pub struct Record(Box<RawValue>);

impl Record {
    /// The record in a body. `None` if it is not a JSON object. The text is kept and answered unchanged.
    #[must_use]
    pub fn of_body(text: Box<RawValue>) -> Option<Self> {
        text.get().starts_with('{').then_some(Self(text))
    }

    /// A record from the database.
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

/// The data of an active token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActiveToken {
    /// The client it was issued to.
    pub client_id: String,
    /// Unix time of the issue, in seconds.
    pub issued_at: i64,
    /// The use of the token.
    pub token_use: TokenUse,
}

/// The use of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenUse {
    /// An access token (RFC 6749 section 1.4).
    Access {
        /// The granted scope.
        scope: String,
        /// `x5t#S256` of the certificate that it is bound to.
        certificate_thumbprint: String,
        /// Unix time of the expiry, in seconds. At this second the token is no longer active.
        expires_at: i64,
    },
    /// The registration access token (RFC 7592 section 3). It is valid as long as the client exists.
    Registration,
}
