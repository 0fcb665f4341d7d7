//! Redirect URIs: the places to which an authorization code may be sent. If a wrong URI is accepted, an attacker gets the codes.

use super::catalogue::{MD_01, MD_02, MD_03, MD_03_COUNT, MD_25_REDIRECT};
use super::dialect::Dialect;
use super::jwt::Claims;
use super::settings::Settings;
use super::software_statement::{SoftwareStatement, strings};
use super::url::is_public_https;
use super::{Document, Evaluation, Refusal};

/// The redirect URIs to register: those of the request, which must be in the statement (MD-01). If the request has none, they are those of
/// the statement, if the profile allows this (MD-02). Each URI must be acceptable (MD-03).
///
/// # Errors
/// MD-01, MD-02 or MD-03.
pub fn check(
    claims: &Claims,
    statement: &SoftwareStatement,
    dialect: &Dialect,
    settings: &Settings,
    evaluation: &Evaluation,
) -> Result<Vec<String>, Refusal> {
    let (rules, most) = (&settings.profile.client_metadata, settings.limits.redirect_uris);
    let of_statement =
        || Refusal::by(&MD_03).in_document(Document::SoftwareStatement).claim(dialect.claims.redirect_uris.clone());
    let of_request = || claims.refuse(&MD_03, "redirect_uris");
    let longest = rules.redirect_uri_max_chars;
    let known = statement.redirect_uris();
    let requested = evaluation.require(&[&MD_25_REDIRECT], md_25_strings(claims))?;

    // Only what is to be registered is judged. A statement may list other URIs besides, such as one for tests.
    let all_of_statement = requested.is_empty() && !rules.redirect_uris_required;
    let asked_for = if all_of_statement { known.to_vec() } else { requested };
    let place = || if all_of_statement { of_statement() } else { of_request() };
    evaluation.check(&[&MD_03_COUNT], md_03_count(&asked_for, most, place))?;
    evaluation.require(&[&MD_02], md_02_some(claims, &asked_for))?;
    evaluation.check(&[&MD_03], md_03_all_acceptable(&asked_for, longest, place))?;
    if !rules.danger_redirect_uris_beyond_statement {
        evaluation.check(&[&MD_01], md_01_in_statement(claims, &asked_for, known))?;
    }
    Ok(asked_for)
}

fn md_25_strings(claims: &Claims) -> Result<Vec<String>, Refusal> {
    match claims.members().get("redirect_uris") {
        None => Ok(Vec::new()),
        Some(value) => strings(value).ok_or_else(|| claims.refuse(&MD_25_REDIRECT, "redirect_uris")),
    }
}

/// Each URI of the request must be in the statement, character for character. A server may treat a difference in letter case as another
/// URI.
fn md_01_in_statement(claims: &Claims, requested: &[String], known: &[String]) -> Result<(), Refusal> {
    if requested.iter().all(|uri| known.contains(uri)) { Ok(()) } else { Err(claims.refuse(&MD_01, "redirect_uris")) }
}

fn md_02_some(claims: &Claims, uris: &[String]) -> Result<(), Refusal> {
    if uris.is_empty() { Err(claims.refuse(&MD_02, "redirect_uris")) } else { Ok(()) }
}

fn md_03_count(uris: &[String], most: usize, place: impl FnOnce() -> Refusal) -> Result<(), Refusal> {
    if uris.len() > most { Err(Refusal { rule: &MD_03_COUNT, ..place() }) } else { Ok(()) }
}

fn md_03_all_acceptable(uris: &[String], longest: usize, place: impl FnOnce() -> Refusal) -> Result<(), Refusal> {
    if uris.iter().all(|uri| md_03_acceptable(uri, longest)) { Ok(()) } else { Err(place()) }
}

/// Whether a URI is an absolute https URI with a public host, without user and fragment. A host that means the local machine is not public.
/// The profile limits the length.
fn md_03_acceptable(uri: &str, longest: usize) -> bool {
    uri.chars().count() <= longest && is_public_https(uri)
}

#[cfg(test)]
mod tests;
