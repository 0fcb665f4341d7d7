//! How the directory of a profile writes statements and its third parties write requests, and what of it follows from the profile's
//! values: cases ask here for a good claim name, scope or response type instead of knowing one.

use dcr_cli::mint::{self, Token};
use dcr_cli::software::Software;
use dcr_gate::policy::dialect::ScopesFrom;
use dcr_gate::policy::profile::{Audience, Profile};
use serde_json::{Value, json};

use crate::PKI;

pub(super) const PRIVATE_KEY_JWT: &str = "private_key_jwt";
pub(super) const TLS_CLIENT_AUTH: &str = "tls_client_auth";
pub(super) const CIBA: &str = "urn:openid:params:grant-type:ciba";

/// All names of the gateway that a profile can take for an audience.
pub(super) const AUDIENCES: [(&str, Audience); 3] = [
    ("the issuer", Audience::Issuer),
    ("the registration endpoint", Audience::RegistrationEndpoint),
    ("the token endpoint", Audience::TokenEndpoint),
];

/// Who mints a statement (software, URL of the directory) and a request (software, audience, statement).
type Mint = (fn(&Software, &str) -> Token, fn(&Software, &str, &str) -> Token);

const UK: Mint = (mint::software_statement, mint::registration_request);
const CDR: Mint = (mint::cdr_software_statement, mint::cdr_registration_request);

/// The one thing that does not follow from a profile's values: what a real statement and a real request look like there.
const MINTS: &[(&str, Mint)] = &[
    ("uk-obie-3.3", UK),
    ("uk-obie-3.4", UK),
    ("wso2-accelerator-3", UK),
    ("revolut", UK),
    ("fapi2", UK),
    ("au-cdr", CDR),
];

/// A profile and its tokens.
pub(crate) struct Dialect {
    pub(crate) profile: Profile,
    mint: Mint,
}

impl Dialect {
    /// The dialect of a profile, or what to add for one that has none yet.
    pub(super) fn of(profile: Profile) -> Result<Self, String> {
        let mint = MINTS.iter().find(|(name, _)| *name == profile.name).map(|(_, mint)| *mint).ok_or_else(|| {
            "the matrix does not know this profile: name who mints its statements and requests in MINTS of \
             tests/gateway/matrix/dialect.rs"
                .to_owned()
        })?;
        Ok(Self { profile, mint })
    }

    /// A statement about this software that the profile takes.
    pub(super) fn statement(&self, software: &Software, directory_url: &str) -> Token {
        (self.mint.0)(software, directory_url)
    }

    /// A request that the profile takes, for its first choice among methods, application types and response types.
    pub(super) fn request(&self, software: &Software, audience: &str, statement: &str) -> Token {
        let rules = &self.profile.client_metadata;
        let request =
            (self.mint.1)(software, audience, statement).claim("response_types", json!(rules.default_response_types));
        let request = if rules.application_type_required {
            request.claim("application_type", rules.application_types[0].clone())
        } else {
            request
        };
        if allows(&self.profile, PRIVATE_KEY_JWT) { request } else { by_certificate(&self.profile)(request) }
    }
}

/// Makes a request one for `tls_client_auth` with the third party's transport certificate.
pub(super) fn by_certificate(profile: &Profile) -> impl Fn(Token) -> Token + use<> {
    let by_subject = by_subject(profile);
    move |request| by_subject(request, &PKI.tpp.transport.subject_dn().unwrap())
}

/// Makes a request one for `tls_client_auth` with this subject, under the profile's name for the member.
pub(super) fn by_subject(profile: &Profile) -> impl Fn(Token, &str) -> Token + Clone + use<> {
    let member = profile.client_metadata.subject_members[0].name();
    move |request, subject| {
        request.for_tls_client_auth(subject).without("tls_client_auth_subject_dn").claim(member, subject)
    }
}

/// Whether clients may authenticate that way.
pub(super) fn allows(profile: &Profile, method: &str) -> bool {
    profile.client_metadata.token_endpoint_auth_methods.iter().any(|allowed| allowed == method)
}

/// Whether clients may have that grant.
pub(super) fn grants(profile: &Profile, grant: &str) -> bool {
    profile.client_metadata.grant_types.iter().any(|known| known == grant)
}

/// Scopes that the third party may register, and one that it may not.
pub(super) fn scopes(profile: &Profile) -> (Vec<String>, String) {
    let dialect = Dialect::of(profile.clone()).unwrap();
    let statement = dialect.statement(&PKI.tpp.software, "https://directory.example");
    let claim = |name: &str| statement.claims().get(name).cloned().unwrap_or_default();
    let roles = words(&claim(&profile.software_statement.claims.roles));
    let known: Vec<String> = profile.software_statement.role_scopes.values().flatten().cloned().collect();
    let of_roles = profile
        .software_statement
        .role_scopes
        .iter()
        .filter(|(role, _)| roles.contains(role))
        .flat_map(|(_, scopes)| scopes);
    let of_roles: Vec<String> = profile.software_statement.universal_scopes.iter().chain(of_roles).cloned().collect();
    let allowed: Vec<String> = match profile.software_statement.scopes_from {
        ScopesFrom::Roles => of_roles,
        ScopesFrom::Statement => {
            let name = profile.software_statement.claims.scope.as_deref().unwrap_or_default();
            words(&claim(name)).into_iter().filter(|scope| of_roles.contains(scope)).collect()
        }
    };
    let beyond = known.into_iter().find(|scope| !allowed.contains(scope)).unwrap_or_else(|| "unheard-of".to_owned());
    (allowed, beyond)
}

/// A scope out of these words, as long as `longest` characters or a little less; and one that is just longer.
pub(super) fn scopes_around(longest: usize, words: &[String]) -> (String, String) {
    // Which word ends a scope of each length, if there is a scope of that length.
    let most = longest + 1 + words.iter().map(String::len).max().unwrap_or_default();
    let mut ends: Vec<Option<&String>> = vec![None; most + 1];
    for length in 1..=most {
        ends[length] = words
            .iter()
            .find(|word| length == word.len() || (length > word.len() + 1 && ends[length - word.len() - 1].is_some()));
    }
    let scope = |mut length: usize| {
        let mut scope = Vec::new();
        while let Some(word) = ends.get(length).copied().flatten() {
            scope.push(word.as_str());
            length = length.saturating_sub(word.len() + 1);
        }
        scope.join(" ")
    };
    let fitting = (1..=longest).rev().find(|length| ends[*length].is_some()).unwrap();
    let too_long = (longest + 1..=most).find(|length| ends[*length].is_some()).unwrap();
    (scope(fitting), scope(too_long))
}

/// The strings of an array, or the words of a string.
fn words(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => text.split(' ').map(str::to_owned).collect(),
        Value::Array(entries) => entries.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}
