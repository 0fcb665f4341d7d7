//! Client metadata (RFC 7591 section 2): the values that the registration request asks for, within the limits of the statement and the
//! profile.

mod descriptive;
mod further;

use dcr_jose::Algorithm;
use dcr_json::{FromJson, ReadError, json_enum, json_struct};
use dcr_x509::{Certificate, DistinguishedName, NameError};
use serde::Serialize;
use serde_json::{Map, Value};

use super::catalogue::{
    DN_01, MD_04, MD_05, MD_06, MD_06_CERTIFICATE, MD_06_FIRST, MD_06_LENGTH, MD_06_MISSING, MD_07, MD_08, MD_10,
    MD_11, MD_12, MD_12_IMPLICIT, MD_13, MD_14, MD_15, MD_17, MD_19, MD_20, MD_21, MD_21_ENC, MD_22, MD_23, MD_24,
    MD_25, MD_27, SS_16,
};
use super::certificate_subject::CertificateSubject;
use super::dialect::{Dialect, ScopesFrom};
use super::jwt::Claims;
use super::profile::{ClientMetadataProfile, PRIVATE_KEY_JWT, SubjectMember, TLS_CLIENT_AUTH};
use super::settings::Settings;
use super::software_keys::{KeysByValue, SoftwareKeys};
use super::software_statement::{SoftwareStatement, strings};
use super::url::{is_https, is_public_https};
use super::{Document, Evaluation, Refusal, Rule, redirect_uris, scope};
pub(super) use descriptive::DESCRIPTIVE_MEMBERS;
use descriptive::ss_16_hosts;
pub(super) use further::FURTHER_MEMBERS;

/// What is told if the subject of the caller's certificate is too long for the answer.
const SUBJECT_TOO_LONG: &str =
    "that subject is too long for this answer: openssl x509 -subject -nameopt RFC2253 prints it";

const CIBA_GRANT: &str = "urn:openid:params:grant-type:ciba";

/// Members that only the server may set (RFC 7591 section 3.2.1, RFC 7592 section 3).
pub const SERVER_MEMBERS: [&str; 6] = [
    "client_id",
    "client_id_issued_at",
    "client_secret",
    "client_secret_expires_at",
    "registration_access_token",
    "registration_client_uri",
];

/// The registered metadata, in the form of the answer and of the record.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClientMetadata {
    /// The URIs to which authorization codes may be sent.
    pub redirect_uris: Vec<String>,
    /// How the client authenticates at the token endpoint.
    pub token_endpoint_auth_method: AuthMethod,
    /// The algorithm of its assertions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_endpoint_auth_signing_alg: Option<String>,
    /// The subject of its certificates, for `tls_client_auth`: this member or one of the next four.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_client_auth_subject_dn: Option<String>,
    /// A DNS name of its certificates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_client_auth_san_dns: Option<String>,
    /// A URI of its certificates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_client_auth_san_uri: Option<String>,
    /// An IP address of its certificates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_client_auth_san_ip: Option<String>,
    /// An email address of its certificates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_client_auth_san_email: Option<String>,
    /// The grants it may use.
    pub grant_types: Vec<String>,
    /// The response types it may use.
    pub response_types: Vec<String>,
    /// Web or mobile.
    pub application_type: String,
    /// The algorithm of its ID tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id_token_signed_response_alg: Option<String>,
    /// Key encryption of its ID tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id_token_encrypted_response_alg: Option<String>,
    /// Content encryption of its ID tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id_token_encrypted_response_enc: Option<String>,
    /// The algorithm of its signed authorization responses (JARM).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authorization_signed_response_alg: Option<String>,
    /// The algorithm of its request objects.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_object_signing_alg: Option<String>,
    /// The scopes that it may ask for.
    pub scope: String,
    /// The software's id in the directory.
    pub software_id: String,
    /// Whether its access tokens are bound to its certificate. This is always true.
    pub tls_client_certificate_bound_access_tokens: bool,
    /// The URIs to which it may have notifications sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhook_uris: Option<Vec<String>>,
    /// Members that only some ecosystems have: those of `FURTHER_MEMBERS` that the profile names.
    #[serde(flatten)]
    pub further: Map<String, Value>,
    /// Members of the CIBA grant.
    #[serde(flatten)]
    pub ciba: Ciba,
    /// The members that only describe the client to people.
    #[serde(flatten)]
    pub descriptive: Map<String, Value>,
}

