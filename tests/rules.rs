//! `docs/rules.md` is made from the catalogue and the source, and `make docs` writes it. This test fails if the document is out of date, if
//! the catalogue has a rule that no code checks, or if a rule's id is in the name of no function or of no test.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::string_slice,
    reason = "clippy takes helpers beside tests for code"
)]

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use dcr_dev::installation::project_folder;
use dcr_policy::catalogue::{Answer, Level, RULES, Rule, Waivability};
use dcr_policy::profile::Profile;

const HEAD: &str = "# Rules

<!-- Made by `make docs` from crates/policy/src/catalogue.rs and the code that uses it. Do not edit. -->

This page lists every rule that a request can break, and what the caller gets. Counters, log lines and access logs carry the `reason`.
*By document* means: 400 `invalid_software_statement` for a fault in the software statement, 400 `invalid_client_metadata` in the
registration request, 401 `invalid_client` in the client assertion. *As CM-03* means: the caller gets the answer of CM-03. The column
*checked in* links to the functions that check the rule; they bear its id in their names.

The columns of the profiles say how firmly each profile asks for the rule: **M** must, **S** should, **o** optional (a setting that is
off by default). A column is empty if the ecosystem does not have the rule. An operator can set aside a rule with a \\* by
`danger_rules`: it is waivable. The others are binding.

";

const TAIL: &str = "
## Rules without a reason of their own

These rules say how something is done or answered, or they are a case of a rule above.

| rule | where it is implemented |
|---|---|
| RG-03 | a CDR request is a JWT: the media types and the body of [au-cdr](../profiles/au-cdr.json), RG-02 |
| RG-04, RG-05, RG-06, CM-14 | the form of a registration, and the token and URI that manage it: [registration](../src/journey/answer.rs) |
| RG-07, RG-08, RG-12, CA-14 | the form of a refusal: [refused](../src/journey/answer.rs); the errors: [ErrorCode](../crates/policy/src/error_code.rs) |
| RG-09, RG-10 | unknown metadata is ignored, and tokens are bound whatever the request asks for: [ClientMetadata](../crates/policy/src/client_metadata.rs) |
| RG-11, MT-01, MT-02 | the metadata document: [discovery](../src/journey/discovery.rs), [Routes](../src/journey/route.rs) |
| JO-06 | an HMAC is not an [Algorithm](../crates/jose/src/lib.rs), so it is refused by JO-05 |
| JO-07 | PS256 with a salt of 32 octets: [verify](../rsa/src/pss.rs) |
| JO-08 | ES256 as 64 octets: [verify](../crates/jose/src/es256.rs) |
| JO-09, JO-20 | sizes and exponents of RSA keys, leading zeros: [from_components](../rsa/src/lib.rs); other keys are unfit, JO-16 |
| JO-14 | without kid every fitting key is tried: [select](../crates/jose/src/jwk.rs) |
| SS-15, SS-17 | the statement comes before the request, and null counts as absent: [software_statement](../crates/policy/src/software_statement.rs) |
| MD-09 | the member's name is a value of the profile, `subject_members`: [md_06_md_07_md_08_subject](../crates/policy/src/client_metadata.rs) |
| MD-16 | a scope as an array, if the profile has `scope_arrays`: [md_16_scope](../crates/policy/src/client_metadata.rs) |
| MD-18 | the scopes of a request without scope: [md_17_md_18_allowed](../crates/policy/src/client_metadata.rs) |
| CB-10 | a dialect without `certificate_forms`: [check](../crates/policy/src/certificate_binding.rs) |
| CB-01, CB-02 | Envoy's TLS layer and its x-forwarded-client-cert: [envoy.yaml](../envoy/envoy.yaml); the dates are checked once more in CB-04 and CB-05 |
| CB-03 | the certificate must be the software's: CB-04 and CB-05 |
| DN-02, DN-03, DN-04, DN-06, DN-07 | names are parsed and compared, from the certificate's DER: [name](../crates/x509/src/name/mod.rs) |
| DN-05 | the attributes that must match, `subject_dn_attributes`: [matches](../crates/policy/src/certificate_subject.rs) |
| CM-05 | AT-07, with the scope that the profile names, `management_scope` |
| CM-13 | an update does not change the token and answers with the one of the request: [update](../src/journey/update.rs) |
| IR-05 | which caller may manage a registration, and whose token is revoked: [authorise](../src/journey/management.rs) |
| CM-06, CM-07, CM-10, CM-12 | [retrieve](../src/journey/retrieve.rs), [update](../src/journey/update.rs), [delete](../src/journey/delete.rs) |
| CA-08 | the audience of another server: CA-07 |
| CA-11 | clock skew in assertions: JW-04, JW-05 |
| AT-08 | a lifetime outside the ecosystem's bounds is refused in the configuration: [check_times](../src/config.rs) |
| IR-01, IR-02, IR-04 | the store's introspection and revocation: [store](../store/README.md) |

