//! The `error` of an answer.

use dcr_json::json_enum;

/// The `error` of an answer. The words are those of RFC 7591 section 3.2.2, RFC 6749 section 5.2 and RFC 6750 section 3.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorCode {
    /// RFC 7591: a redirect URI is missing or unacceptable.
    InvalidRedirectUri,
    /// Open Finance Brasil DCR section 7.1: the URIs for notifications are not those of the software statement.
    InvalidWebhookUris,
    /// RFC 7591: a member of the client metadata is unacceptable.
    InvalidClientMetadata,
    /// RFC 7591: the software statement is unacceptable.
    InvalidSoftwareStatement,
    /// RFC 7591: the software statement is not approved here.
    UnapprovedSoftwareStatement,
    /// RFC 6749: client authentication failed.
    InvalidClient,
    /// RFC 6750: the access token is expired, revoked, malformed or bound to another certificate.
    InvalidToken,
    /// RFC 6749: the request is malformed.
    InvalidRequest,
    /// RFC 6749: the client may not use this grant type.
    UnauthorizedClient,
    /// RFC 6749: the server does not know this grant type.
    UnsupportedGrantType,
    /// RFC 6749: the scope is malformed or beyond what the client is registered for.
    InvalidScope,
    /// RFC 6750: the access token lacks the scope.
    InsufficientScope,
    /// RFC 6749 section 4.1.2.1: a service behind the gateway is out of reach.
    TemporarilyUnavailable,
}

json_enum!(ErrorCode {
    "invalid_redirect_uri" => InvalidRedirectUri, "invalid_webhook_uris" => InvalidWebhookUris, "invalid_client_metadata" => InvalidClientMetadata,
    "invalid_software_statement" => InvalidSoftwareStatement,
    "unapproved_software_statement" => UnapprovedSoftwareStatement, "invalid_client" => InvalidClient,
    "invalid_token" => InvalidToken, "invalid_request" => InvalidRequest, "unauthorized_client" => UnauthorizedClient,
    "unsupported_grant_type" => UnsupportedGrantType, "invalid_scope" => InvalidScope,
    "insufficient_scope" => InsufficientScope, "temporarily_unavailable" => TemporarilyUnavailable,
});

impl ErrorCode {
    /// The word that goes over the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRedirectUri => "invalid_redirect_uri",
            Self::InvalidWebhookUris => "invalid_webhook_uris",
            Self::InvalidClientMetadata => "invalid_client_metadata",
            Self::InvalidSoftwareStatement => "invalid_software_statement",
            Self::UnapprovedSoftwareStatement => "unapproved_software_statement",
            Self::InvalidClient => "invalid_client",
            Self::InvalidToken => "invalid_token",
            Self::InvalidRequest => "invalid_request",
            Self::UnauthorizedClient => "unauthorized_client",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::InvalidScope => "invalid_scope",
            Self::InsufficientScope => "insufficient_scope",
            Self::TemporarilyUnavailable => "temporarily_unavailable",
        }
    }
}