// Reads the metadata from a record.
json_struct!(ClientMetadata {
    redirect_uris,
    token_endpoint_auth_method,
    token_endpoint_auth_signing_alg,
    tls_client_auth_subject_dn,
    tls_client_auth_san_dns,
    tls_client_auth_san_uri,
    tls_client_auth_san_ip,
    tls_client_auth_san_email,
    grant_types,
    response_types,
    application_type,
    id_token_signed_response_alg,
    id_token_encrypted_response_alg,
    id_token_encrypted_response_enc,
    authorization_signed_response_alg,
    request_object_signing_alg,
    scope,
    software_id,
    tls_client_certificate_bound_access_tokens,
    webhook_uris,
    further = Map::new(),
    ciba = Ciba::default(),
    descriptive = Map::new(),
    ..
} and flattened);

impl ClientMetadata {
    fn flattened(&mut self, record: &Value) -> Result<(), ReadError> {
        let member = |name: &str| Some((name.to_owned(), record.get(name)?.clone()));
        self.descriptive = DESCRIPTIVE_MEMBERS.into_iter().filter_map(member).collect();
        self.further = FURTHER_MEMBERS.into_iter().filter_map(|(name, _)| member(name)).collect();
        self.ciba.fill(record)
    }
}

/// Client authentication methods (RFC 8705 section 2.1, OpenID Connect Core section 9).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthMethod {
    /// A signed assertion.
    PrivateKeyJwt,
    /// The subject of the transport certificate.
    TlsClientAuth,
}

json_enum!(AuthMethod { "private_key_jwt" => PrivateKeyJwt, "tls_client_auth" => TlsClientAuth });

/// Client-initiated backchannel authentication.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Ciba {
    /// `poll` or `ping`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backchannel_token_delivery_mode: Option<String>,
    /// The URL for pings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backchannel_client_notification_endpoint: Option<String>,
    /// The algorithm of its signed requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backchannel_authentication_request_signing_alg: Option<String>,
    /// Never true in the profiles that have CIBA.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backchannel_user_code_parameter: Option<bool>,
    /// The name that the data dictionary of Open Banking UK gives to the same member.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backchannel_user_code_parameter_supported: Option<bool>,
}

json_struct!(Ciba {
    backchannel_token_delivery_mode,
    backchannel_client_notification_endpoint,
    backchannel_authentication_request_signing_alg,
    backchannel_user_code_parameter,
    backchannel_user_code_parameter_supported,
    ..
});

