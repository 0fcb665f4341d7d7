//! Profiles: the rules of one ecosystem as data. A profile is a readable file of values under `profiles/`. It has all values, or only those
//! that differ from the profile that it `extends`. Code reads the values and never the name of a profile.

use std::time::Duration;

use dcr_jose::Algorithm;
use dcr_json::schema::{self, Definitions};
use dcr_json::{self as json, ByName, FromJson, ReadError, json_enum, json_struct, named};
use dcr_x509::Attribute;
use serde_json::{Map, Value};

use super::dialect::{Dialect, HeaderMember};
use super::error_code::ErrorCode;

/// The built-in profiles: names, and the text of their files without white space (`build.rs`).
const BUILT_IN: &[(&str, &str)] = &[
    ("uk-obie-3.3", include_str!(concat!(env!("OUT_DIR"), "/uk-obie-3.3.json"))),
    ("uk-obie-3.4", include_str!(concat!(env!("OUT_DIR"), "/uk-obie-3.4.json"))),
    ("wso2-accelerator-3", include_str!(concat!(env!("OUT_DIR"), "/wso2-accelerator-3.json"))),
    ("fapi2", include_str!(concat!(env!("OUT_DIR"), "/fapi2.json"))),
    ("revolut", include_str!(concat!(env!("OUT_DIR"), "/revolut.json"))),
    ("au-cdr", include_str!(concat!(env!("OUT_DIR"), "/au-cdr.json"))),
    ("br-openfinance", include_str!(concat!(env!("OUT_DIR"), "/br-openfinance.json"))),
];

/// The client authentication method by a signed assertion (OpenID Connect Core section 9).
pub const PRIVATE_KEY_JWT: &str = "private_key_jwt";
/// The client authentication method by the transport certificate (RFC 8705 section 2.1).
pub const TLS_CLIENT_AUTH: &str = "tls_client_auth";

/// What one ecosystem asks of registrations, clients and tokens.
#[derive(Debug, Clone)]
pub struct Profile {
    /// The name of the profile, as in `profile` of the configuration.
    pub name: String,
    /// One line about the ecosystem, for people.
    pub about: String,
    /// The document that the profile follows.
    pub edition: Edition,
    /// The families of rules that the profile belongs to. The catalogue gives each rule a level for each family.
    pub families: Vec<String>,
    /// The paths of the endpoints. The configuration may replace them.
    pub paths: Paths,
    /// Algorithms that are allowed in every signature (JO-05).
    pub signing_algorithms: Vec<Algorithm>,
    /// How far in the future `iat` and `nbf` may lie (JW-04, JW-05). `exp` has no tolerance (JW-03).
    pub clock_skew: Duration,
    /// Whether dates in signed documents may have a fraction of a second, which is then cut off (JW-02).
    pub fractional_dates: bool,
    /// Members that the JOSE header of requests and assertions must have (JO-14, JO-18).
    pub required_header: Vec<HeaderMember>,
    /// The demands on software statements, as the ecosystem's directory writes them.
    pub software_statement: Dialect,
    /// The demands on registration requests.
    pub registration: RegistrationProfile,
    /// The demands on client metadata.
    pub client_metadata: ClientMetadataProfile,
    /// The demands on client assertions.
    pub client_assertion: ClientAssertionProfile,
    /// The demands on access tokens.
    pub access_token: AccessTokenProfile,
    /// The form of answers.
    pub answers: AnswersProfile,
}

json_struct!(Profile {
    name,
    about,
    edition,
    families,
    paths,
    signing_algorithms,
    clock_skew,
    fractional_dates,
    required_header,
    software_statement,
    registration,
    client_metadata,
    client_assertion,
    access_token,
    answers,
});

/// The document that a profile follows.
#[derive(Debug, Clone)]
pub struct Edition {
    /// The title of the document.
    pub document: String,
    /// Its version, as the document writes it.
    pub version: String,
    /// When it was published or last changed, as year-month-day, or year-month if no day is known.
    pub date: String,
}

json_struct!(Edition { document, version, date });

/// Paths of the endpoints.
#[derive(Debug, Clone)]
pub struct Paths {
    /// The registration endpoint. Each registration has a path below it, with its ClientId.
    pub registration: String,
    /// The token endpoint.
    pub token: String,
    /// The endpoint at which a third party reads how its certificate's subject is written; `None` if there is no such endpoint.
    pub distinguished_name: Option<String>,
}

json_struct!(Paths { registration, token, distinguished_name });

