//! The statements and requests of a profile, in the form of its directory and its third parties. The cases ask here for a valid claim name,
//! scope or response type that follows from the profile's values.

use std::collections::BTreeSet;

use dcr_cli::mint::{self, Token};
use dcr_cli::pki::{Identity, ThirdParty, TransportShape};
use dcr_cli::software::Software;
use dcr_policy::dialect::ScopesFrom;
use dcr_policy::profile::{Audience, ManagementToken, Profile, RequestBody, SubjectMember};
use rcgen::SanType;
use serde_json::{Value, json};

use crate::PKI;

pub(super) const PRIVATE_KEY_JWT: &str = "private_key_jwt";
pub(super) const TLS_CLIENT_AUTH: &str = "tls_client_auth";
pub(super) const CIBA: &str = "urn:openid:params:grant-type:ciba";

/// The alternative names of [`alternatively_named`], each with the member in which a client registers it.
pub(super) const ALTERNATIVE_NAMES: [(SubjectMember, &str); 4] = [
    (SubjectMember::SanDns, "tpp.harbour.example"),
    (SubjectMember::SanUri, "https://harbour.example/tpp"),
    (SubjectMember::SanIp, "192.0.2.7"),
    (SubjectMember::SanEmail, "tpp@harbour.example"),
];

/// All names of the gateway that a profile can accept as an audience.
pub(super) const AUDIENCES: [(&str, Audience); 3] = [
    ("the issuer", Audience::Issuer),
    ("the registration endpoint", Audience::RegistrationEndpoint),
    ("the token endpoint", Audience::TokenEndpoint),
];

/// Data that does not follow from a profile's values: the parties of an ecosystem, and the form of a real statement and a real request.
#[derive(Clone, Copy)]
struct Ecosystem {
    /// `iss` of the directory's statements.
    directory: &'static str,
    software: fn(&ThirdParty) -> &Software,
    transport: fn(&ThirdParty) -> &Identity,
    /// Another certificate of the first third party, with another subject.
    spare: fn() -> Identity,
    /// Mints a statement from the software and the URL of the directory.
    statement: fn(&Software, &str) -> Token,
    /// Mints a request from the software, the audience and the statement.
    request: fn(&Software, &str, &str) -> Token,
}

const UK: Ecosystem = Ecosystem {
    directory: mint::DIRECTORY_ISSUER,
    software: |party| &party.software,
    transport: |party| &party.transport,
    spare: || PKI.tpp.obwac.clone(),
    statement: mint::software_statement,
    request: mint::registration_request,
};
const CDR: Ecosystem =
    Ecosystem { statement: mint::cdr_software_statement, request: mint::cdr_registration_request, ..UK };
const BRAZIL: Ecosystem = Ecosystem {
    directory: mint::BRAZIL_DIRECTORY_ISSUER,
    software: |party| &party.brazilian_software,
    transport: |party| &party.brcac,
    spare: || brcac(Software { redirect_uris: vec!["https://spare.harbour.example/".to_owned()], ..brazilian() }),
    statement: mint::brazil_software_statement,
    request: |software, _, statement| mint::brazil_registration_request(software, statement),
};

const ECOSYSTEMS: &[(&str, Ecosystem)] = &[
    ("uk-obie-3.3", UK),
    ("uk-obie-3.4", UK),
    ("wso2-accelerator-3", UK),
    ("revolut", UK),
    ("fapi2", UK),
    ("au-cdr", CDR),
    ("br-openfinance", BRAZIL),
];

/// A profile and its tokens.
pub(crate) struct Dialect {
    pub(crate) profile: Profile,
    ecosystem: Ecosystem,
}

impl Dialect {
    /// The dialect of a profile. The error says what to add for a profile without one.
    pub(super) fn of(profile: Profile) -> Result<Self, String> {
        let known = ECOSYSTEMS.iter().find(|(name, _)| *name == profile.name);
        let ecosystem = known.map(|(_, ecosystem)| *ecosystem).ok_or_else(|| {
            "the matrix does not know this profile: name who mints its statements and requests in ECOSYSTEMS of \
             tests/gateway/matrix/dialect.rs"
                .to_owned()
        })?;
        Ok(Self { profile, ecosystem })
    }

    /// `iss` of the directory's statements.
    pub(super) fn directory(&self) -> &'static str {
        self.ecosystem.directory
    }

    /// The software of a third party in this ecosystem.
    pub(super) fn software<'p>(&self, party: &'p ThirdParty) -> &'p Software {
        (self.ecosystem.software)(party)
    }

    /// The transport certificate of that software.
    pub(super) fn transport<'p>(&self, party: &'p ThirdParty) -> &'p Identity {
        (self.ecosystem.transport)(party)
    }

    /// Another certificate of the first third party, with another subject.
    pub(super) fn spare(&self) -> Identity {
        (self.ecosystem.spare)()
    }

    /// A statement about this software that the profile accepts.
    pub(super) fn statement(&self, software: &Software, directory_url: &str) -> Token {
        (self.ecosystem.statement)(software, directory_url)
    }

    /// A request that the profile accepts. It has the profile's first method, application type and response type.
    pub(super) fn request(&self, software: &Software, audience: &str, statement: &str) -> Token {
        let rules = &self.profile.client_metadata;
        let request = (self.ecosystem.request)(software, audience, statement)
            .claim("response_types", json!(rules.default_response_types));
        let request = if rules.application_type_required {
            request.claim("application_type", rules.application_types[0].clone())
        } else {
            request
        };
        if allows(&self.profile, PRIVATE_KEY_JWT) { request } else { by_certificate(&self.profile)(request) }
    }
}