impl ClientMetadata {
    /// Checks the metadata that the request asks for (MD-01 to MD-25, DN-01, SS-16). Unknown members are ignored (RG-09).
    ///
    /// A `tls_client_auth` client must name the subject of `certificate`. It is `None` if the client may name the subject of another
    /// certificate (CM-11).
    ///
    /// # Errors
    /// The first broken rule.
    pub fn check(
        claims: &Claims,
        statement: &SoftwareStatement,
        dialect: &Dialect,
        certificate: Option<&Certificate>,
        settings: &Settings,
        evaluation: &Evaluation,
    ) -> Result<Self, Refusal> {
        let metadata = Metadata {
            claims,
            rules: &settings.profile.client_metadata,
            algorithms: &settings.profile.signing_algorithms,
        };
        let redirect_uris = redirect_uris::check(claims, statement, dialect, settings, evaluation)?;
        let method = evaluation.require(&[&MD_25, &MD_04], metadata.md_04_auth_method())?;
        let grant_types = metadata.md_10_grant_types();
        let grant_types = evaluation.check_or(&[&MD_25, &MD_10], grant_types, || metadata.given("grant_types"))?;
        let response_types = metadata.md_11_response_types(&grant_types);
        let response_types =
            evaluation.check_or(&[&MD_25, &MD_11], response_types, || metadata.given("response_types"))?;
        evaluation.check(&[&MD_12, &MD_12_IMPLICIT], metadata.md_12_consistent(&grant_types, &response_types))?;
        evaluation.check(&[&MD_25, &MD_13], metadata.md_13_software_id(statement))?;
        evaluation.check(&[&MD_25, &MD_22], metadata.md_22_key_set(statement))?;
        evaluation.check(&[&MD_24], metadata.md_24_bound_access_tokens())?;
        let encryption =
            metadata.md_21_encryption("id_token_encrypted_response_alg", "id_token_encrypted_response_enc");
        let encryption = evaluation.check_or(&[&MD_25, &MD_21, &MD_21_ENC], encryption, Default::default)?;
        let auth_signing_alg = metadata.md_05_auth_signing_alg(method);
        let auth_signing_alg = evaluation.check_or(&[&MD_25, &MD_05], auth_signing_alg, Default::default)?;
        let subject = metadata.md_06_md_07_md_08_subject(method);
        let rules = [&MD_07, &MD_06, &MD_06_MISSING, &MD_08, &MD_25, &DN_01, &MD_06_LENGTH, &MD_06_FIRST];
        let subject = evaluation.require(&rules, subject)?;
        evaluation.check(&[&MD_06_CERTIFICATE], metadata.md_06_of_certificate(subject.as_ref(), certificate))?;
        let application_type = metadata.md_19_application_type();
        let application_type = evaluation.check_or(&[&MD_25, &MD_19], application_type, || metadata.default_type())?;
        let signing_alg = |member| {
            let alg = metadata.md_20_signing_alg(member);
            evaluation.check_or(&[&MD_25, &MD_20], alg, || metadata.md_25_text(member).ok().flatten())
        };
        let further = metadata.further(evaluation)?;
        let webhook_uris = metadata.md_27_webhook_uris(statement, dialect);
        let webhook_uris = evaluation.check_or(&[&MD_25, &MD_27], webhook_uris, || None)?;
        let (id_token_signed_response_alg, authorization_signed_response_alg, request_object_signing_alg) = (
            signing_alg("id_token_signed_response_alg")?,
            signing_alg("authorization_signed_response_alg")?,
            signing_alg("request_object_signing_alg")?,
        );
        let allowed = evaluation.require(&[&MD_17], md_17_md_18_allowed(statement, dialect))?;
        let scope = evaluation.require(&[&MD_25], metadata.md_16_scope())?;
        let well_formed = metadata.md_14_scope(scope.as_deref());
        evaluation.check(&[&MD_14], well_formed)?;
        let scope = scope.and_then(|scope| scope::normalised(&scope)).unwrap_or_else(|| allowed.join(" "));
        evaluation.check(&[&MD_15], metadata.md_15_within(&scope, &allowed))?;
        let ciba = metadata.md_23_ciba(&grant_types);
        let ciba = evaluation.check_or(&[&MD_25, &MD_23], ciba, Ciba::default)?;
        let descriptive = metadata.ss_15_descriptive(statement, dialect);
        evaluation.check(&[&SS_16], ss_16_hosts(&descriptive, &redirect_uris, dialect))?;

        let subject_as = |member| subject.as_ref().and_then(|subject| subject.written_as(member));
        Ok(Self {
            redirect_uris,
            token_endpoint_auth_method: method,
            token_endpoint_auth_signing_alg: auth_signing_alg,
            tls_client_auth_subject_dn: subject_as(SubjectMember::Dn),
            tls_client_auth_san_dns: subject_as(SubjectMember::SanDns),
            tls_client_auth_san_uri: subject_as(SubjectMember::SanUri),
            tls_client_auth_san_ip: subject_as(SubjectMember::SanIp),
            tls_client_auth_san_email: subject_as(SubjectMember::SanEmail),
            application_type,
            id_token_signed_response_alg,
            id_token_encrypted_response_alg: encryption.alg,
            id_token_encrypted_response_enc: encryption.enc,
            authorization_signed_response_alg,
            request_object_signing_alg,
            scope,
            webhook_uris,
            further,
            ciba,
            descriptive,
            grant_types,
            response_types,
            software_id: statement.software_id().to_owned(),
            tls_client_certificate_bound_access_tokens: true,
        })
    }

