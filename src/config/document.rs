//! The document as the operator writes it, and the conversion to a configuration. `None` stands for the value of the profile.

use std::rc::Rc;
use std::time::Duration;

use dcr_json::{self as json, ByName, json_enum, json_struct};
use dcr_policy::catalogue::{RULES, Waivability};
use dcr_policy::dialect::Dialect;
use dcr_policy::mode::{Mode, Modes};
use dcr_policy::profile::{Audience, Profile, merge};
use dcr_policy::settings::{CertificateIssuer, Directory, Limits, Settings};
use dcr_policy::url::{Issuer, is_origin};
use dcr_x509::{DistinguishedName, Thumbprint, hex_octets};
use serde_json::{Map, Value};

use super::{
    CacheConfig, CertificateSource, Config, ConfigError, DirectoryKeySets, Headers, JwksConfig, KeySetHost,
    OtherGrants, StoreConfig, override_with, wrong,
};

// The comments at the types and members are the descriptions in `docs/configuration.schema.json`, so they are for operators.

/// The configuration of dcr-gate: a document, as the operator writes it.
pub(super) struct Document {
    /// The ecosystem's rules: the name of a built-in profile, or a profile of your own in the form of the files in `profiles/`.
    profile: Value,
    /// Values that replace those of the profile, in the form of its file. A list replaces the whole list. The values may allow more than the
    /// ecosystem does, so the filter logs a warning for each at start.
    danger_profile_values: Map<String, Value>,
    /// The authorization server's issuer identifier: an https URL without user, query, fragment, or slash at the end.
    issuer: String,
    /// Where callers reach this gateway, if that is not the issuer's origin: an https origin without a path. The endpoints in the metadata
    /// begin with it.
    gateway_url: Option<String>,
    /// What happens to requests that break a rule.
    mode: Mode,
    /// The mode of single rules, by their ids. Rules that are binding can only be enforced.
    danger_rules: ByName<Mode>,
    /// The paths of the endpoints.
    paths: PathsDocument,
    /// The directories whose software statements are believed.
    directories: Vec<DirectoryDocument>,
    /// The store of the client records.
    store: StoreConfig,
    /// How key sets are fetched and kept.
    jwks: JwksConfig,
    /// The bounds of the caches besides key sets, in each worker.
    cache: CacheConfig,
    /// The source of the transport certificate.
    certificate: CertificateDocument,
    /// The demands on registration requests.
    registration: RegistrationDocument,
    /// The demands on client assertions.
    client_assertion: AssertionDocument,
    /// The access tokens that are issued.
    access_token: AccessTokenDocument,
    /// What the gate does with a token request for a grant that it does not serve.
    other_grants: OtherGrants,
    /// When the upstream gets the headers of a request that has a body and is judged.
    headers: Headers,
    /// How far in the future `iat` and `nbf` may lie (JW-04, JW-05, SS-07).
    clock_skew: Option<Duration>,
    /// Bounds on what callers may send.
    limits: Limits,
    /// Members to add to the metadata document, such as `authorization_endpoint` and `jwks_uri` of the authorization server behind the gate.
    discovery: Map<String, Value>,
}

json_struct!(Document {
    profile, danger_profile_values = Map::new(), issuer, gateway_url, mode = Mode::default(),
    danger_rules = ByName::new(), paths, directories, store, jwks, cache, certificate, registration, client_assertion,
    access_token, other_grants = OtherGrants::default(), headers = Headers::default(), clock_skew, limits, discovery = Map::new(),
});

/// The paths of the endpoints.
#[derive(Default)]
struct PathsDocument {
    /// The registration endpoint. A registration has the path below it, with its ClientId.
    registration: Option<String>,
    /// The token endpoint.
    token: Option<String>,
    /// The endpoint where a third party reads the subject of its certificate as this gateway writes it.
    distinguished_name: Option<String>,
}

json_struct!(PathsDocument { registration, token, distinguished_name } or default);

