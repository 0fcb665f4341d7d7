//! Checks that every rule of a profile has a case, and lists the rules that a profile does not have.

use std::collections::BTreeSet;
use std::time::Duration;

use dcr_policy::catalogue::{Absence, Level, RULES, Rule};
use dcr_policy::profile::Profile;
use dcr_policy::settings::Settings;

use super::Case;

/// Reasons that one request to one gateway cannot cause, each with the test that causes it instead.
const ELSEWHERE: &[(&str, &str)] = &[
    ("store_unavailable", "traps: a store that is down, slow or talks nonsense"),
    ("key_set_unavailable", "journeys: a directory that is down"),
    ("key_set_malformed", "src/journey/tests/registration.rs: a directory that answers with something else"),
    ("clocks_apart", "src/journey/tests/registration.rs: a store whose clock is ahead"),
    (
        "request_body_withheld",
        "tests/gateway/traps/withheld.rs: an Envoy that keeps bodies until the headers may continue",
    ),
    ("upstream_answered_first", "tests/gateway/traps/forward.rs: an upstream that answers before the body"),
    ("certificate_out_of_sight", "src/journey/tests/registration.rs: an Envoy that does not show certificates"),
    ("client_certificate_unreadable", "src/journey/tests/registration.rs: the TLS layer refuses most of them first"),
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

/// The number of cases and rules, the time that they took, and the rules that the profile does not have.
pub(super) fn summary(profile: &Profile, cases: &[Case], took: Duration) -> String {
    let rules: BTreeSet<&str> = cases.iter().filter_map(Case::rule).map(|rule| rule.id).collect();
    let accepted = cases.iter().filter(|case| case.reason.is_none()).count();
    let (refused, rules, took) = (cases.len() - accepted, rules.len(), took.as_secs_f32());
    let absent = absent(profile)
        .map(|(rule, absence)| format!("\n    without {} {}: {}", rule.id, rule.reason, absence.words()));
    format!("{refused} refused, {accepted} accepted, {rules} rules, {took:.1} s{}", absent.collect::<String>())
}

/// The gaps and faults in the cases of a profile.
pub(super) fn gaps(profile: &Profile, cases: &[Case]) -> Vec<String> {
    let covered: BTreeSet<&str> = cases.iter().filter_map(|case| case.reason).collect();
    let absent: BTreeSet<&str> = absent(profile).map(|(rule, _)| rule.reason).collect();
    let elsewhere: BTreeSet<&str> = ELSEWHERE.iter().map(|(reason, _)| *reason).collect();
    let known: BTreeSet<&str> = RULES.iter().map(|rule| rule.reason).collect();

    let accounted_for: BTreeSet<&str> = [&covered, &absent, &elsewhere].into_iter().flatten().copied().collect();
    let missing = known.difference(&accounted_for).map(|reason| {
        format!("no case breaks {reason}: add one, or let its row in the catalogue say when it is asked for")
    });
    let unheard_of = accounted_for.difference(&known).map(|reason| format!("no rule has the reason {reason}"));
    let both = covered
        .intersection(&absent)
        .map(|reason| format!("a case breaks {reason}, but the catalogue says that it cannot be broken here"));
    missing.chain(unheard_of).chain(both).collect()
}

/// The rules that no request can break in this profile, each with the reason.
fn absent(profile: &Profile) -> impl Iterator<Item = (&'static Rule, Absence)> {
    let settings = Settings::of_one_directory(profile.clone(), "directory");
    RULES.iter().filter_map(move |rule| Some((*rule, rule.is_asked(&settings).err()?)))
}

/// A rule that a profile must have cannot be missing from its matrix only because no value asks for it.
#[test]
fn no_profile_leaves_out_what_it_must_have() {
    for profile in Profile::names().map(|name| Profile::named(name).unwrap()) {
        for (rule, absence) in absent(&profile) {
            let is_honest = match absence {
                Absence::NothingToBreak(_) => true,
                Absence::Danger(_) => !profile.dangers().is_empty(),
                Absence::NotAsked(_) => rule.level_in(&profile) != Some(Level::Must),
            };
            assert!(is_honest, "{} must have {} {}", profile.name, rule.id, rule.reason);
        }
    }
}
