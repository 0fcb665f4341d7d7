//! Whether every rule of a profile has its case, and which rules a profile does not have.

use std::collections::BTreeSet;
use std::time::Duration;

use dcr_policy::catalogue::{Level, RULES};
use dcr_policy::certificate_binding::FORM_RULES;
use dcr_policy::dialect::{CertificateForm, Dialect, Id, ScopesFrom};
use dcr_policy::profile::{InteractionId, Profile, SubjectMember};

use super::Case;
use super::dialect::{PRIVATE_KEY_JWT, TLS_CLIENT_AUTH, allows, has_registration_tokens, is_unsigned};

/// Reasons that cannot be provoked by one request to one gateway, and the test that provokes them instead.
const ELSEWHERE: &[(&str, &str)] = &[
    ("store_unavailable", "traps: a store that is down, slow or talks nonsense"),
    ("key_set_unavailable", "journeys: a directory that is down"),
    ("header_repeated", "src/journey/tests/registration.rs: Envoy joins what is repeated before the filter sees it"),
    ("path_not_canonical", "traps: paths"),
    ("record_changed_meanwhile", "src/journey/tests/management.rs: two updates at once"),
    (
        "certificate_dates",
        "crates/policy/src/certificate_binding/tests.rs: the TLS layer refuses such certificates first",
    ),
    (
        "transport_certificate_dates",
        "crates/policy/src/certificate_binding/tests.rs: the TLS layer refuses such certificates first",
    ),
    (
        "organisation_certificate_dates",
        "crates/policy/src/certificate_binding/tests.rs: the TLS layer refuses such certificates first",
    ),
    ("software_already_registered", "journeys: a gateway with registration.single_registration"),
    (
        "client_unknown",
        "src/journey/tests/management.rs: a client's tokens die with it, so its id is another's or unknown",
    ),
];

/// A reason that nobody can meet in a profile.
struct Absent {
    reason: &'static str,
    because: Because,
}