/// The source of the transport certificate.
#[derive(Default)]
struct CertificateDocument {
    /// Where the gate takes the client's certificate from.
    source: SourceDocument,
    /// Only with `source: forwarded`: SHA-256 of the certificates of the proxies that may forward, 64 hexadecimal digits each.
    trusted_proxies: Vec<String>,
}

json_struct!(CertificateDocument { source, trusted_proxies } or default);

/// Where the gate takes the client's certificate from.
#[derive(Clone, Copy, Default)]
enum SourceDocument {
    /// The TLS connection that this Envoy terminates. Envoy 1.38 or newer.
    #[default]
    Connection,
    /// The right-most element of the header `x-forwarded-client-cert`.
    Forwarded,
}

json_enum!(SourceDocument { "connection" => Connection, "forwarded" => Forwarded });

/// A directory whose software statements are believed.
struct DirectoryDocument {
    /// `iss` of the directory's software statements, such as `OpenBanking Ltd`. Each issuer may be listed once.
    issuer: String,
    /// The directory's own key set, which verifies its statements: an https URL of at most 2048 characters.
    jwks_uri: String,
    /// The Envoy cluster that reaches the directory's key set.
    cluster: String,
    /// The hosts on which a verified statement of this directory may name key sets (SS-13).
    software_key_sets: Vec<KeySetHost>,
    /// The certification authorities of this directory's transport certificates (CB-01). If the list is empty, every authority that Envoy
    /// trusts may have issued them.
    certificate_issuers: Vec<IssuerDocument>,
    /// The profile that describes this directory's statements. Without it, it is the gateway's profile.
    dialect: Option<String>,
    /// Further demands on the statements, beyond those of the profile.
    statements: StatementsDocument,
}

json_struct!(DirectoryDocument {
    issuer, jwks_uri, cluster, software_key_sets = Vec::new(), certificate_issuers = Vec::new(), dialect, statements,
});

/// A certification authority of a directory's transport certificates. Each member that is present must fit.
#[derive(Default)]
struct IssuerDocument {
    /// The authority's distinguished name, as RFC 4514 writes it.
    name: Option<String>,
    /// The identifier of the authority's key: hexadecimal digits, as `openssl x509 -noout -ext authorityKeyIdentifier` prints them.
    authority_key_identifier: Option<String>,
}

json_struct!(IssuerDocument { name, authority_key_identifier } or default);

/// Further demands on the statements of a directory, beyond those of its dialect.
#[derive(Default)]
struct StatementsDocument {
    /// The greatest age of a statement by its `iat` (SS-06). Without it, and without one in the profile, a statement of any age is believed.
    max_age: Option<Duration>,
    /// Whether a statement can be used for only one registration or update (SS-08).
    single_use: Option<bool>,
    /// The accepted modes of the software, such as `Live` (SS-12).
    modes: Option<Vec<String>>,
    /// Whether a key that the directory lists as revoked is refused (SS-14).
    refuse_revoked_keys: Option<bool>,
    /// Whether the URIs that people see must be on hosts of the redirect URIs (SS-16).
    uris_on_redirect_hosts: Option<bool>,
    /// Whether the transport certificate must be in the software's key set (CB-07).
    certificate_in_key_set: Option<bool>,
    /// Whether the transport certificate must grant the statement's roles as PSD2 defines them (CB-06).
    certificate_psd2_roles: Option<bool>,
}

json_struct!(StatementsDocument {
    max_age,
    single_use,
    modes,
    refuse_revoked_keys,
    uris_on_redirect_hosts,
    certificate_in_key_set,
    certificate_psd2_roles,
} or default);