    /// The subject of the client's certificates, if the client registered one.
    pub fn certificate_subject(&self) -> Option<CertificateSubject> {
        let members = [
            (SubjectMember::Dn, &self.tls_client_auth_subject_dn),
            (SubjectMember::SanDns, &self.tls_client_auth_san_dns),
            (SubjectMember::SanUri, &self.tls_client_auth_san_uri),
            (SubjectMember::SanIp, &self.tls_client_auth_san_ip),
            (SubjectMember::SanEmail, &self.tls_client_auth_san_email),
        ];
        members.into_iter().find_map(|(member, value)| Some(CertificateSubject::new(member, value.clone()?)))
    }
}

/// The members of the request. The methods read them with the types that the rules ask for.
struct Metadata<'a> {
    claims: &'a Claims,
    rules: &'a ClientMetadataProfile,
    algorithms: &'a [Algorithm],
}

impl Metadata<'_> {
    fn md_04_auth_method(&self) -> Result<AuthMethod, Refusal> {
        let member = "token_endpoint_auth_method";
        let method = self.md_25_text(member)?.or_else(|| self.rules.default_token_endpoint_auth_method.clone());
        let method = method.filter(|method| self.rules.token_endpoint_auth_methods.contains(method));
        match method.as_deref() {
            Some(PRIVATE_KEY_JWT) => Ok(AuthMethod::PrivateKeyJwt),
            Some(TLS_CLIENT_AUTH) => Ok(AuthMethod::TlsClientAuth),
            _ => Err(self.refuse(&MD_04, member)),
        }
    }

    fn md_05_auth_signing_alg(&self, method: AuthMethod) -> Result<Option<String>, Refusal> {
        let member = "token_endpoint_auth_signing_alg";
        match self.md_25_text(member)? {
            Some(alg) if self.is_allowed(&alg) => Ok(Some(alg)),
            None if method == AuthMethod::TlsClientAuth => Ok(None),
            None if !self.rules.token_endpoint_auth_signing_alg_required => Ok(None),
            _ => Err(self.refuse(&MD_05, member)),
        }
    }

    /// The subject by which a `tls_client_auth` client names its certificate. It must use exactly one member, and the profile must know it.
    fn md_06_md_07_md_08_subject(&self, method: AuthMethod) -> Result<Option<CertificateSubject>, Refusal> {
        let known = &self.rules.subject_members;
        let is_given = |member: &SubjectMember| self.claims.members().contains_key(member.name());
        let mut given = SubjectMember::ALL.into_iter().filter(is_given);
        let member = match (method, given.next(), given.next()) {
            (_, _, Some(second)) => return Err(self.refuse(&MD_07, second.name())),
            (AuthMethod::PrivateKeyJwt, None, None) => return Ok(None),
            (AuthMethod::PrivateKeyJwt, Some(first), None) => return Err(self.refuse(&MD_06, first.name())),
            (AuthMethod::TlsClientAuth, Some(first), None) if known.contains(&first) => first,
            (AuthMethod::TlsClientAuth, Some(first), None) => return Err(self.refuse(&MD_08, first.name())),
            (AuthMethod::TlsClientAuth, None, _) => {
                return Err(self.refuse(&MD_06_MISSING, self.rules.subject_dn_member().name()));
            }
        };
        let written = self.md_25_text(member.name())?.unwrap_or_default();
        if written.is_empty() {
            return Err(self.refuse(&MD_06_MISSING, member.name()));
        }
        if matches!(member, SubjectMember::Dn | SubjectMember::ShortDn) {
            let name = self.dn_01_name(member, &written)?;
            self.md_06_length(member, &name.to_string())?;
            self.md_06_first_attribute(member, &name)?;
        } else {
            self.md_06_length(member, &written)?;
        }
        Ok(Some(CertificateSubject::new(member, written)))
    }

    fn dn_01_name(&self, member: SubjectMember, written: &str) -> Result<DistinguishedName, Refusal> {
        DistinguishedName::parse(written)
            .map_err(|error| self.refuse(&DN_01, member.name()).detail(dn_01_detail(error)))
    }

    /// The name itself is counted and not its spelling: tools write the same name with more characters or with fewer.
    fn md_06_length(&self, member: SubjectMember, name: &str) -> Result<(), Refusal> {
        let longest = self.rules.subject_dn_max_chars;
        if name.chars().count() <= longest {
            return Ok(());
        }
        Err(self.refuse(&MD_06_LENGTH, member.name()).detail(format!("{longest} characters are allowed")))
    }

    fn md_06_first_attribute(&self, member: SubjectMember, name: &DistinguishedName) -> Result<(), Refusal> {
        match &self.rules.subject_dn_first_attribute {
            Some(first) if name.first_attribute() != Some(*first) => {
                Err(self.refuse(&MD_06_FIRST, member.name()).detail(format!("the first attribute must be {first}")))
            }
            _ => Ok(()),
        }
    }

    fn md_06_of_certificate(
        &self,
        subject: Option<&CertificateSubject>,
        certificate: Option<&Certificate>,
    ) -> Result<(), Refusal> {
        match (subject, certificate) {
            (Some(subject), Some(certificate)) if !subject.matches(certificate, &self.rules.subject_dn_attributes) => {
                // An error_description has no backslashes and no other letters than ASCII.
                let own = format!("this gateway writes that subject {}", certificate.subject().to_plain_ascii());
                let refusal = self.refuse(&MD_06_CERTIFICATE, subject.member().name()).detail(own);
                Err(if refusal.detail.is_some() { refusal } else { refusal.detail(SUBJECT_TOO_LONG) })
            }
            _ => Ok(()),
        }
    }

    fn md_10_grant_types(&self) -> Result<Vec<String>, Refusal> {
        let grants = self.md_25_texts("grant_types")?.unwrap_or_else(|| self.rules.default_grant_types.clone());
        if !grants.is_empty() && grants.iter().all(|grant| self.rules.grant_types.contains(grant)) {
            Ok(grants)
        } else {
            Err(self.refuse(&MD_10, "grant_types"))
        }
    }

    /// If the request names no response types, they follow from the grants (RFC 7591 section 2.1): the first of the profile's that the
    /// grants allow, and none for a client without such a grant.
    fn md_11_response_types(&self, grant_types: &[String]) -> Result<Vec<String>, Refusal> {
        let Some(types) = self.md_25_texts("response_types")? else {
            let choices = self.rules.default_response_types.iter().chain(&self.rules.response_types);
            let is_allowed = |types: &&String| self.md_12_missing_grant(types, grant_types).is_none();
            return Ok(choices.into_iter().find(is_allowed).cloned().into_iter().collect());
        };
        let is_known = |given: &String| self.rules.response_types.iter().any(|known| same_words(given, known));
        if types.iter().all(is_known) { Ok(types) } else { Err(self.refuse(&MD_11, "response_types")) }
    }

    fn md_12_consistent(&self, grant_types: &[String], response_types: &[String]) -> Result<(), Refusal> {
        match response_types.iter().find_map(|types| self.md_12_missing_grant(types, grant_types)) {
            Some(rule) => Err(self.refuse(rule, "response_types")),
            None => Ok(()),
        }
    }

    /// The rule that this response type breaks for lack of a grant.
    fn md_12_missing_grant(&self, types: &str, grant_types: &[String]) -> Option<&'static Rule> {
        let has_grant = |name: &str| grant_types.iter().any(|grant| grant == name);
        let gives = |token: &str| types.split(' ').any(|word| word == token);
        if gives("code") && !has_grant("authorization_code") {
            return Some(&MD_12);
        }
        (self.rules.id_token_needs_implicit && gives("id_token") && !has_grant("implicit")).then_some(&MD_12_IMPLICIT)
    }

    fn md_13_software_id(&self, statement: &SoftwareStatement) -> Result<(), Refusal> {
        match self.md_25_text("software_id")? {
            Some(id) if id != statement.software_id() => Err(self.refuse(&MD_13, "software_id")),
            _ => Ok(()),
        }
    }

    fn md_14_scope(&self, scope: Option<&str>) -> Result<(), Refusal> {
        let fits = |scope: &str| scope.chars().count() <= self.rules.scope_max_chars && scope::words(scope).is_some();
        if scope.is_none_or(fits) { Ok(()) } else { Err(self.refuse(&MD_14, "scope")) }
    }

    /// Whole words are compared, never parts of words.
    fn md_15_within(&self, scope: &str, allowed: &[&str]) -> Result<(), Refusal> {
        if scope.split(' ').all(|word| allowed.contains(&word)) {
            return Ok(());
        }
        Err(self.refuse(&MD_15, "scope").detail(format!("it may have: {}", allowed.join(" "))))
    }

    /// The scope as one string. Some ecosystems also allow an array of scopes (MD-16).
    fn md_16_scope(&self) -> Result<Option<String>, Refusal> {
        match self.claims.members().get("scope") {
            Some(value @ Value::Array(_)) if self.rules.scope_arrays => {
                strings(value).map(|words| Some(words.join(" "))).ok_or_else(|| self.refuse(&MD_25, "scope"))
            }
            _ => self.md_25_text("scope"),
        }
    }

    fn md_19_application_type(&self) -> Result<String, Refusal> {
        match (self.md_25_text("application_type")?, self.rules.application_types.first()) {
            (Some(kind), _) if self.rules.application_types.contains(&kind) => Ok(kind),
            (None, Some(default)) if !self.rules.application_type_required => Ok(default.clone()),
            _ => Err(self.refuse(&MD_19, "application_type")),
        }
    }

    fn default_type(&self) -> String {
        self.rules.application_types.first().cloned().unwrap_or_default()
    }

    fn md_20_signing_alg(&self, member: &'static str) -> Result<Option<String>, Refusal> {
        match self.md_25_text(member)?.or_else(|| self.rules.default_signing_algs.get(member).cloned()) {
            None if !self.rules.required_signing_algs.iter().any(|required| required == member) => Ok(None),
            Some(alg) if self.is_allowed(&alg) => Ok(Some(alg)),
            _ => Err(self.refuse(&MD_20, member)),
        }
    }

    /// Whether a member may name this signing algorithm. Each of its names is accepted.
    fn is_allowed(&self, alg: &str) -> bool {
        Algorithm::from_name(alg).is_some_and(|alg| self.algorithms.contains(&alg))
    }

    /// The URIs for notifications: those that the statement lists, and all of them; without the member, the client gets no notifications
    /// (Open Finance Brasil DCR, section 7.1, items 16 and 17).
    fn md_27_webhook_uris(
        &self,
        statement: &SoftwareStatement,
        dialect: &Dialect,
    ) -> Result<Option<Vec<String>>, Refusal> {
        if dialect.claims.webhook_uris.is_none() {
            return Ok(None);
        }
        let Some(uris) = self.md_25_texts("webhook_uris")? else { return Ok(None) };
        let listed = statement.webhook_uris();
        let are_the_same = uris.iter().all(|uri| listed.contains(uri)) && listed.iter().all(|uri| uris.contains(uri));
        if are_the_same && uris.iter().all(|uri| is_public_https(uri)) {
            Ok(Some(uris))
        } else {
            Err(self.refuse(&MD_27, "webhook_uris"))
        }
    }

    /// A request may repeat the keys of the statement, in the member that the answer has. Other keys would be of the caller's choice.
    fn md_22_key_set(&self, statement: &SoftwareStatement) -> Result<(), Refusal> {
        let (own_uri, own_keys) = match statement.keys() {
            SoftwareKeys::Uri(uri) => (Some(uri), None),
            SoftwareKeys::ByValue(keys) => (None, Some(keys.document())),
        };
        let is_own = |jwks| {
            let given = KeysByValue::read(jwks).ok().filter(|keys| !keys.key_set().has_private_key());
            given.is_some_and(|keys| Some(keys.document()) == own_keys)
        };
        if self.claims.members().get("jwks").is_some_and(|jwks| !is_own(jwks)) {
            return Err(self.refuse(&MD_22, "jwks"));
        }
        match self.md_25_text("jwks_uri")? {
            Some(uri) if Some(&uri) != own_uri => Err(self.refuse(&MD_22, "jwks_uri")),
            _ => Ok(()),
        }
    }

    fn md_23_ciba(&self, grant_types: &[String]) -> Result<Ciba, Refusal> {
        let asked_for = Ciba {
            backchannel_token_delivery_mode: self.md_25_text("backchannel_token_delivery_mode")?,
            backchannel_client_notification_endpoint: self.md_25_text("backchannel_client_notification_endpoint")?,
            backchannel_authentication_request_signing_alg: self
                .md_25_text("backchannel_authentication_request_signing_alg")?,
            backchannel_user_code_parameter: self.boolean("backchannel_user_code_parameter", &MD_25)?,
            backchannel_user_code_parameter_supported: self
                .boolean("backchannel_user_code_parameter_supported", &MD_25)?,
        };
        if !grant_types.iter().any(|grant| grant == CIBA_GRANT) {
            let unused = asked_for == Ciba::default();
            return if unused { Ok(asked_for) } else { Err(self.refuse(&MD_23, "grant_types")) };
        }
        let mode = asked_for.backchannel_token_delivery_mode.as_deref();
        let endpoint = asked_for.backchannel_client_notification_endpoint.as_deref();
        match (mode, endpoint) {
            (Some("poll"), None) => {}
            (Some("ping"), Some(endpoint)) if is_https(endpoint) => {}
            (Some("poll" | "ping"), _) => return Err(self.refuse(&MD_23, "backchannel_client_notification_endpoint")),
            _ => return Err(self.refuse(&MD_23, "backchannel_token_delivery_mode")),
        }
        let alg = asked_for.backchannel_authentication_request_signing_alg.as_deref();
        if !alg.is_some_and(|alg| self.is_allowed(alg)) {
            return Err(self.refuse(&MD_23, "backchannel_authentication_request_signing_alg"));
        }
        if asked_for.backchannel_user_code_parameter == Some(true) {
            return Err(self.refuse(&MD_23, "backchannel_user_code_parameter"));
        }
        if asked_for.backchannel_user_code_parameter_supported == Some(true) {
            return Err(self.refuse(&MD_23, "backchannel_user_code_parameter_supported"));
        }
        Ok(asked_for)
    }

    /// The value may be false. Tokens are bound even then, as FAPI demands, and the answer says so (RG-10).
    fn md_24_bound_access_tokens(&self) -> Result<(), Refusal> {
        self.boolean("tls_client_certificate_bound_access_tokens", &MD_24).map(|_| ())
    }

    /// The text of a member, which must be a string if it is present. Null is a wrong type (MD-25).
    fn md_25_text(&self, member: &'static str) -> Result<Option<String>, Refusal> {
        match self.claims.members().get(member) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(self.refuse(&MD_25, member)),
        }
    }

    /// The strings that the request has in this member. The list is empty if the member has another type.
    fn given(&self, member: &'static str) -> Vec<String> {
        self.md_25_texts(member).ok().flatten().unwrap_or_default()
    }

    fn md_25_texts(&self, member: &'static str) -> Result<Option<Vec<String>>, Refusal> {
        match self.claims.members().get(member) {
            None => Ok(None),
            Some(value) => strings(value).map(Some).ok_or_else(|| self.refuse(&MD_25, member)),
        }
    }

    fn boolean(&self, member: &'static str, rule: &'static Rule) -> Result<Option<bool>, Refusal> {
        match self.claims.members().get(member) {
            None => Ok(None),
            Some(Value::Bool(value)) => Ok(Some(*value)),
            Some(_) => Err(self.refuse(rule, member)),
        }
    }

    fn refuse(&self, rule: &'static Rule, member: &'static str) -> Refusal {
        // The request is a JWT, but these rules are about its metadata. The caller understands the member's name without the document.
        Refusal::by(rule).claim(member)
    }
}