/// Turns a request into one for `tls_client_auth` with the third party's transport certificate.
pub(super) fn by_certificate(profile: &Profile) -> impl Fn(Token) -> Token + use<> {
    let (by_subject, subject) = (by_subject(profile), own_dn(profile));
    move |request| by_subject(request, &subject)
}

/// The subject of the third party's transport certificate.
pub(super) fn own_dn(profile: &Profile) -> String {
    Dialect::of(profile.clone()).unwrap().transport(&PKI.tpp).subject_dn().unwrap()
}

/// Turns a request into one for `tls_client_auth` with this subject, in the profile's member for it.
pub(super) fn by_subject(profile: &Profile) -> impl Fn(Token, &str) -> Token + Clone + use<> {
    let member = profile.client_metadata.subject_members[0].name();
    move |request, subject| {
        request.for_tls_client_auth(subject).without("tls_client_auth_subject_dn").claim(member, subject)
    }
}

/// Whether clients may use this authentication method.
pub(super) fn allows(profile: &Profile, method: &str) -> bool {
    profile.client_metadata.token_endpoint_auth_methods.iter().any(|allowed| allowed == method)
}

/// Whether clients may have this grant.
pub(super) fn grants(profile: &Profile, grant: &str) -> bool {
    profile.client_metadata.grant_types.iter().any(|known| known == grant)
}

/// Whether a registration request is an unsigned JSON object.
pub(super) fn is_unsigned(profile: &Profile) -> bool {
    profile.registration.body == RequestBody::Json
}

/// Whether the registration access token manages a registration.
pub(super) fn has_registration_tokens(profile: &Profile) -> bool {
    profile.registration.management_token == ManagementToken::RegistrationAccessToken
}

/// Scopes that the third party may register, and one that it may not.
pub(super) fn scopes(profile: &Profile) -> (Vec<String>, String) {
    let dialect = Dialect::of(profile.clone()).unwrap();
    let statement = dialect.statement(dialect.software(&PKI.tpp), "https://directory.example");
    scopes_of(profile, &statement)
}

/// Scopes that the software of this statement may register, and one that it may not.
pub(super) fn scopes_of(profile: &Profile, statement: &Token) -> (Vec<String>, String) {
    let claim = |name: &str| statement.claims().get(name).cloned().unwrap_or_default();
    let roles = words(&claim(&profile.software_statement.claims.roles));
    let known: Vec<String> = profile.software_statement.role_scopes.values().flatten().cloned().collect();
    let of_roles = roles.iter().filter_map(|role| profile.software_statement.role_scopes.get(role)).flatten();
    let mut seen = BTreeSet::new();
    let of_roles = profile.software_statement.universal_scopes.iter().chain(of_roles);
    let of_roles: Vec<String> = of_roles.filter(|scope| seen.insert(*scope)).cloned().collect();
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

/// A scope of these words with `longest` characters or slightly fewer, and a scope that is slightly longer.
pub(super) fn scopes_around(longest: usize, words: &[String]) -> (String, String) {
    // For each length, the last word of a scope with that length, if there is one.
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

/// The strings of an array, the active roles of an array of objects, or the words of a string.
fn words(value: &Value) -> Vec<String> {
    let word = |entry: &Value| {
        let active_role = || entry.get("role").filter(|_| entry["status"] == "Active");
        entry.as_str().or_else(|| active_role()?.as_str()).map(str::to_owned)
    };
    match value {
        Value::String(text) => text.split(' ').map(str::to_owned).collect(),
        Value::Array(entries) => entries.iter().filter_map(word).collect(),
        _ => Vec::new(),
    }
}

/// The third party's software in Brazil.
pub(super) fn brazilian() -> Software {
    PKI.tpp.brazilian_software.clone()
}

/// An OB Transport certificate of the third party, with alternative names.
pub(super) fn alternatively_named() -> Identity {
    let names = ALTERNATIVE_NAMES.map(|(member, name)| match member {
        SubjectMember::SanUri => SanType::URI(name.try_into().unwrap()),
        SubjectMember::SanIp => SanType::IpAddress(name.parse().unwrap()),
        SubjectMember::SanEmail => SanType::Rfc822Name(name.try_into().unwrap()),
        _ => SanType::DnsName(name.try_into().unwrap()),
    });
    let subject = TransportShape::ObTransport.subject(&PKI.tpp.software).unwrap();
    PKI.tpp_ca.issue_client_with(subject, |params| params.subject_alt_names = names.to_vec()).unwrap()
}

/// A transport certificate of Open Finance Brasil.
pub(super) fn brcac(software: Software) -> Identity {
    PKI.tpp_ca.issue_transport(&software, TransportShape::Brcac).unwrap()
}
