//! What people see of a client: its name, its links, its version (SS-15, SS-16).

use serde_json::{Map, Value};

use super::Metadata;
use crate::Refusal;
use crate::catalogue::SS_16;
use crate::dialect::Dialect;
use crate::software_statement::SoftwareStatement;
use crate::url::{host, is_https};

/// Members that only describe the client to people (RFC 7591 section 2).
pub(crate) const DESCRIPTIVE_MEMBERS: [&str; 6] =
    ["client_name", "client_uri", "logo_uri", "tos_uri", "policy_uri", "software_version"];

/// The longest descriptive member kept, in bytes.
const DESCRIPTIVE_BYTES: usize = 2048;

impl Metadata<'_> {
    /// The descriptions of the client for people. The statement's value comes first, because the directory wrote it. The request's value is
    /// used only if the statement has none and the text is safe to show: an attacker must not choose the text of a consent page.
    pub(super) fn ss_15_descriptive(&self, statement: &SoftwareStatement, dialect: &Dialect) -> Map<String, Value> {
        let of_statement = |member: &str| {
            let name = dialect.claims.descriptive.get(member).map_or(member, String::as_str);
            match statement.claims().get(name).or_else(|| statement.claims().get(member))? {
                Value::String(text) => Some(text.clone()),
                // The directory of Open Banking UK writes a version as a number; RFC 7591 section 2 has a string.
                Value::Number(number) => Some(number.to_string()),
                _ => None,
            }
        };
        let of_request =
            |member: &str| self.claims.text(member).filter(|text| text.len() <= DESCRIPTIVE_BYTES).map(str::to_owned);
        DESCRIPTIVE_MEMBERS
            .into_iter()
            .filter_map(|member| {
                let presentable = |text: String| presentable(member, &text);
                let text = of_statement(member).and_then(presentable);
                let text = text.or_else(|| of_request(member).and_then(presentable))?;
                Some((member.to_owned(), Value::from(text)))
            })
            .collect()
    }
}

/// The URIs that people see in the description of a client are on the hosts of its redirect URIs (SS-16).
pub(super) fn ss_16_hosts(
    descriptive: &Map<String, Value>,
    redirect_uris: &[String],
    dialect: &Dialect,
) -> Result<(), Refusal> {
    if !dialect.uris_on_redirect_hosts {
        return Ok(());
    }
    let known: Vec<String> = redirect_uris.iter().filter_map(|uri| host(uri)).collect();
    let is_known = |uri: &str| host(uri).is_some_and(|host| known.contains(&host));
    let member = DESCRIPTIVE_MEMBERS
        .into_iter()
        .filter(|member| member.ends_with("_uri"))
        .find(|member| descriptive.get(*member).and_then(Value::as_str).is_some_and(|uri| !is_known(uri)));
    match member {
        Some(member) => Err(Refusal::by(&SS_16).claim(member)),
        None => Ok(()),
    }
}

/// The text as people may see it: without control and format characters and without those that a reader does not see, because they hide or
/// reorder others. `None` if nothing is left, or if it is a URI and not https.
fn presentable(member: &str, text: &str) -> Option<String> {
    let text: String = text.chars().filter(|c| !is_unseen(*c)).collect();
    let is_fit = !text.trim().is_empty() && (!member.ends_with("_uri") || is_https(&text));
    is_fit.then_some(text)
}

/// Whether a character has no shape of its own (Unicode: default ignorable, format, control, line and paragraph separators).
fn is_unseen(character: char) -> bool {
    UNSEEN.iter().any(|(first, last)| (*first..=*last).contains(&character))
}

// The ranges of these characters, from the Unicode data of the crate regex-syntax (`build.rs`).
include!(concat!(env!("OUT_DIR"), "/unseen.rs"));
