//! The result of each rule that concerns a request.

use dcr_policy::Document;
use dcr_policy::catalogue::{Answer, Level, Place, RULES, Rule};
use dcr_policy::certificate_binding::FORM_RULES;
use dcr_policy::evaluation::{self, Checked};
use dcr_policy::profile::RequestBody;
use dcr_policy::settings::Settings;

/// A rule and its result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JudgedRule {
    /// The rule.
    pub rule: &'static Rule,
    /// The document in which the rule was checked, for a rule about all signed documents.
    pub document: Option<Document>,
    /// The rule's level in the profile. `None` if no family of the profile has the rule, but the gateway checks it all the same.
    pub level: Option<Level>,
    /// The result.
    pub outcome: Outcome,
}

/// The result of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// The request was refused before this rule was checked.
    NotReached,
    /// Only the gateway's store knows the result.
    NotJudged,
    /// The request keeps the rule.
    Passed,
    /// The request breaks the rule, and the rule is off.
    Waived,
    /// The request breaks the rule, and the rule is in shadow mode.
    Shadow,
    /// The request breaks the rule and is refused for it.
    Failed,
}

impl Outcome {
    /// The word for readers and programs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotReached => "not_reached",
            Self::NotJudged => "not_judged",
            Self::Passed => "passed",
            Self::Waived => "waived",
            Self::Shadow => "shadow",
            Self::Failed => "failed",
        }
    }
}

/// The kind of document that is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A registration request, with its statement.
    Registration,
    /// A client assertion. This program makes the form around it.
    ClientAssertion,
}

impl Kind {
    /// The places in which rules about it are checked.
    fn places(self) -> &'static [Place] {
        match self {
            Self::Registration => &[Place::Registration, Place::SoftwareStatement, Place::RegistrationRequest],
            Self::ClientAssertion => &[Place::ClientAssertion],
        }
    }
}