/// The demands on registration requests.
#[derive(Default)]
struct RegistrationDocument {
    /// The `aud` values that a registration request may carry (RQ-03). The list replaces the gateway's own names.
    audiences: Option<Vec<String>>,
    /// Whether a software may have only one registration at a time (MD-26). It can be switched on, not off.
    single_registration: Option<bool>,
    /// Allows several registrations of one software where the profile allows one (MD-26).
    danger_multiple_registrations: bool,
    /// How far in the future the `exp` of a request may lie (JW-06).
    max_lifetime: Option<Duration>,
}

json_struct!(RegistrationDocument {
    audiences, single_registration, danger_multiple_registrations, max_lifetime,
} or default);

/// The demands on client assertions.
#[derive(Default)]
struct AssertionDocument {
    /// The `aud` values that a client assertion may carry (CA-07). The list replaces the gateway's own names.
    audiences: Option<Vec<String>>,
    /// How far in the future the `exp` of an assertion may lie (CA-09).
    max_lifetime: Option<Duration>,
}

json_struct!(AssertionDocument { audiences, max_lifetime } or default);

/// The access tokens that are issued.
#[derive(Default)]
struct AccessTokenDocument {
    /// The time from issue to expiry. The profile gives its bounds (AT-08).
    lifetime: Option<Duration>,
}

json_struct!(AccessTokenDocument { lifetime } or default);

impl Document {
    pub(super) fn complete(self) -> Result<Config, ConfigError> {
        let mut profile = base_profile(&self.profile, &self.danger_profile_values)?;
        override_with(&mut profile.paths.registration, self.paths.registration);
        override_with(&mut profile.paths.token, self.paths.token);
        profile.paths.distinguished_name = self.paths.distinguished_name.or(profile.paths.distinguished_name);
        override_with(&mut profile.clock_skew, self.clock_skew);
        let mut dangers: Vec<String> = profile.dangers().into_iter().map(str::to_owned).collect();
        dangers.extend(changed("danger_profile_values", &self.danger_profile_values));
        let modes = modes(self.mode, self.danger_rules)?;
        dangers.extend(
            modes
                .of_rules
                .iter()
                .filter(|(_, mode)| **mode != Mode::Enforce)
                .map(|(id, mode)| format!("danger_rules.{id}: {}", if *mode == Mode::Off { "off" } else { "shadow" })),
        );
        if profile.registration.single_registration {
            match (self.registration.single_registration, self.registration.danger_multiple_registrations) {
                (_, true) => {
                    profile.registration.single_registration = false;
                    dangers.push("registration.danger_multiple_registrations".to_owned());
                }
                (Some(false), false) => {
                    return Err(wrong(
                        "registration.single_registration",
                        "this ecosystem allows one registration a software; to allow more, write danger_multiple_registrations: true",
                    ));
                }
                _ => {}
            }
        }
        profile.registration.single_registration |= self.registration.single_registration.unwrap_or_default();
        override_with(&mut profile.client_assertion.max_lifetime, self.client_assertion.max_lifetime);
        override_with(&mut profile.access_token.lifetime, self.access_token.lifetime);
        override_with(&mut profile.registration.max_lifetime, self.registration.max_lifetime);

        let issuer = Issuer::parse(&self.issuer)
            .ok_or_else(|| wrong("issuer", "write an https URL without query, such as https://bank.example"))?;
        let gateway_url = self.gateway_url.unwrap_or_else(|| issuer.origin().to_owned());
        if !is_origin(&gateway_url) {
            return Err(wrong("gateway_url", "write an https origin without a path, such as https://bank.example"));
        }
        let (mut rules, mut directories) = (Vec::new(), Vec::new());
        for (i, directory) in self.directories.into_iter().enumerate() {
            let (of_rules, key_sets) = directory.complete(i, &profile)?;
            rules.push(of_rules);
            directories.push(key_sets);
        }
        let settings = Settings {
            profile,
            directories: rules,
            registration_audiences: Vec::new(),
            assertion_audiences: Vec::new(),
            modes: Rc::new(modes),
            limits: self.limits,
        };
        let mut config = Config {
            settings,
            issuer,
            gateway_url,
            directories,
            store: self.store,
            jwks: self.jwks,
            cache: self.cache,
            digest: [0; 32],
            certificate: self.certificate.complete()?,
            other_grants: self.other_grants,
            headers: self.headers,
            discovery: self.discovery,
            dangers,
        };
        let own_names = |audiences: &[Audience]| config.own_names(audiences);
        let profile = &config.settings.profile;
        let of_requests = self.registration.audiences.unwrap_or_else(|| own_names(&profile.registration.audiences));
        let of_assertions =
            self.client_assertion.audiences.unwrap_or_else(|| own_names(&profile.client_assertion.audiences));
        (config.settings.registration_audiences, config.settings.assertion_audiences) = (of_requests, of_assertions);
        config.check()?;
        Ok(config)
    }
}

