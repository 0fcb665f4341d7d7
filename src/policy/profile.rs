//! Profiles: one ecosystem's rules as data. A profile is one readable file of values under `profiles/`; code asks the values, never the name.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Deserializer};

use super::refusal::ErrorCode;
use crate::jose::Algorithm;

/// The profiles built in, by name, with the text of their files.
const BUILT_IN: &[(&str, &str)] = &[
    ("uk-obie-3.3", include_str!("../../profiles/uk-obie-3.3.json")),
    ("uk-obie-3.4", include_str!("../../profiles/uk-obie-3.4.json")),
    ("wso2-accelerator-3", include_str!("../../profiles/wso2-accelerator-3.json")),
    ("fapi2", include_str!("../../profiles/fapi2.json")),
    ("revolut", include_str!("../../profiles/revolut.json")),
    ("au-cdr", include_str!("../../profiles/au-cdr.json")),
];

/// What one ecosystem asks of registrations, clients and tokens.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// The profile's name, as `profile` of the configuration writes it.
    pub name: String,
    /// One line about the ecosystem, for readers.
    pub about: String,
    /// Where the endpoints are, unless the configuration says otherwise.
    pub paths: Paths,
    /// Algorithms allowed in every signature (JO-05).
    #[serde(deserialize_with = "algorithms")]
    pub signing_algorithms: Vec<Algorithm>,
    /// How far in the future `iat` and `nbf` may lie (JW-04, JW-05). `exp` has no tolerance (JW-03).
    #[serde(deserialize_with = "duration")]
    pub clock_skew: Duration,
    /// Software statements.
    pub software_statement: SoftwareStatementProfile,
    /// Registration requests.
    pub registration: RegistrationProfile,
    /// Client metadata.
    pub client_metadata: ClientMetadataProfile,
    /// Whose transport certificates are a client's.
    pub certificate_binding: CertificateBinding,
    /// Client assertions.
    pub client_assertion: ClientAssertionProfile,
    /// Access tokens.
    pub access_token: AccessTokenProfile,
    /// The form of answers.
    pub answers: AnswersProfile,
}

/// Paths of the endpoints.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Paths {
    /// The registration endpoint; a registration is below it, by ClientId.
    pub registration: String,
    /// The token endpoint.
    pub token: String,
    /// Where a third party reads how its certificate's subject is written, if there is such a place.
    pub distinguished_name: Option<String>,
}

/// What a software statement must look like, and what its claims are called.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SoftwareStatementProfile {
    /// Claims that must be present and not null (SS-04).
    pub required_claims: Vec<String>,
    /// Whether the JOSE header must carry `typ` (JO-18).
    pub required_typ: bool,
    /// The oldest `iat` believed, if there is a limit (SS-06).
    #[serde(deserialize_with = "optional_duration")]
    pub max_age: Option<Duration>,
    /// How statements write roles (SS-10).
    pub roles_shape: RolesShape,
    /// The ecosystem's names of the claims.
    pub claims: StatementClaimNames,
}

/// The ecosystem's names of the claims in a software statement.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatementClaimNames {
    /// The software's id.
    pub software_id: String,
    /// The organisation's id.
    pub organisation_id: String,
    /// The organisation's status in the directory, where statements have it (SS-09).
    pub organisation_status: Option<String>,
    /// The software's redirect URIs (MD-01).
    pub redirect_uris: String,
    /// The software's roles (SS-10).
    pub roles: String,
    /// Where the software's key set lives, first one present wins (SS-13).
    pub key_set_uris: Vec<String>,
    /// The competent authority's claims about the organisation, where statements have them (SS-11, CB-05).
    pub authority_claims: Option<String>,
    /// The scopes the software may have, where statements have them (MD-17).
    pub scope: Option<String>,
    /// What the statement calls the members that describe a client to people (SS-15).
    pub descriptive: BTreeMap<String, String>,
}