/// Every rule that concerns such a request under this configuration, with its result, in the catalogue's order.
pub(super) fn list(kind: Kind, settings: &Settings, checked: &[Checked], accepted: bool) -> Vec<JudgedRule> {
    let mut listed: Vec<(&'static Rule, Option<Document>)> = Vec::new();
    for rule in RULES.iter().copied() {
        let places = documents(kind, rule, settings).into_iter().map(|document| (rule, document));
        listed
            .extend(places.filter(|place| concerns(kind, rule, settings, checked) || is_broken(kind, *place, checked)));
    }
    let judged = |(rule, document)| {
        let outcome = outcome(kind, (rule, document), checked, accepted);
        JudgedRule { rule, document, level: rule.level_in(&settings.profile), outcome }
    };
    listed.into_iter().map(judged).collect()
}

fn concerns(kind: Kind, rule: &'static Rule, settings: &Settings, checked: &[Checked]) -> bool {
    let is_checked = |rule: &&Rule| checked.iter().any(|checked| checked.rule == *rule);
    // A certificate has one form, and only the rules of that form are checked.
    if FORM_RULES.contains(&rule) && FORM_RULES.iter().any(is_checked) {
        return is_checked(&rule);
    }
    let is_of_kind = kind.places().iter().any(|place| rule.places.contains(place));
    is_of_kind && rule.is_asked(settings).is_ok()
}

/// The documents for which a rule about all signed documents is listed. Any other rule has no document.
fn documents(kind: Kind, rule: &'static Rule, settings: &Settings) -> Vec<Option<Document>> {
    if rule.answer != Answer::OfDocument {
        return vec![None];
    }
    let is_signed = settings.profile.registration.body == RequestBody::Jwt;
    let document = |place: &Place| match place {
        Place::SoftwareStatement => Some(Document::SoftwareStatement),
        Place::RegistrationRequest if is_signed => Some(Document::RegistrationRequest),
        Place::Registration => Some(Document::RegistrationRequest),
        Place::ClientAssertion => Some(Document::ClientAssertion),
        _ => None,
    };
    let places = rule.places.iter().filter(|place| kind.places().contains(place));
    places.filter_map(document).map(Some).collect()
}

fn is_broken(kind: Kind, place: (&'static Rule, Option<Document>), checked: &[Checked]) -> bool {
    at(kind, place, checked).any(|checked| checked.outcome != evaluation::Outcome::Kept)
}

fn outcome(kind: Kind, place: (&'static Rule, Option<Document>), checked: &[Checked], accepted: bool) -> Outcome {
    let found = at(kind, place, checked).map(|checked| match &checked.outcome {
        evaluation::Outcome::Kept => Outcome::Passed,
        evaluation::Outcome::Off => Outcome::Waived,
        evaluation::Outcome::Shadow(_) => Outcome::Shadow,
        // A gateway in shadow mode stops here and lets the request pass.
        evaluation::Outcome::Refused(_) if accepted => Outcome::Shadow,
        evaluation::Outcome::Refused(_) => Outcome::Failed,
    });
    // A rule may be checked more than once. If it is broken once, it is broken.
    match found.max() {
        Some(Outcome::Passed) | None if accepted && place.0.places.contains(&Place::Store) => Outcome::NotJudged,
        Some(outcome) => outcome,
        None => Outcome::NotReached,
    }
}

/// The place in which a rule was checked. A check that belongs to no document belongs to the request or the assertion.
fn at<'m>(
    kind: Kind,
    (rule, document): (&'static Rule, Option<Document>),
    checked: &'m [Checked],
) -> impl Iterator<Item = &'m Checked> {
    let outermost = match kind {
        Kind::Registration => Document::RegistrationRequest,
        Kind::ClientAssertion => Document::ClientAssertion,
    };
    checked.iter().filter(move |checked| {
        checked.rule == rule && document.is_none_or(|document| checked.document.unwrap_or(outermost) == document)
    })
}

#[cfg(test)]
mod tests {
    use dcr_gate::config::Config;
    use dcr_policy::catalogue::{self as rules};
    use dcr_policy::profile::Profile;
    use serde_json::json;

    use super::*;

    /// Rules that neither a registration request nor a client assertion can break: those of other endpoints, of updates, of the form around
    /// an assertion, and of the HTTP request around all of them.
    fn concerns_others(rule: &Rule) -> bool {
        let of_other_requests = ["GW", "CM", "AT"].iter().any(|section| rule.id.starts_with(section));
        let others = [
            "form_too_large",
            "method_not_allowed",
            "content_coding",
            "token_request_ambiguous",
            "client_id_mismatch",
            "token_request_malformed",
            "several_authentication_methods",
            "basic_authentication_refused",
            "client_assertion_type",
            "client_id_differs",
            "certificate_client_unknown",
            "client_id_missing",
            "certificate_subject",
            "certificate_of_another_client",
            "grant_type_missing",
            "grant_type_unsupported",
            "scope_not_registered",
        ];
        of_other_requests || others.contains(&rule.reason)
    }

    fn config(profile: &str) -> Config {
        let asks_for_everything = json!({
            "single_use": true, "max_age": "5m", "modes": ["Live"], "refuse_revoked_keys": true,
            "uris_on_redirect_hosts": true, "certificate_in_key_set": true, "certificate_psd2_roles": true
        });
        let statements = if profile == "au-cdr" { json!({}) } else { asks_for_everything };
        let document = json!({
            "profile": profile,
            "danger_profile_values": {
                "answers": { "interaction_id": "require" },
                "fractional_dates": false,
                "software_statement": { "claims": { "key_set": "software_jwks" } }
            },
            "issuer": "https://bank.example",
            "directories": [{
                "issuer": "directory", "jwks_uri": "https://directory.example/keys", "cluster": "directory",
                "software_key_sets": [{ "host": "directory.example", "cluster": "directory" }],
                "certificate_issuers": [{ "authority_key_identifier": "0A" }],
                "statements": statements
            }],
            "registration": { "single_registration": true },
            "store": { "cluster": "store" }
        });
        Config::from_value(document).unwrap()
    }

    #[test]
    fn every_rule_concerns_a_request_or_is_known_to_concern_others() {
        let listed: Vec<JudgedRule> = Profile::names()
            .flat_map(|profile| {
                let config = config(profile);
                [Kind::Registration, Kind::ClientAssertion].map(|kind| list(kind, &config.settings, &[], false))
            })
            .flatten()
            .collect();
        for rule in RULES {
            let is_listed = listed.iter().any(|judged| judged.rule == *rule);
            assert_ne!(is_listed, concerns_others(rule), "{} {}", rule.id, rule.reason);
        }
        assert!(listed.iter().all(|judged| judged.outcome == Outcome::NotReached));
    }

    #[test]
    fn what_was_met_more_than_once_is_broken_if_it_was_broken_once() {
        let checked = |document, outcome| Checked { rule: &rules::JW_02, document, outcome };
        let statement = Some(Document::SoftwareStatement);
        let checked = [
            checked(statement, evaluation::Outcome::Kept),
            checked(statement, evaluation::Outcome::Off),
            checked(statement, evaluation::Outcome::Kept),
            checked(None, evaluation::Outcome::Kept),
        ];
        let of = |document| outcome(Kind::Registration, (&rules::JW_02, Some(document)), &checked, true);
        assert_eq!(of(Document::SoftwareStatement), Outcome::Waived);
        assert_eq!(
            of(Document::RegistrationRequest),
            Outcome::Passed,
            "what belongs to no one document is the request's"
        );
    }
}