/// Why nobody can meet it.
#[derive(Clone, Copy)]
enum Because {
    /// The ecosystem's values do not ask for the rule.
    NotAsked(&'static str),
    /// The ecosystem has nothing that the rule is about, or nothing that breaks this rule breaks it first.
    NothingToBreak(&'static str),
    /// The profile widens what the standards allow, and warns of it.
    Danger(&'static str),
}

impl Because {
    fn words(self) -> &'static str {
        match self {
            Self::NotAsked(why) | Self::NothingToBreak(why) | Self::Danger(why) => why,
        }
    }
}

/// How many cases and rules there were, in which time, and which rules the profile does not have.
pub(super) fn summary(profile: &Profile, cases: &[Case], took: Duration) -> String {
    let rules: BTreeSet<&str> = cases.iter().filter_map(Case::rule).map(|rule| rule.id).collect();
    let accepted = cases.iter().filter(|case| case.reason.is_none()).count();
    let (refused, rules, took) = (cases.len() - accepted, rules.len(), took.as_secs_f32());
    let absent = absent(profile).into_iter().map(|absent| {
        let id = RULES.iter().find(|rule| rule.reason == absent.reason).map_or("?", |rule| rule.id);
        format!("\n    without {id} {}: {}", absent.reason, absent.because.words())
    });
    format!("{refused} refused, {accepted} accepted, {rules} rules, {took:.1} s{}", absent.collect::<String>())
}

/// What is missing or wrong in the cases of a profile.
pub(super) fn gaps(profile: &Profile, cases: &[Case]) -> Vec<String> {
    let covered: BTreeSet<&str> = cases.iter().filter_map(|case| case.reason).collect();
    let absent: BTreeSet<&str> = absent(profile).into_iter().map(|absent| absent.reason).collect();
    let elsewhere: BTreeSet<&str> = ELSEWHERE.iter().map(|(reason, _)| *reason).collect();
    let known: BTreeSet<&str> = RULES.iter().map(|rule| rule.reason).collect();

    let accounted_for: BTreeSet<&str> = [&covered, &absent, &elsewhere].into_iter().flatten().copied().collect();
    let missing = known.difference(&accounted_for).map(|reason| {
        format!(
            "no case breaks {reason}: add one, or say in matrix/coverage.rs why this profile does not have the rule"
        )
    });
    let unheard_of = accounted_for.difference(&known).map(|reason| format!("no rule has the reason {reason}"));
    let both = covered
        .intersection(&absent)
        .map(|reason| format!("a case breaks {reason}, which this profile does not have as matrix/coverage.rs says"));
    missing.chain(unheard_of).chain(both).collect()
}

/// The reasons nobody can meet in this profile, and why. It follows from the profile's values, whatever its name is.
fn absent(profile: &Profile) -> Vec<Absent> {
    let mut absent = of_directory(&profile.software_statement);
    absent.extend(of_certificates(profile));
    absent.extend(of_requests(profile));
    absent.extend(of_clients(profile));
    let order = |reason: &str| RULES.iter().position(|rule| rule.reason == reason);
    absent.sort_by_key(|absent| order(absent.reason));
    // What says most about a reason stands first among its equals.
    absent.dedup_by_key(|absent| absent.reason);
    absent
}

fn of_directory(rules: &Dialect) -> Vec<Absent> {
    use Because::{NotAsked, NothingToBreak};
    let claims = &rules.claims;
    [
        unless(rules.max_age.is_some(), NotAsked("statements do not age"), &["statement_too_old"]),
        unless(rules.single_use, NotAsked("a statement serves again"), &["statement_replayed"]),
        unless(rules.modes.is_some(), NotAsked("software of any mode is taken"), &["software_mode"]),
        unless(
            rules.refuse_revoked_keys,
            NotAsked("revoked keys are not looked up"),
            &["key_revoked", "revoked_key_set_location"],
        ),
        unless(
            rules.uris_on_redirect_hosts,
            NotAsked("what people are shown may be anywhere"),
            &["uri_on_another_host"],
        ),
        unless(
            claims.organisation_status.is_some(),
            NotAsked("statements do not tell the organisation's status"),
            &["organisation_not_active"],
        ),
        unless(
            claims.authority_claims.is_some(),
            NotAsked("statements do not tell the competent authority's claims"),
            &["authority_claims_not_active"],
        ),
        unless(
            rules.universal_scopes.is_empty() || rules.scopes_from == ScopesFrom::Statement,
            NothingToBreak("there are scopes that any software may have"),
            &["scope_of_statement_unknown"],
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn of_certificates(profile: &Profile) -> Vec<Absent> {
    use Because::{NotAsked, NothingToBreak};
    let rules = &profile.software_statement;
    let mut absent = Vec::new();
    for rule in FORM_RULES {
        let is_asked =
            rules.certificate_forms.iter().any(|form| form.rule == rule || form.organisation_rule == Some(rule));
        let why = NotAsked("no form of the ecosystem's certificates is judged by this rule");
        absent.extend(unless(is_asked, why, &[rule.reason]));
    }
    absent.extend(unless(
        binds_certificates(profile),
        NothingToBreak("no certificate names its software, so none is another's (CB-10)"),
        &["assertion_over_foreign_certificate", "certificate_of_another_client"],
    ));
    absent.extend(unless(
        binds_certificates(profile) && has_registration_tokens(profile),
        NothingToBreak("who has an access token has the certificate it is bound to, which was the client's"),
        &["certificate_not_of_client"],
    ));
    absent.extend(unless(
        !names_software(profile),
        NothingToBreak("the certificate names the software, and the statement of another breaks that rule first"),
        &["software_changed"],
    ));
    absent.extend(unless(
        rules.certificate_psd2_roles,
        NotAsked("certificates need not grant roles"),
        &["certificate_lacks_role"],
    ));
    absent.extend(unless(
        rules.certificate_in_key_set,
        NotAsked("certificates need not stand in the key set"),
        &["certificate_not_in_key_set"],
    ));
    absent
}

fn of_requests(profile: &Profile) -> Vec<Absent> {
    use Because::{Danger, NotAsked, NothingToBreak};
    let signs = !is_unsigned(profile);
    [
        unless(
            signs,
            NothingToBreak("requests are JSON objects that nobody signs, dates or numbers (RQ-06)"),
            &[
                "request_signature",
                "request_issuer",
                "request_audience",
                "request_jti",
                "request_replayed",
                "request_dates",
                "lifetime_too_long",
            ],
        ),
        unless(!signs, NotAsked("requests are signed"), &["request_malformed"]),
        unless(
            profile.answers.interaction_id == InteractionId::Require,
            NotAsked("requests need no interaction id"),
            &["interaction_id_missing"],
        ),
        unless(
            !profile.client_metadata.danger_redirect_uris_beyond_statement,
            Danger("redirect URIs beyond the statement are registered"),
            &["redirect_uri_not_in_statement"],
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn of_clients(profile: &Profile) -> Vec<Absent> {
    use Because::{NotAsked, NothingToBreak};
    let takes = |member| profile.client_metadata.subject_members.contains(member);
    [
        unless(
            allows(profile, TLS_CLIENT_AUTH),
            NothingToBreak("nobody authenticates by tls_client_auth"),
            &[
                "subject_dn_not_of_certificate",
                "subject_identifier_not_taken",
                "dn_malformed",
                "certificate_subject",
                "certificate_of_another_client",
            ],
        ),
        unless(
            !SubjectMember::ALL.iter().all(takes),
            NothingToBreak("every name of a certificate is taken"),
            &["subject_identifier_not_taken"],
        ),
        unless(
            profile.client_metadata.subject_changes_over_old_certificate,
            NotAsked("any certificate of the client manages its registration"),
            &["certificate_subject_not_registered"],
        ),
        unless(
            allows(profile, PRIVATE_KEY_JWT),
            NothingToBreak("nobody authenticates by private_key_jwt"),
            &[
                "client_assertion_type",
                "client_id_differs",
                "assertion_subject",
                "assertion_audience",
                "assertion_exp",
                "assertion_dates",
                "assertion_jti",
                "assertion_replayed",
                "assertion_signature",
                "assertion_alg",
                "assertion_client_unknown",
                "assertion_over_foreign_certificate",
            ],
        ),
        unless(
            profile.signing_algorithms.len() > 1,
            NothingToBreak("there is one signing algorithm only"),
            &["assertion_alg"],
        ),
        unless(
            profile.access_token.management_scope.is_some(),
            NothingToBreak("every token of the client manages its registration"),
            &["scope_insufficient"],
        ),
        unless(
            !has_registration_tokens(profile),
            NothingToBreak("the token that came with a registration is bound to the software's certificates (CM-15)"),
            &["token_bound_to_another_certificate"],
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn unless(has: bool, because: Because, reasons: &[&'static str]) -> Vec<Absent> {
    if has { Vec::new() } else { reasons.iter().map(|reason| Absent { reason, because }).collect() }
}

/// Whether names in a transport certificate say whose it is.
pub(super) fn binds_certificates(profile: &Profile) -> bool {
    !profile.software_statement.certificate_forms.is_empty()
}

/// Whether every transport certificate names its software and its organisation.
pub(super) fn names_software(profile: &Profile) -> bool {
    let forms = &profile.software_statement.certificate_forms;
    let has = |form: &CertificateForm, id| form.subject.iter().any(|(_, template)| template.id() == Some(id));
    !forms.is_empty() && forms.iter().all(|form| has(form, Id::Software) && has(form, Id::Organisation))
}

/// What a profile must have is not left out of its matrix for want of a value that asks for it.
#[test]
fn no_profile_leaves_out_what_it_must_have() {
    for profile in Profile::names().map(|name| Profile::named(name).unwrap()) {
        for absent in absent(&profile) {
            let rule = RULES.iter().find(|rule| rule.reason == absent.reason).unwrap();
            let is_honest = match absent.because {
                Because::NothingToBreak(_) => true,
                Because::Danger(_) => !profile.dangers().is_empty(),
                Because::NotAsked(_) => rule.level_in(&profile) != Some(Level::Must),
            };
            assert!(is_honest, "{} must have {} {}", profile.name, rule.id, rule.reason);
        }
    }
}