## Rules that do not exist here yet

They belong to resource routes, which the gate does not have yet.

| rule | what it is about |
|---|---|
| AT-09, AT-10, AT-11 | an access token at a resource route: introspection at an authorization server, the form of a thumbprint, a client that is still registered |
| MS-01, MS-02, MS-03, MS-04, MS-05, MS-06, MS-07, MS-08, MS-09, MS-10, MS-11, MS-12, MS-13, MS-14, MS-15 | the signature over the body of a request, `x-jws-signature` |

## Rules that the gate does not enforce

Only an authorization server, a directory or the TLS layer can enforce these rules.

| rule | reason |
|---|---|
| CA-18 | `self_signed_tls_client_auth` needs an Envoy that accepts certificates of no authority. Then any caller could write the names in a certificate, and CB-04 to CB-09 could not identify its owner by them. One listener cannot do both, so MD-04 refuses the method |
| CA-22 | A status changes in the directory between two statements. Each ecosystem has another interface for it. The gate acts at once on what it sees: a key set that is withdrawn (404, 410) ends its client's assertions, an issuer that is removed from `directories` ends its clients, and SS-09 to SS-11 are checked at every update. If you watch the directory, delete the client in the store |
| AT-06 | This gate issues opaque tokens and asks the store about each. The authorization server that issues JWT access tokens (RFC 9068) also checks them |
| IR-03 | Refresh tokens and consents belong to the authorization server, and with `other_grants: pass` so does its introspection endpoint. The store's introspection is not an endpoint of the gateway: no caller reaches it through Envoy |
";

#[test]
fn the_rules_document_is_made_from_the_catalogue() {
    let project = project_folder();
    let sources = sources(&project);
    let profiles: Vec<Profile> = Profile::names().map(|name| Profile::named(name).unwrap()).collect();
    let mut document = HEAD.to_owned();
    let names: String = profiles.iter().map(|profile| format!(" {} |", profile.name)).collect();
    writeln!(document, "| rule | reason | answer | what the caller reads |{names} checked in | source |").unwrap();
    writeln!(document, "|---|---|---|---|{}---|---|", "---|".repeat(profiles.len())).unwrap();
    for rule in RULES {
        let (answer, checked_in) = (answer(rule), checked_in(rule, &sources));
        let levels: String = profiles.iter().map(|profile| format!(" {} |", letter(rule.level_in(profile)))).collect();
        let row = row_name(rule);
        assert!(sources.iter().any(|source| refers_to(source.code(), row)), "no code refers to {row}");
        writeln!(
            document,
            "| {}{} | `{}` | {answer} | {} |{levels} {checked_in} | {} |",
            rule.id,
            if rule.waivability == Waivability::Waivable { "\\*" } else { "" },
            rule.reason,
            rule.sentence,
            rule.source
        )
        .unwrap();
    }

    document.push_str(TAIL);

    let path = project.join("docs/rules.md");
    if std::env::var_os("DCR_WRITE_DOCS").is_some() {
        std::fs::write(&path, &document).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == document, "docs/rules.md is stale: run `make docs`");
}

#[test]
fn every_rule_has_a_function_and_a_test_that_bear_its_id() {
    let sources = sources(&project_folder());
    let ids_of = |names: Vec<&str>| names.into_iter().flat_map(ids).collect::<BTreeSet<String>>();
    let checked = ids_of(sources.iter().flat_map(Source::functions).collect());
    let tested = ids_of(sources.iter().flat_map(Source::tests).collect());
    let known: BTreeSet<String> = RULES.iter().map(|rule| rule.id.to_owned()).collect();
    let untested: Vec<&String> = known.difference(&tested).collect();
    let unchecked: Vec<&String> = known.difference(&checked).collect();
    assert!(unchecked.is_empty(), "no function's name begins with {unchecked:?}, as md_01_… does with MD-01");
    assert!(untested.is_empty(), "no test's name begins with {untested:?}, as md_01_… does with MD-01");
}

fn letter(level: Option<Level>) -> &'static str {
    match level {
        Some(Level::Must) => "M",
        Some(Level::Should) => "S",
        Some(Level::Optional) => "o",
        None => "",
    }
}

#[test]
fn levels_name_families_that_profiles_belong_to() {
    let profiles: Vec<Profile> = Profile::names().map(|name| Profile::named(name).unwrap()).collect();
    for rule in RULES {
        let entries = rule.levels.split(", ").count();
        assert_eq!(rule.levels().count(), entries, "{}: {} cannot be read", rule.id, rule.levels);
        for (family, _) in rule.levels() {
            let known = profiles.iter().any(|profile| profile.families.iter().any(|name| name == family));
            assert!(known, "{}: no profile belongs to {family}", rule.id);
        }
    }
}