/// The demands on a registration request.
#[derive(Debug, Clone)]
pub struct RegistrationProfile {
    /// The format of the body (RQ-06).
    pub body: RequestBody,
    /// The allowed media types of the body (RG-02).
    pub media_types: Vec<String>,
    /// The names of the gateway that `aud` may contain (RQ-03).
    pub audiences: Vec<Audience>,
    /// Whether a request must have a `jti` (RQ-04). The store remembers a request without one by the digest of its signed part.
    pub jti_required: bool,
    /// The longest time between now and `exp` (JW-06).
    pub max_lifetime: Duration,
    /// The longest time that a `jti` is remembered. It is for requests that live longer than the store keeps a `jti`. After this time, a
    /// request that has not expired can be replayed.
    pub danger_forget_jti_after: Option<Duration>,
    /// The token that manages a registration (CM-01).
    pub management_token: ManagementToken,
    /// Whether a second registration of the same software is refused (MD-26).
    pub single_registration: bool,
    /// Members of the server that an update may repeat; they are ignored there (CM-09).
    pub ignored_in_updates: Vec<String>,
}

json_struct!(RegistrationProfile {
    body,
    media_types,
    audiences,
    jti_required,
    max_lifetime,
    danger_forget_jti_after,
    management_token,
    single_registration,
    ignored_in_updates,
});

/// The allowed values of client metadata.
#[derive(Debug, Clone)]
pub struct ClientMetadataProfile {
    /// Allowed values of `token_endpoint_auth_method` (MD-04).
    pub token_endpoint_auth_methods: Vec<String>,
    /// The method of a client whose request names none (MD-04); `None` if the request must name it.
    pub default_token_endpoint_auth_method: Option<String>,
    /// Whether `private_key_jwt` needs `token_endpoint_auth_signing_alg` (MD-05).
    pub token_endpoint_auth_signing_alg_required: bool,
    /// Allowed values of `grant_types` (MD-10).
    pub grant_types: Vec<String>,
    /// The grants of a client whose request names none (MD-10). If the list is empty, the request must name them.
    pub default_grant_types: Vec<String>,
    /// Allowed values of `response_types` (MD-11). The order of the words in an entry has no meaning.
    pub response_types: Vec<String>,
    /// The response types of a client whose request names none (MD-11).
    pub default_response_types: Vec<String>,
    /// Whether a response type with `id_token` needs the grant type `implicit` (MD-12).
    pub id_token_needs_implicit: bool,
    /// Allowed values of `application_type` (MD-19).
    pub application_types: Vec<String>,
    /// Whether a request must contain `application_type` (MD-19).
    pub application_type_required: bool,
    /// Members that must be present and name a signing algorithm (MD-20).
    pub required_signing_algs: Vec<String>,
    /// The values of members that name a signing algorithm, for requests without them.
    pub default_signing_algs: ByName<String>,
    /// Members that are registered besides those that every profile has: `subject_type`, `require_auth_time` and others.
    pub further_members: Vec<String>,
    /// Allowed values of `subject_type` (MD-28). The metadata states them.
    pub subject_types: Vec<String>,
    /// Whether a request may register redirect URIs that the statement does not list (MD-01). Then the holder of the software's signing key
    /// decides where authorization codes are sent.
    pub danger_redirect_uris_beyond_statement: bool,
    /// Whether the request must name its redirect URIs (MD-02). Otherwise it may leave them out and gets all of the statement's.
    pub redirect_uris_required: bool,
    /// The longest redirect URI, in characters (MD-03).
    pub redirect_uri_max_chars: usize,
    /// The longest `scope`, in characters (MD-14).
    pub scope_max_chars: usize,
    /// The longest subject, in characters of the name as this gateway prints it (MD-06).
    pub subject_dn_max_chars: usize,
    /// The attribute with which the text of a subject must begin (MD-06). `None` if it may begin with any.
    pub subject_dn_first_attribute: Option<Attribute>,
    /// The members in which a client may name the subject of its certificate (MD-07, MD-08, MD-09).
    pub subject_members: Vec<SubjectMember>,
    /// The attributes of a subject that must match (DN-05). An empty list means all attributes.
    pub subject_dn_attributes: Vec<Attribute>,
    /// Whether an update that changes the subject must come over the certificate that is still registered. Afterwards only the new
    /// certificate is accepted (CM-11).
    pub subject_changes_over_old_certificate: bool,
    /// Whether `scope` may be an array of scopes (MD-16).
    pub scope_arrays: bool,
}

