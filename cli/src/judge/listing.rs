//! What became of each rule that concerns a request.

use dcr_gate::config::Config;
use dcr_policy::catalogue::{self as rules, Answer, Level, RULES, Rule};
use dcr_policy::dialect::{CertificateForm, Dialect};
use dcr_policy::profile::{InteractionId, RequestBody};
use dcr_policy::{Document, trail};

/// A rule, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JudgedRule {
    /// The rule.
    pub rule: &'static Rule,
    /// The document it was met in, for a rule about any signed document.
    pub document: Option<Document>,
    /// How firmly the profile asks for it; none where the gate holds to it beyond what the profile's families say.
    pub level: Option<Level>,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// The request was refused before its turn came.
    NotReached,
    /// Only the gateway's store can know.
    NotJudged,
    /// It holds.
    Passed,
    /// It is broken, and switched off.
    Waived,
    /// It is broken, and only watched.
    Watched,
    /// It is broken, and the request is refused for it.
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
            Self::Watched => "watched",
            Self::Failed => "failed",
        }
    }
}

/// What is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A registration request, with the statement in it.
    Registration,
    /// A client assertion; the form around it is this program's own.
    ClientAssertion,
}

/// Rules by which the store answers: used ids, and software that is registered already.
const OF_THE_STORE: [&Rule; 4] = [&rules::RQ_04_REPLAY, &rules::SS_08, &rules::MD_26, &rules::CA_12_REPLAY];

/// Rules about a token request that concern its assertion or the certificate it comes over.
const OF_ASSERTIONS: [&Rule; 15] = [
    &rules::RG_01,
    &rules::RG_15,
    &rules::JO_19,
    &rules::CA_03,
    &rules::CA_05,
    &rules::CA_07,
    &rules::CA_09,
    &rules::CA_10,
    &rules::CA_12,
    &rules::CA_12_REPLAY,
    &rules::CA_13,
    &rules::CA_13_ALG,
    &rules::CA_15,
    &rules::CA_19,
    &rules::CA_20_CLIENT,
];

/// Rules about the claims of a request that is signed.
const OF_SIGNED_REQUESTS: [&Rule; 6] =
    [&rules::RQ_01, &rules::RQ_02, &rules::RQ_03, &rules::RQ_04, &rules::RQ_04_REPLAY, &rules::RQ_05];

/// The rules about the dates of certificates, and about whose they are. One of each is met, by the certificate's form.
const OF_FORMS: [&Rule; 7] = [
    &rules::CB_01_DATES,
    &rules::CB_04_DATES,
    &rules::CB_05_DATES,
    &rules::CB_04,
    &rules::CB_05,
    &rules::CB_08,
    &rules::CB_09,
];