/// The scopes that the software may have: the scopes of its roles, or only those that the statement names too. A scope that the statement
/// names and the ecosystem does not know is ignored (MD-17). If the request has no scope, the client gets all these scopes (MD-14, MD-18).
fn md_17_md_18_allowed<'a>(statement: &'a SoftwareStatement, dialect: &'a Dialect) -> Result<Vec<&'a str>, Refusal> {
    let of_role = |role: &String| dialect.role_scopes.get(role).into_iter().flatten();
    // A statement without roles comes here only if SS-10 is set aside. Then the statement's own scopes are the limit.
    let any_role = dialect.scopes_from == ScopesFrom::Statement && statement.roles().is_empty();
    let of_roles: Vec<&String> = match any_role {
        true => dialect.role_scopes.values().flatten().collect(),
        false => statement.roles().iter().flat_map(of_role).collect(),
    };
    let mut allowed: Vec<&str> = Vec::new();
    for scope in dialect.universal_scopes.iter().chain(of_roles) {
        // Two roles may give the same scope.
        if !allowed.contains(&scope.as_str()) {
            allowed.push(scope);
        }
    }
    if dialect.scopes_from == ScopesFrom::Statement {
        let named = dialect.claims.scope.as_deref().and_then(|name| statement.claims().get(name)?.as_str());
        let named: Vec<&str> = named.unwrap_or_default().split(' ').collect();
        allowed = named.into_iter().filter(|scope| allowed.contains(scope)).collect();
    }
    if allowed.is_empty() {
        let name = dialect.claims.scope.clone().unwrap_or_else(|| dialect.claims.roles.clone());
        return Err(Refusal::by(&MD_17).in_document(Document::SoftwareStatement).claim(name));
    }
    Ok(allowed)
}