json_struct!(ClientMetadataProfile {
    token_endpoint_auth_methods,
    default_token_endpoint_auth_method,
    token_endpoint_auth_signing_alg_required,
    grant_types,
    default_grant_types,
    response_types,
    default_response_types,
    id_token_needs_implicit,
    application_types,
    application_type_required,
    required_signing_algs,
    default_signing_algs,
    further_members,
    subject_types,
    danger_redirect_uris_beyond_statement,
    redirect_uris_required,
    redirect_uri_max_chars,
    scope_max_chars,
    subject_dn_max_chars,
    subject_dn_first_attribute,
    subject_members,
    subject_dn_attributes,
    subject_changes_over_old_certificate,
    scope_arrays,
});

/// The demands on a client assertion.
#[derive(Debug, Clone)]
pub struct ClientAssertionProfile {
    /// The names of the gateway that `aud` may contain (CA-07).
    pub audiences: Vec<Audience>,
    /// Whether `aud` may be an array that contains one of these names (CA-07).
    pub audience_arrays: bool,
    /// The longest time between now and `exp` (CA-09).
    pub max_lifetime: Duration,
}

json_struct!(ClientAssertionProfile { audiences, audience_arrays, max_lifetime });

/// The demands on access tokens that the token endpoint issues.
#[derive(Debug, Clone)]
pub struct AccessTokenProfile {
    /// The scope that a token needs to manage a registration; `None` if it needs no scope (CM-05).
    pub management_scope: Option<String>,
    /// The time from issue to expiry.
    pub lifetime: Duration,
    /// The shortest lifetime the ecosystem allows (AT-08).
    pub least_lifetime: Duration,
    /// The longest lifetime the ecosystem allows (AT-08).
    pub most_lifetime: Duration,
}

json_struct!(AccessTokenProfile { management_scope, lifetime, least_lifetime, most_lifetime });

/// A name of this authorization server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// The issuer of the metadata.
    Issuer,
    /// The URL of the registration endpoint.
    RegistrationEndpoint,
    /// The URL of the token endpoint.
    TokenEndpoint,
}

json_enum!(Audience {
    "issuer" => Issuer, "registration_endpoint" => RegistrationEndpoint, "token_endpoint" => TokenEndpoint,
});

/// The form of answers, where ecosystems differ from each other.
#[derive(Debug, Clone)]
pub struct AnswersProfile {
    /// The JSON type of `client_id_issued_at` (RG-05).
    pub client_id_issued_at: JsonType,
    /// The handling of the header `x-fapi-interaction-id` (RG-15).
    pub interaction_id: InteractionId,
    /// Rules that this ecosystem answers with another `error`, by their ids.
    pub errors: ByName<ErrorCode>,
}

json_struct!(AnswersProfile { client_id_issued_at, interaction_id, errors });

/// The format of a registration request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestBody {
    /// A JWT signed with a key of the software.
    Jwt,
    /// A JSON object. Only the transport certificate shows who sent it.
    Json,
}

json_enum!(RequestBody { "jwt" => Jwt, "json" => Json });

/// The token that manages a registration (CM-01).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ManagementToken {
    /// An access token of the client, bound to its certificate.
    AccessToken,
    /// The token that the client got with its registration (RFC 7592 section 3).
    RegistrationAccessToken,
}

json_enum!(ManagementToken { "access_token" => AccessToken, "registration_access_token" => RegistrationAccessToken });

/// A member in which a client names the subject of its certificate (RFC 8705 section 2.1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubjectMember {
    /// The whole subject.
    Dn,
    /// The whole subject, in the member that older servers use (MD-09).
    ShortDn,
    /// A DNS name, as a subject alternative name.
    SanDns,
    /// A URI, as a subject alternative name.
    SanUri,
    /// An IP address, as a subject alternative name.
    SanIp,
    /// An email address, as a subject alternative name.
    SanEmail,
}

impl ClientMetadataProfile {
    /// The member that holds the whole subject of a certificate. Answers and errors about a subject use its name (MD-09).
    pub fn subject_dn_member(&self) -> SubjectMember {
        if self.subject_members.contains(&SubjectMember::ShortDn) { SubjectMember::ShortDn } else { SubjectMember::Dn }
    }
}

impl FromJson for SubjectMember {
    fn from_json(value: &Value) -> Result<Self, ReadError> {
        named(value, "enum SubjectMember", &Self::ALL.map(Self::name), &Self::ALL)
    }

    fn schema(_: &mut Definitions) -> Value {
        schema::one_of(&Self::ALL.map(Self::name))
    }
}

impl SubjectMember {
    /// All members.
    pub const ALL: [Self; 6] = [Self::Dn, Self::ShortDn, Self::SanDns, Self::SanUri, Self::SanIp, Self::SanEmail];