/// What a registration request must look like.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegistrationProfile {
    /// Media types of the body (RG-02).
    pub media_types: Vec<String>,
    /// What `aud` may name (RQ-03).
    pub audiences: Vec<Audience>,
    /// The longest time from now to `exp` (JW-06).
    #[serde(deserialize_with = "duration")]
    pub max_lifetime: Duration,
    /// How long a `jti` is remembered at most, where requests live longer than the store keeps anything. After that time a request that
    /// has not expired can be replayed.
    #[serde(deserialize_with = "optional_duration")]
    pub danger_forget_jti_after: Option<Duration>,
    /// Whether one software may be registered only once at a time (MD-26).
    pub single_registration: bool,
}

/// What client metadata may say.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientMetadataProfile {
    /// MD-04.
    pub token_endpoint_auth_methods: Vec<String>,
    /// MD-10.
    pub grant_types: Vec<String>,
    /// MD-11; the order of words inside an entry does not matter.
    pub response_types: Vec<String>,
    /// What a request without response_types gets (MD-11).
    pub default_response_types: Vec<String>,
    /// MD-19.
    pub application_types: Vec<String>,
    /// Whether a request must say its application_type (MD-19).
    pub application_type_required: bool,
    /// Members that must be present and name a signing algorithm (MD-20).
    pub required_signing_algs: Vec<String>,
    /// Whether a request may register redirect URIs that the statement does not list (MD-01): whoever holds the software's signing key
    /// then decides where authorization codes go.
    pub danger_redirect_uris_beyond_statement: bool,
    /// MD-03.
    pub redirect_uri_max_chars: usize,
    /// MD-14.
    pub scope_max_chars: usize,
    /// MD-06.
    pub subject_dn_max_chars: usize,
    /// What the subject must begin with (MD-06); empty for anything.
    pub subject_dn_prefix: String,
    /// What the member that holds the subject is called (MD-09).
    pub subject_dn_member: SubjectDnMember,
    /// Whether an update that changes the subject comes over the certificate registered until then, and only the new one serves
    /// afterwards (CM-11).
    pub subject_changes_over_old_certificate: bool,
    /// Whether `scope` may be an array of scopes (MD-16).
    pub scope_arrays: bool,
    /// Where the scopes of a software come from (MD-15, MD-17).
    pub scopes_from: ScopesFrom,
    /// Which scopes a role gives (MD-15).
    pub role_scopes: BTreeMap<String, Vec<String>>,
    /// Scopes any software may have (MD-15).
    pub universal_scopes: Vec<String>,
}

/// What a client assertion must look like.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientAssertionProfile {
    /// What `aud` may name (CA-07).
    pub audiences: Vec<Audience>,
    /// Whether `aud` may be an array with one of them in it (CA-07).
    pub audience_arrays: bool,
    /// The longest time from now to `exp` (CA-09).
    #[serde(deserialize_with = "duration")]
    pub max_lifetime: Duration,
}

/// The access tokens the token endpoint issues.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccessTokenProfile {
    /// The scope that managing a registration takes, if it takes one (CM-05).
    pub management_scope: Option<String>,
    /// From issue to expiry.
    #[serde(deserialize_with = "duration")]
    pub lifetime: Duration,
}

/// A name of this authorization server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Audience {
    /// The issuer of the metadata.
    Issuer,
    /// The URL of the registration endpoint.
    RegistrationEndpoint,
    /// The URL of the token endpoint.
    TokenEndpoint,
}

/// The form of answers, where ecosystems differ.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnswersProfile {
    /// The JSON type of `client_id_issued_at` (RG-05).
    pub client_id_issued_at: JsonType,
    /// Rules, by their ids, that this ecosystem answers with another `error`.
    pub errors: BTreeMap<String, ErrorCode>,
}

/// How a statement writes roles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RolesShape {
    /// As an array of strings.
    Array,
    /// As one string.
    String,
}

