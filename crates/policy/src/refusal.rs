//! A refusal: the broken rule, where it was broken, and what the caller reads. It carries data; the wire form is made in
//! the journeys, once.

use std::borrow::Cow;

use dcr_json::json_enum;

use super::catalogue::{Answer, Rule};
use super::profile::Profile;

/// The `error` of an answer. The words are those of RFC 7591 section 3.2.2, RFC 6749 section 5.2 and RFC 6750 section 3.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorCode {
    /// RFC 7591: a redirect URI is missing or unacceptable.
    InvalidRedirectUri,
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
    "invalid_redirect_uri" => InvalidRedirectUri, "invalid_client_metadata" => InvalidClientMetadata,
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

/// The signed documents a caller brings. Each has its own answer to a broken JOSE or JWT rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Document {
    /// The directory's statement about a piece of software (RFC 7591 section 2.3).
    SoftwareStatement,
    /// The JWT that asks for a registration.
    RegistrationRequest,
    /// The JWT by which a client authenticates (RFC 7523).
    ClientAssertion,
}

impl Document {
    /// What the document is called in descriptions.
    pub fn name(self) -> &'static str {
        match self {
            Self::SoftwareStatement => "software statement",
            Self::RegistrationRequest => "registration request",
            Self::ClientAssertion => "client assertion",
        }
    }

    fn answer(self) -> (u16, ErrorCode) {
        match self {
            Self::SoftwareStatement => (400, ErrorCode::InvalidSoftwareStatement),
            Self::RegistrationRequest => (400, ErrorCode::InvalidClientMetadata),
            Self::ClientAssertion => (401, ErrorCode::InvalidClient),
        }
    }
}

/// Why a request was refused. `claim` is always one of our own names for a member or one of the profile's, never input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The broken rule.
    pub rule: &'static Rule,
    /// The document it was broken in, if it was one.
    pub document: Option<Document>,
    /// The claim, member, parameter or header at fault.
    pub claim: Option<Cow<'static, str>>,
}

impl Refusal {
    /// A refusal by `rule`, whatever the document.
    pub fn by(rule: &'static Rule) -> Self {
        Self { rule, document: None, claim: None }
    }

    /// Names the document the rule was broken in.
    #[must_use]
    pub fn in_document(self, document: Document) -> Self {
        Self { document: Some(document), ..self }
    }

    /// Names the claim, member, parameter or header at fault.
    #[must_use]
    pub fn claim(self, claim: impl Into<Cow<'static, str>>) -> Self {
        Self { claim: Some(claim.into()), ..self }
    }

    /// HTTP status of the answer.
    pub fn status(&self) -> u16 {
        self.answer().0
    }

    /// The answer's `error`.
    pub fn error(&self) -> ErrorCode {
        self.answer().1
    }

    /// The answer's `error` where `profile` answers.
    pub fn error_in(&self, profile: &Profile) -> ErrorCode {
        profile.answers.errors.get(self.shown_rule().id).copied().unwrap_or_else(|| self.error())
    }

    /// The answer's `error_description`: document, claim, what to do, rule. Printable ASCII without `"` and `\`, at most 500 characters.
    pub fn description(&self) -> String {
        let rule = self.shown_rule();
        // A rule that hides another must not let the place give away which one it was.
        let claim = self.claim.as_deref().filter(|_| rule == self.rule);
        let (document, claim) = (self.document.map_or("", Document::name), claim.unwrap_or_default());
        let between = if document.is_empty() || claim.is_empty() { "" } else { ", " };
        let behind = if document.is_empty() && claim.is_empty() { "" } else { ": " };
        [document, between, claim, behind, rule.sentence, " (rule ", rule.id, ")"].concat()
    }

    fn answer(&self) -> (u16, ErrorCode) {
        match self.shown_rule().answer {
            Answer::Fixed(status, error) => (status, error),
            Answer::OfDocument | Answer::SameAs(_) => self.document.unwrap_or(Document::RegistrationRequest).answer(),
        }
    }

    fn shown_rule(&self) -> &'static Rule {
        match self.rule.answer {
            Answer::SameAs(rule) => rule,
            _ => self.rule,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::catalogue::{CM_03, CM_04, JW_03, MD_01, RULES};
    use super::*;

    #[test]
    fn a_jwt_rule_is_answered_by_its_document() {
        let refused = |document| Refusal::by(&JW_03).in_document(document).claim("exp");
        let statement = refused(Document::SoftwareStatement);
        assert_eq!((statement.status(), statement.error()), (400, ErrorCode::InvalidSoftwareStatement));
        let request = refused(Document::RegistrationRequest);
        assert_eq!((request.status(), request.error()), (400, ErrorCode::InvalidClientMetadata));
        let assertion = refused(Document::ClientAssertion);
        assert_eq!((assertion.status(), assertion.error()), (401, ErrorCode::InvalidClient));
        assert_eq!(
            assertion.description(),
            "client assertion, exp: has expired: make a new one, and check your clock (rule JW-03)"
        );
    }

    #[test]
    fn cm_04_reads_exactly_as_cm_03() {
        let (unknown, foreign) = (Refusal::by(&CM_03), Refusal::by(&CM_04).claim("ClientId"));
        assert_eq!(unknown.description(), foreign.description());
        assert_eq!((unknown.status(), unknown.error()), (foreign.status(), foreign.error()));
        assert_ne!(unknown.rule.reason, foreign.rule.reason, "the operator can tell them apart");
    }

    #[test]
    fn every_sentence_fits_a_description() {
        for rule in RULES {
            let longest = Refusal::by(rule)
                .in_document(Document::RegistrationRequest)
                .claim("backchannel_authentication_request_signing_alg");
            let description = longest.description();
            assert!(description.len() <= 500, "{}: {description}", rule.id);
            assert!(description.bytes().all(|b| matches!(b, b' '..=b'~') && b != b'"' && b != b'\\'), "{}", rule.id);
        }
    }

    #[test]
    fn reasons_are_unique_and_ids_well_formed() {
        let mut reasons: Vec<_> = RULES.iter().map(|rule| rule.reason).collect();
        reasons.sort_unstable();
        reasons.dedup();
        assert_eq!(reasons.len(), RULES.len());
        for rule in RULES {
            let (room, number) = rule.id.split_once('-').unwrap();
            assert!(room.len() == 2 && number.len() == 2 && number.bytes().all(|b| b.is_ascii_digit()), "{}", rule.id);
            assert!(!rule.source.is_empty());
        }
        assert_eq!(MD_01.reason, "redirect_uri_not_in_statement");
    }
}