/// The profile with this name, or the profile that the document contains, with the values of the profile that it extends. The operator's
/// `values` replace its values.
fn base_profile(profile: &Value, values: &Map<String, Value>) -> Result<Profile, ConfigError> {
    let mut document = match profile {
        Value::String(name) => {
            Profile::document(name).map_err(|unknown| wrong("profile", format!("is not a profile: {}", unknown.0)))?
        }
        Value::Object(written_out) => Profile::whole(written_out.clone())
            .map_err(|unknown| wrong("profile.extends", format!("is not a profile: {}", unknown.0)))?,
        _ => return Err(wrong("profile", "write a profile's name, or a whole profile")),
    };
    merge(&mut document, values);
    let place = if profile.is_string() { "danger_profile_values" } else { "profile" };
    json::read(&document).map_err(|error| wrong(&format!("{place}.{}", error.path()), error.problem()))
}

/// The paths of all values in `values`, each below `place`.
fn changed(place: &str, values: &Map<String, Value>) -> Vec<String> {
    let below = |(name, value): (&String, &Value)| match value {
        Value::Object(values) => changed(&format!("{place}.{name}"), values),
        _ => vec![format!("{place}.{name}")],
    };
    values.iter().flat_map(below).collect()
}

fn modes(general: Mode, of_rules: ByName<Mode>) -> Result<Modes, ConfigError> {
    if general == Mode::Off {
        return Err(wrong(
            "mode",
            "write enforce or shadow; to take the gate out of the way, take it out of Envoy's filters",
        ));
    }
    for (id, mode) in of_rules.iter() {
        let place = format!("danger_rules.{id}");
        let mut rows = RULES.iter().filter(|rule| rule.id == id).peekable();
        if rows.peek().is_none() {
            return Err(wrong(&place, "is not a rule: docs/rules.md lists them"));
        }
        if *mode != Mode::Enforce && !rows.any(|rule| rule.waivability == Waivability::Waivable) {
            return Err(wrong(
                &place,
                "cannot be set aside: it establishes who is asking, or what later checks read; mode: shadow watches the whole gate",
            ));
        }
    }
    Ok(Modes { general, of_rules })
}

impl DirectoryDocument {
    fn complete(self, i: usize, profile: &Profile) -> Result<(Directory, DirectoryKeySets), ConfigError> {
        let at = |member: &str| format!("directories[{i}].{member}");
        let mut dialect = match &self.dialect {
            None => profile.software_statement.clone(),
            Some(name) => {
                Profile::named(name)
                    .map_err(|unknown| wrong(&at("dialect"), format!("is not a profile: {}", unknown.0)))?
                    .software_statement
            }
        };
        self.statements.narrow(&mut dialect).map_err(|member| {
            wrong(
                &at(&format!("statements.{member}")),
                "asks for less than the profile does; to widen it, write danger_profile_values.software_statement",
            )
        })?;
        let Self { issuer, jwks_uri, cluster, software_key_sets, certificate_issuers, .. } = self;
        let certificate_issuers = certificate_issuers
            .into_iter()
            .enumerate()
            .map(|(j, issuer)| issuer.complete(&at(&format!("certificate_issuers[{j}]"))))
            .collect::<Result<_, _>>()?;
        let key_set_hosts = software_key_sets.iter().map(|host| host.host.clone()).collect();
        let rules = Directory { issuer: issuer.clone(), dialect, key_set_hosts, certificate_issuers };
        Ok((rules, DirectoryKeySets { issuer, jwks_uri, cluster, software_key_sets }))
    }
}