/// What the member that holds a certificate's subject is called (MD-09).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum SubjectDnMember {
    /// As RFC 8705 section 2.1.2 has it.
    #[serde(rename = "tls_client_auth_subject_dn")]
    Standard,
    /// As older servers have it.
    #[serde(rename = "tls_client_auth_dn")]
    Short,
}

impl SubjectDnMember {
    /// The member's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Standard => "tls_client_auth_subject_dn",
            Self::Short => "tls_client_auth_dn",
        }
    }
}

/// Where the scopes of a software come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScopesFrom {
    /// From its roles; the request chooses among them.
    Roles,
    /// From the statement, as far as its roles know them; the request may choose among them.
    Statement,
}

/// What ties a transport certificate to a software.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CertificateBinding {
    /// Names in the certificate are the directory's ids (CB-04, CB-05).
    OpenBankingUk,
    /// Nothing in the certificate names the software (CB-10); only its dates are checked (CB-01).
    None,
}

/// A JSON type for a point in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JsonType {
    /// As RFC 7591 section 3.2.1 has it.
    Number,
    /// As older servers have it.
    String,
}

impl Profile {
    /// The built-in profile of that name.
    ///
    /// # Errors
    /// [`UnknownProfile`] with the names there are, or why a profile's file could not be read.
    pub fn named(name: &str) -> Result<Self, UnknownProfile> {
        let text = Self::text(name)
            .ok_or_else(|| UnknownProfile(format!("there are {}", Self::names().collect::<Vec<_>>().join(", "))))?;
        serde_json::from_str(text).map_err(|error| UnknownProfile(error.to_string()))
    }

    /// What the profile's file says.
    pub fn text(name: &str) -> Option<&'static str> {
        BUILT_IN.iter().find(|(built_in, _)| *built_in == name).map(|(_, text)| *text)
    }

    /// The values in force that widen what the standards allow, each by its name in the profile: worth a warning at start.
    pub fn dangers(&self) -> Vec<&'static str> {
        let dangers = [
            (self.registration.danger_forget_jti_after.is_some(), "registration.danger_forget_jti_after"),
            (
                self.client_metadata.danger_redirect_uris_beyond_statement,
                "client_metadata.danger_redirect_uris_beyond_statement",
            ),
        ];
        dangers.into_iter().filter(|(in_force, _)| *in_force).map(|(_, name)| name).collect()
    }

    /// Names of the built-in profiles.
    pub fn names() -> impl Iterator<Item = &'static str> {
        BUILT_IN.iter().map(|(name, _)| *name)
    }
}

/// There is no such profile; holds what to write instead.
#[derive(Debug)]
pub struct UnknownProfile(pub String);

/// Reads a duration written as in `30s`, `5m` or `10h`.
pub(crate) fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    humantime::parse_duration(&text).map_err(|error| {
        serde::de::Error::custom(format!("write a duration such as \"30s\", \"5m\" or \"10h\" ({error})"))
    })
}

/// Reads a duration or null.
pub(crate) fn optional_duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    #[derive(Deserialize)]
    struct Written(#[serde(deserialize_with = "duration")] Duration);
    Ok(Option::<Written>::deserialize(deserializer)?.map(|Written(duration)| duration))
}

fn algorithms<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Algorithm>, D::Error> {
    Vec::<String>::deserialize(deserializer)?
        .iter()
        .map(|name| {
            Algorithm::from_name(name)
                .ok_or_else(|| serde::de::Error::custom("the signing algorithms are PS256, ES256 and EdDSA"))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_profile_can_be_read_and_bears_its_name() {
        for name in Profile::names() {
            assert_eq!(Profile::named(name).unwrap().name, name);
        }
    }

    #[test]
    fn only_the_profile_of_a_lenient_product_widens_the_standards() {
        for name in Profile::names() {
            assert_eq!(Profile::named(name).unwrap().dangers().is_empty(), name != "wso2-accelerator-3", "{name}");
        }
    }

    #[test]
    fn an_unknown_profile_is_told_which_there_are() {
        assert!(Profile::named("uk").unwrap_err().0.contains("uk-obie-3.3"));
    }
}