    /// The member's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dn => "tls_client_auth_subject_dn",
            Self::ShortDn => "tls_client_auth_dn",
            Self::SanDns => "tls_client_auth_san_dns",
            Self::SanUri => "tls_client_auth_san_uri",
            Self::SanIp => "tls_client_auth_san_ip",
            Self::SanEmail => "tls_client_auth_san_email",
        }
    }
}

/// The handling of the header `x-fapi-interaction-id` (RG-15).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InteractionId {
    /// The header is ignored.
    Ignore,
    /// The answer repeats the header if the request has it.
    Echo,
    /// The request must have the header, and the answer repeats it.
    Require,
}

json_enum!(InteractionId { "ignore" => Ignore, "echo" => Echo, "require" => Require });

/// A JSON type for a point in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JsonType {
    /// The form of RFC 7591 section 3.2.1.
    Number,
    /// The form of older servers.
    String,
}

json_enum!(JsonType { "number" => Number, "string" => String });

impl Profile {
    /// The built-in profile with this name.
    ///
    /// # Errors
    /// [`UnknownProfile`] with the known names, or with the reason why the profile's file could not be read.
    pub fn named(name: &str) -> Result<Self, UnknownProfile> {
        json::read(&Self::document(name)?).map_err(|error| UnknownProfile(error.to_string()))
    }

    /// All values of the built-in profile with this name, in the form of its file.
    ///
    /// # Errors
    /// As [`Profile::named`].
    pub fn document(name: &str) -> Result<Value, UnknownProfile> {
        let (_, text) = BUILT_IN
            .iter()
            .find(|(built_in, _)| *built_in == name)
            .ok_or_else(|| UnknownProfile(format!("there are {}", Self::names().collect::<Vec<_>>().join(", "))))?;
        let document =
            json::parse_object(text.as_bytes(), DOCUMENT_DEPTH).map_err(|error| UnknownProfile(error.to_string()))?;
        Self::whole(document)
    }

    /// All values of a profile that is written out. It may contain only the values that differ from the built-in profile that it `extends`.
    ///
    /// # Errors
    /// There is no such built-in profile.
    pub fn whole(mut document: Map<String, Value>) -> Result<Value, UnknownProfile> {
        let Some(extended) = document.shift_remove("extends") else { return Ok(Value::Object(document)) };
        let mut whole = Self::document(extended.as_str().unwrap_or_default())?;
        merge(&mut whole, &document);
        Ok(whole)
    }

    /// The names of the values that widen what the standards allow. The filter logs a warning for each at start.
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

    /// The names of the built-in profiles.
    pub fn names() -> impl Iterator<Item = &'static str> {
        BUILT_IN.iter().map(|(name, _)| *name)
    }
}

/// Replaces values in `document` with those in `values`. Objects are merged member by member.
pub fn merge(document: &mut Value, values: &Map<String, Value>) {
    for (name, value) in values {
        match (document.get_mut(name), value) {
            (Some(known @ Value::Object(_)), Value::Object(values)) => merge(known, values),
            (Some(known), value) => *known = value.clone(),
            (None, value) => {
                if let Some(members) = document.as_object_mut() {
                    members.insert(name.clone(), value.clone());
                }
            }
        }
    }
}

/// The deepest nesting of a profile's file.
const DOCUMENT_DEPTH: usize = 16;

/// There is no such profile. The text says which names can be used.
#[derive(Debug)]
pub struct UnknownProfile(pub String);

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
    fn a_profile_that_extends_another_has_its_other_values() {
        let (base, extending) = (Profile::named("uk-obie-3.3").unwrap(), Profile::named("uk-obie-3.4").unwrap());
        assert_eq!(
            (base.paths.registration.as_str(), base.paths.token.as_str()),
            ("/open-banking/v3.3.0/register", "/token")
        );
        assert_eq!(
            (extending.paths.registration.as_str(), extending.paths.token.as_str()),
            ("/open-banking/v3.4/register", "/token")
        );
        assert!(Profile::document("uk-obie-3.4").unwrap().get("extends").is_none());
    }

    #[test]
    fn only_the_profile_of_a_lenient_product_widens_the_standards() {
        for name in Profile::names() {
            assert_eq!(Profile::named(name).unwrap().dangers().is_empty(), name != "wso2-accelerator-3", "{name}");
        }
    }

    #[test]
    fn the_error_about_an_unknown_profile_names_the_known_ones() {
        assert!(Profile::named("uk").unwrap_err().0.contains("uk-obie-3.3"));
    }
}