impl IssuerDocument {
    fn complete(self, place: &str) -> Result<CertificateIssuer, ConfigError> {
        if self.name.is_none() && self.authority_key_identifier.is_none() {
            return Err(wrong(place, "write name, authority_key_identifier, or both"));
        }
        let name = self.name.map(|name| DistinguishedName::parse(&name)).transpose().map_err(|error| {
            wrong(&format!("{place}.name"), format!("write the authority's name as RFC 4514 does: {error}"))
        })?;
        let read = |hex: String| hex_octets(&hex).filter(|octets| !octets.is_empty());
        let key_identifier = match self.authority_key_identifier {
            None => None,
            Some(hex) => Some(read(hex).ok_or_else(|| {
                wrong(
                    &format!("{place}.authority_key_identifier"),
                    "write hexadecimal digits, as openssl x509 -ext authorityKeyIdentifier prints them",
                )
            })?),
        };
        Ok(CertificateIssuer { name, key_identifier })
    }
}

impl StatementsDocument {
    /// Adds demands to the dialect. A value that would ask for less is an error; the error is the name of its member.
    fn narrow(&self, dialect: &mut Dialect) -> Result<(), &'static str> {
        let switches = [
            ("single_use", self.single_use, &mut dialect.single_use),
            ("refuse_revoked_keys", self.refuse_revoked_keys, &mut dialect.refuse_revoked_keys),
            ("uris_on_redirect_hosts", self.uris_on_redirect_hosts, &mut dialect.uris_on_redirect_hosts),
            ("certificate_in_key_set", self.certificate_in_key_set, &mut dialect.certificate_in_key_set),
            ("certificate_psd2_roles", self.certificate_psd2_roles, &mut dialect.certificate_psd2_roles),
        ];
        for (member, asked_for, in_force) in switches {
            match asked_for {
                Some(false) if *in_force => return Err(member),
                Some(asked_for) => *in_force = asked_for,
                None => {}
            }
        }
        match (self.max_age, dialect.max_age) {
            (Some(asked_for), Some(in_force)) if asked_for > in_force => return Err("max_age"),
            (Some(asked_for), _) => dialect.max_age = Some(asked_for),
            (None, _) => {}
        }
        match (&self.modes, &dialect.modes) {
            (Some(asked_for), Some(in_force)) if !asked_for.iter().all(|mode| in_force.contains(mode)) => {
                return Err("modes");
            }
            (Some(asked_for), _) => dialect.modes = Some(asked_for.clone()),
            (None, _) => {}
        }
        Ok(())
    }
}

impl CertificateDocument {
    fn complete(self) -> Result<CertificateSource, ConfigError> {
        match self.source {
            SourceDocument::Connection if self.trusted_proxies.is_empty() => Ok(CertificateSource::Connection),
            SourceDocument::Connection => Err(wrong(
                "certificate.trusted_proxies",
                "has no effect with source connection: remove it, or write source: forwarded",
            )),
            SourceDocument::Forwarded => {
                let trusted_proxies = self
                    .trusted_proxies
                    .iter()
                    .enumerate()
                    .map(|(i, hex)| {
                        Thumbprint::from_hex(hex).ok_or_else(|| {
                            wrong(
                                &format!("certificate.trusted_proxies[{i}]"),
                                "write the SHA-256 of the proxy's certificate: 64 hexadecimal digits",
                            )
                        })
                    })
                    .collect::<Result<_, _>>()?;
                Ok(CertificateSource::Forwarded { trusted_proxies })
            }
        }
    }
}