/// Every rule that concerns such a request under this configuration, and what became of it on the way, in the catalogue's order.
pub(super) fn list(kind: Kind, config: &Config, met: &[trail::Met], accepted: bool) -> Vec<JudgedRule> {
    let mut listed: Vec<(&'static Rule, Option<Document>)> = Vec::new();
    for rule in RULES.iter().copied() {
        let places = if rule.answer == Answer::OfDocument { documents(kind, rule, config) } else { vec![None] };
        let places = places.into_iter().map(|document| (rule, document));
        listed.extend(places.filter(|place| concerns(kind, rule, config, met) || is_broken(kind, *place, met)));
    }
    let judged = |(rule, document)| {
        let outcome = outcome(kind, (rule, document), met, accepted);
        JudgedRule { rule, document, level: rule.level_in(&config.settings.profile), outcome }
    };
    listed.into_iter().map(judged).collect()
}

fn concerns(kind: Kind, rule: &'static Rule, config: &Config, met: &[trail::Met]) -> bool {
    let is_met = |rule: &&Rule| met.iter().any(|met| met.rule == *rule);
    if OF_FORMS.contains(&rule) {
        return if OF_FORMS.iter().any(is_met) { is_met(&rule) } else { is_of_some_form(rule, config) };
    }
    is_asked(rule, config)
        && match kind {
            Kind::Registration => is_of_registration(rule, config),
            Kind::ClientAssertion => rule.answer == Answer::OfDocument || OF_ASSERTIONS.contains(&rule),
        }
}

fn is_of_registration(rule: &'static Rule, config: &Config) -> bool {
    let signed = config.settings.profile.registration.body == RequestBody::Jwt;
    let of_updates = [&rules::RQ_07, &rules::RG_14, &rules::RG_13_FORM];
    let section = rule.id.get(..2).unwrap_or_default();
    match rule {
        _ if rule.answer == Answer::OfDocument || rule == &rules::JO_19 => true,
        _ if of_updates.contains(&rule) => false,
        _ if OF_SIGNED_REQUESTS.contains(&rule) => signed,
        _ if rule == &rules::RQ_06 => !signed,
        _ => ["RG", "SS", "MD", "CB", "DN"].contains(&section),
    }
}

/// The documents that a rule about any signed document concerns.
fn documents(kind: Kind, rule: &'static Rule, config: &Config) -> Vec<Option<Document>> {
    use Document::{ClientAssertion, RegistrationRequest, SoftwareStatement};
    // A statement's own dates have rules of their own, and so has an assertion's lifetime.
    let of_statement = ![&rules::JW_03, &rules::JW_05, &rules::JW_06, &rules::JW_07, &rules::SS_14].contains(&rule);
    let of_request = config.settings.profile.registration.body == RequestBody::Jwt || rule == &rules::JW_08;
    let of_assertion = rule != &rules::JW_06;
    match kind {
        Kind::Registration => {
            let statement = of_statement.then_some(SoftwareStatement);
            let request = of_request.then_some(RegistrationRequest);
            [statement, request].into_iter().flatten().map(Some).collect()
        }
        Kind::ClientAssertion => of_assertion.then_some(Some(ClientAssertion)).into_iter().collect(),
    }
}

/// Whether the configuration asks for a rule that others leave out.
fn is_asked(rule: &'static Rule, config: &Config) -> bool {
    let profile = &config.settings.profile;
    let some =
        |asks: fn(&Dialect) -> bool| config.settings.directories.iter().any(|directory| asks(&directory.dialect));
    match rule {
        _ if rule == &rules::RG_15 => profile.answers.interaction_id == InteractionId::Require,
        _ if rule == &rules::SS_06 => some(|dialect| dialect.max_age.is_some()),
        _ if rule == &rules::SS_08 => some(|dialect| dialect.single_use),
        _ if rule == &rules::SS_09 => some(|dialect| dialect.claims.organisation_status.is_some()),
        _ if rule == &rules::SS_11 => some(|dialect| dialect.claims.authority_claims.is_some()),
        _ if rule == &rules::SS_12 => some(|dialect| dialect.modes.is_some()),
        _ if rule.id == rules::SS_14.id => some(|dialect| dialect.refuse_revoked_keys),
        _ if rule == &rules::SS_16 => some(|dialect| dialect.uris_on_redirect_hosts),
        _ if rule == &rules::CB_06 => some(|dialect| dialect.certificate_psd2_roles),
        _ if rule == &rules::CB_07 => some(|dialect| dialect.certificate_in_key_set),
        _ if rule == &rules::MD_01 => !profile.client_metadata.danger_redirect_uris_beyond_statement,
        _ if rule == &rules::MD_26 => profile.registration.single_registration,
        _ => true,
    }
}

fn is_of_some_form(rule: &'static Rule, config: &Config) -> bool {
    let dates = |form: &CertificateForm| match form.rule {
        form if form == &rules::CB_04 => &rules::CB_04_DATES,
        form if form == &rules::CB_05 => &rules::CB_05_DATES,
        _ => &rules::CB_01_DATES,
    };
    config.settings.directories.iter().any(|directory| {
        let forms = &directory.dialect.certificate_forms;
        let of_form =
            |form: &CertificateForm| form.rule == rule || form.organisation_rule == Some(rule) || dates(form) == rule;
        forms.iter().any(of_form) || (forms.is_empty() && rule == &rules::CB_01_DATES)
    })
}

fn is_broken(kind: Kind, place: (&'static Rule, Option<Document>), met: &[trail::Met]) -> bool {
    at(kind, place, met).any(|met| met.outcome != trail::Outcome::Held)
}

fn outcome(kind: Kind, place: (&'static Rule, Option<Document>), met: &[trail::Met], accepted: bool) -> Outcome {
    let found = at(kind, place, met).map(|met| match &met.outcome {
        trail::Outcome::Held => Outcome::Passed,
        trail::Outcome::Waived => Outcome::Waived,
        trail::Outcome::Watched(_) => Outcome::Watched,
        // A gate that only watches goes no further, and lets the request pass all the same.
        trail::Outcome::Refused(_) if accepted => Outcome::Watched,
        trail::Outcome::Refused(_) => Outcome::Failed,
    });
    // A rule may be met more than once: what is broken once is broken.
    match found.max() {
        Some(Outcome::Passed) | None if accepted && OF_THE_STORE.contains(&place.0) => Outcome::NotJudged,
        Some(outcome) => outcome,
        None => Outcome::NotReached,
    }
}

/// Where a rule was met. What belongs to no one document is the request's or the assertion's.
fn at<'m>(
    kind: Kind,
    (rule, document): (&'static Rule, Option<Document>),
    met: &'m [trail::Met],
) -> impl Iterator<Item = &'m trail::Met> {
    let outermost = match kind {
        Kind::Registration => Document::RegistrationRequest,
        Kind::ClientAssertion => Document::ClientAssertion,
    };
    met.iter().filter(move |met| {
        met.rule == rule && document.is_none_or(|document| met.document.unwrap_or(outermost) == document)
    })
}

#[cfg(test)]
mod tests {
    use dcr_policy::profile::Profile;
    use serde_json::json;

    use super::*;

    /// Rules that neither a registration request nor a client assertion can break: those of other endpoints, of updates, of the form around
    /// an assertion, and of what carries all of them.
    fn concerns_others(rule: &Rule) -> bool {
        let of_other_requests = ["GW", "CM", "AT"].iter().any(|section| rule.id.starts_with(section));
        let others = [
            "form_too_large",
            "method_not_allowed",
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
            "danger_profile_values": { "answers": { "interaction_id": "require" } },
            "issuer": "https://bank.example",
            "directories": [{
                "issuer": "directory", "jwks_uri": "https://directory.example/keys", "cluster": "directory",
                "software_key_sets": [{ "host": "directory.example", "cluster": "directory" }],
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
                [Kind::Registration, Kind::ClientAssertion].map(|kind| list(kind, &config, &[], false))
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
        let met = |document, outcome| trail::Met { rule: &rules::JW_02, document, outcome };
        let statement = Some(Document::SoftwareStatement);
        let met = [
            met(statement, trail::Outcome::Held),
            met(statement, trail::Outcome::Waived),
            met(statement, trail::Outcome::Held),
            met(None, trail::Outcome::Held),
        ];
        let of = |document| outcome(Kind::Registration, (&rules::JW_02, Some(document)), &met, true);
        assert_eq!(of(Document::SoftwareStatement), Outcome::Waived);
        assert_eq!(
            of(Document::RegistrationRequest),
            Outcome::Passed,
            "what belongs to no one document is the request's"
        );
    }
}