/// The list of all rules lies beside the project's folder, not in it; without it the test says so and is skipped.
#[test]
fn every_rule_there_is_has_its_place_in_the_document() {
    let project = project_folder();
    let list = project.join("../shared/rules.md");
    let Ok(list) = std::fs::read_to_string(&list) else {
        println!("skipped: no list of rules at {}", list.display());
        return;
    };
    let document = std::fs::read_to_string(project.join("docs/rules.md")).unwrap();
    let ids = list.lines().filter_map(|line| line.strip_prefix("| ")?.split_once(" |")).map(|(id, _)| id);
    let is_id = |id: &&str| id.len() == 5 && id.as_bytes()[2] == b'-' && id[3..].bytes().all(|b| b.is_ascii_digit());
    let missing: Vec<&str> = ids.filter(is_id).filter(|id| !document.contains(*id)).collect();
    assert!(missing.is_empty(), "docs/rules.md says nothing of {missing:?}");
}

fn answer(rule: &Rule) -> String {
    match rule.answer {
        Answer::Fixed(status, error) => format!("{status} `{}`", error.as_str()),
        Answer::OfDocument => "by document".to_owned(),
        Answer::SameAs(shown) => format!("as {}", shown.id),
    }
}

/// A file of the code that checks rules.
struct Source {
    file: String,
    text: String,
}

impl Source {
    fn read(project: &Path, path: &Path) -> Self {
        let file = path.strip_prefix(project).unwrap().display().to_string();
        Self { file, text: std::fs::read_to_string(path).unwrap() }
    }

    /// The file without its tests.
    fn code(&self) -> &str {
        let is_test = self.file.ends_with("tests.rs") || self.file.contains("/tests/");
        if is_test { "" } else { self.text.split("#[cfg(test)]").next().unwrap_or_default() }
    }

    /// The names of its functions.
    fn functions(&self) -> Vec<&str> {
        self.code().lines().filter_map(function_name).collect()
    }

    /// The names of its tests.
    fn tests(&self) -> Vec<&str> {
        self.text.split("#[test]").skip(1).filter_map(|test| test.lines().find_map(function_name)).collect()
    }
}

/// The functions whose names begin with the rule's id.
fn checked_in(rule: &Rule, sources: &[Source]) -> String {
    let link = |source: &Source, name: &str| format!("[{name}](../{})", source.file);
    let links = sources.iter().flat_map(|source| {
        let named = source.functions().into_iter().filter(|name| ids(name).iter().any(|id| id == rule.id));
        named.map(|name| link(source, name))
    });
    links.collect::<Vec<_>>().join(", ")
}

/// The ids that a name begins with: JO-14 and JO-18 of `jo_14_jo_18_required_header`.
fn ids(name: &str) -> Vec<String> {
    let words: Vec<&str> = name.split('_').collect();
    let id = |pair: &[&str]| match pair {
        [section, number] if section.len() == 2 && number.len() == 2 && number.bytes().all(|b| b.is_ascii_digit()) => {
            Some(format!("{}-{number}", section.to_uppercase()))
        }
        _ => None,
    };
    words.chunks_exact(2).map_while(id).collect()
}

fn refers_to(code: &str, row: &str) -> bool {
    code.match_indices(&format!("&{row}")).any(|(start, reference)| {
        let next = code[start + reference.len()..].chars().next();
        next.is_none_or(|next| !next.is_ascii_alphanumeric() && next != '_')
    })
}

/// Rows are named by the id, with a word where an id has several rows.
fn row_name(rule: &Rule) -> &'static str {
    const CATALOGUE: &str = include_str!("../crates/policy/src/catalogue.rs");
    let row = format!(" \"{}\" {} ", rule.id, rule.reason);
    let line = CATALOGUE.lines().find(|line| line.contains(&row)).unwrap_or_else(|| panic!("no row {row}"));
    line.trim().split(' ').next().unwrap()
}

fn sources(project: &Path) -> Vec<Source> {
    let mut files = Vec::new();
    for folder in ["crates/jose/src", "crates/policy/src", "src"] {
        collect(&project.join(folder), &mut files);
    }
    files.sort();
    files.iter().map(|path| Source::read(project, path)).collect()
}

fn function_name(line: &str) -> Option<&str> {
    let (before, after) = line.split_once("fn ")?;
    let words = before.trim_start().split(' ');
    let is_declaration =
        words.into_iter().all(|word| matches!(word, "" | "pub" | "pub(super)" | "pub(crate)" | "async"));
    is_declaration.then(|| after.split(['(', '<']).next().unwrap_or_default())
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if path.is_dir() && name != "catalogue" {
            collect(&path, files);
        } else if name.ends_with(".rs") && name != "catalogue.rs" {
            files.push(path);
        }
    }
}