/// What a caller can do about a name that cannot be read.
fn dn_01_detail(error: NameError) -> &'static str {
    match error {
        NameError::Empty => "the name is empty",
        NameError::TooLong => "the name is longer than 4096 octets",
        NameError::Attribute => "each attribute is written type=value, and a comma separates two of them",
        NameError::UnknownAttribute => "the short name of an attribute is not known here: write its object identifier",
        NameError::Unescaped => "a quotation mark, an angle bracket or NUL in a value needs a backslash before it",
        NameError::Escape => "a backslash stands before a special character or two hexadecimal digits",
        NameError::NotUtf8 => "the octets of a value are not UTF-8",
        NameError::Quote => "a value in quotation marks ends with one, and nothing follows it",
        NameError::Hex => "a value that begins with # is the hexadecimal form of one DER value",
    }
}

/// Whether two response types have the same words. Their order has no meaning: `id_token code` is the same as `code id_token` (OAuth 2.0
/// Multiple Response Types section 3). The lengths are equal, and each word occurs equally often in both.
fn same_words(one: &str, other: &str) -> bool {
    let times = |word: &str, text: &str| text.split(' ').filter(|known| *known == word).count();
    one.len() == other.len() && one.split(' ').all(|word| times(word, one) == times(word, other))
}

#[cfg(test)]
pub(crate) mod tests;
