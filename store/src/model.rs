//! The values that pass between the API and the database, already checked: the API makes them from what callers send, see
//! [`crate::api`] for the bounds of each.

use serde::{Deserialize, Serialize};
use serde_json::Error;
use serde_json::value::RawValue;

/// The longest time ahead, in seconds, that a `jti` may ask to be kept and an access token may live: 366 days.
///
/// A gateway sends the `exp` of a request or an assertion, and the longest that any profile allows is far below this. Without a
/// bound, one request with `exp` in the year 9999 leaves a row that is never purged, and a caller with many of them a disk that
/// fills for good.
pub const MAX_LIFETIME: i64 = 366 * 24 * 60 * 60;

/// The software a client is a registration of, as a directory's software statement names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Software {
    /// `iss` of the software statement.
    pub issuer: String,
    /// `software_id` of the software statement (RFC 7591 section 2).
    pub id: String,
}

/// One `jti` (RFC 7519 section 4.1.7) to consume: it can be consumed once until it expires.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Jti {
    /// The scope within which the `jti` is unique; opaque here, composed by the gateway.
    pub issuer: String,
    /// The identifier itself.
    pub jti: String,
    /// The last second, Unix time, in which the token that carried the `jti` could be accepted, clock skew included.
    pub expires_at: i64,
}

/// What a gateway wants back of a client: the text of a JSON object. The store never looks inside.
#[derive(Debug, Clone, Serialize)]
#[serde(transparent)]
pub struct Record(Box<RawValue>);

impl Record {
    /// The record that came in a body, if it is a JSON object. It is kept and told as it is written.
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

/// What a request may ask for several of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Registrations.
    Clients,
    /// Access tokens.
    Tokens,
}

impl Kind {
    /// What the list of them is called, in the request and in the answer.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Clients => "clients",
            Self::Tokens => "tokens",
        }
    }

    /// What one of them is called in the log.
    #[must_use]
    pub fn one(self) -> &'static str {
        match self {
            Self::Clients => "client",
            Self::Tokens => "token",
        }
    }
}

/// What a registration asks to be created.
#[derive(Debug, Clone)]
pub struct NewClient {
    /// Whose registration it is.
    pub software: Software,
    /// Refuse when this software has a client already.
    pub single_registration: bool,
    /// Make a registration access token (RFC 7592 section 3) with it.
    pub registration_access_token: bool,
    /// All consumed, or none.
    pub consume_jti: Vec<Jti>,
    /// What the gateway wants back.
    pub record: Record,
}

/// What an update puts in place of a client's record.
#[derive(Debug, Clone)]
pub struct Replacement {
    /// Must be the software the client was created for.
    pub software: Software,
    /// All consumed, or none.
    pub consume_jti: Vec<Jti>,
    /// The whole new record.
    pub record: Record,
}

/// What a token request asks to be issued.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// To whom.
    pub client_id: String,
    /// Only while the client is at this version, where one is named.
    pub version: Option<i64>,
    /// Granted scope, as RFC 6749 section 3.3 writes it.
    pub scope: String,
    /// Lifetime in seconds, 1 to [`MAX_LIFETIME`].
    pub expires_in: i64,
    /// `x5t#S256` of the certificate the token is bound to (RFC 8705 section 3.1).
    pub certificate_thumbprint: String,
    /// All consumed, or none.
    pub consume_jti: Vec<Jti>,
}

/// A token just issued, and the only time it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuedToken {
    /// Whose it is.
    pub client_id: String,
    /// 256 random bits as base64url.
    pub access_token: String,
    /// Granted scope.
    pub scope: String,
    /// Lifetime in seconds.
    pub expires_in: i64,
}

/// A registered client.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Client {
    /// Made by the store: 32 hexadecimal digits, of which 48 bits are the time and 80 from the operating system.
    pub client_id: String,
    /// When it was created, Unix seconds.
    pub client_id_issued_at: i64,
    /// 1 at creation, one more with every update.
    pub version: i64,
    /// Whose registration it is.
    pub software: Software,
    /// The gateway's record, as it came.
    pub record: Record,
}

/// A client just created, and the only time its registration access token is shown.
#[derive(Debug, Clone, PartialEq)]
pub struct CreatedClient {
    /// The client.
    pub client: Client,
    /// Where one was asked for.
    pub registration_access_token: Option<String>,
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
