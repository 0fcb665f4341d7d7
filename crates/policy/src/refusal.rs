//! A refusal: the broken rule, the place where it was broken, and the text for the caller. It carries data. The journeys make the HTTP
//! answer from it in one place.

use std::borrow::Cow;

use super::catalogue::{Answer, Rule};
use super::document::Document;
use super::error_code::ErrorCode;
use super::profile::Profile;

/// Why a request was refused. `claim` is a name that this code or the profile defines. It is never input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The broken rule.
    pub rule: &'static Rule,
    /// The document in which it was broken, if it was broken in one.
    pub document: Option<Document>,
    /// The claim, member, parameter or header that breaks the rule.
    pub claim: Option<Cow<'static, str>>,
    /// What else the caller should know. It stands behind the rule's sentence.
    pub detail: Option<Box<Detail>>,
}

/// A text for the caller: printable ASCII without `"` and `\`, in at most 360 bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detail(Cow<'static, str>);

/// The longest [`Detail`], in bytes.
const DETAIL_BYTES: usize = 360;

/// The longest `error_description`, in bytes (Open Banking UK DCR 3.3, error structure).
const DESCRIPTION_BYTES: usize = 500;

impl Detail {
    /// `None` if `text` has a character that an `error_description` must not have (RFC 6749 section 5.2), or if it is too long.
    pub fn new(text: impl Into<Cow<'static, str>>) -> Option<Self> {
        let text = text.into();
        let is_plain = text.bytes().all(|b| matches!(b, b' '..=b'~') && b != b'"' && b != b'\\');
        (is_plain && text.len() <= DETAIL_BYTES).then_some(Self(text))
    }
}

impl Refusal {
    /// A refusal by `rule`, without a document.
    pub fn by(rule: &'static Rule) -> Self {
        Self { rule, document: None, claim: None, detail: None }
    }

    /// Adds what else the caller should know. A text that is too long, or that an `error_description` must not have, is left out.
    #[must_use]
    pub fn detail(self, text: impl Into<Cow<'static, str>>) -> Self {
        Self { detail: Detail::new(text).map(Box::new), ..self }
    }

    /// Adds the document in which the rule was broken.
    #[must_use]
    pub fn in_document(self, document: Document) -> Self {
        Self { document: Some(document), ..self }
    }

    /// Adds the claim, member, parameter or header that breaks the rule.
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

    /// The answer's `error` under this profile.
    pub fn error_in(&self, profile: &Profile) -> ErrorCode {
        profile.answers.errors.get(self.shown_rule().id).copied().unwrap_or_else(|| self.error())
    }

    /// The answer's `error_description`: document, claim, demand, detail, rule. Printable ASCII without `"` and `\`, at most 500
    /// characters. A detail that does not fit is left out.
    pub fn description(&self) -> String {
        let rule = self.shown_rule();
        // If another rule is shown, the claim is left out: it would tell the caller which rule was broken.
        let claim = self.claim.as_deref().filter(|_| rule == self.rule);
        let detail = self.detail.as_ref().filter(|_| rule == self.rule).map_or("", |detail| &detail.0);
        let (document, claim) = (self.document.map_or("", Document::name), claim.unwrap_or_default());
        let between = if document.is_empty() || claim.is_empty() { "" } else { ", " };
        let behind = if document.is_empty() && claim.is_empty() { "" } else { ": " };
        let before_detail = if detail.is_empty() { "" } else { "; " };
        let text = [document, between, claim, behind, rule.sentence, before_detail, detail, " (rule ", rule.id, ")"];
        if text.iter().map(|part| part.len()).sum::<usize>() <= DESCRIPTION_BYTES {
            return text.concat();
        }
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
