//! The document as the operator writes it, and the conversion to a configuration.

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

/// The document as the operator writes it. `None` stands for the value of the profile.
pub(super) struct Document {
    profile: Value,
    /// Values that replace those of the profile, in the form of the profile's file.
    danger_profile_values: Map<String, Value>,
    issuer: String,
    gateway_url: Option<String>,
    mode: Mode,
    danger_rules: ByName<Mode>,
    paths: PathsDocument,
    directories: Vec<DirectoryDocument>,
    store: StoreConfig,
    jwks: JwksConfig,
    cache: CacheConfig,
    certificate: CertificateDocument,
    registration: RegistrationDocument,
    client_assertion: AssertionDocument,
    access_token: AccessTokenDocument,
    other_grants: OtherGrants,
    headers: Headers,
    clock_skew: Option<Duration>,
    limits: Limits,
    discovery: Map<String, Value>,
}

json_struct!(Document {
    profile, danger_profile_values = Map::new(), issuer, gateway_url, mode = Mode::default(),
    danger_rules = ByName::new(), paths, directories, store, jwks, cache, certificate, registration, client_assertion,
    access_token, other_grants = OtherGrants::default(), headers = Headers::default(), clock_skew, limits, discovery = Map::new(),
});

#[derive(Default)]
struct PathsDocument {
    registration: Option<String>,
    token: Option<String>,
    distinguished_name: Option<String>,
}

json_struct!(PathsDocument { registration, token, distinguished_name } or default);

#[derive(Default)]
struct CertificateDocument {
    source: SourceDocument,
    trusted_proxies: Vec<String>,
}

json_struct!(CertificateDocument { source, trusted_proxies } or default);

#[derive(Clone, Copy, Default)]
enum SourceDocument {
    #[default]
    Connection,
    Forwarded,
}

json_enum!(SourceDocument { "connection" => Connection, "forwarded" => Forwarded });

struct DirectoryDocument {
    issuer: String,
    jwks_uri: String,
    cluster: String,
    software_key_sets: Vec<KeySetHost>,
    certificate_issuers: Vec<IssuerDocument>,
    /// The profile whose dialect the statements have. `None` stands for the gateway's profile.
    dialect: Option<String>,
    statements: StatementsDocument,
}

json_struct!(DirectoryDocument {
    issuer, jwks_uri, cluster, software_key_sets = Vec::new(), certificate_issuers = Vec::new(), dialect, statements,
});

/// A certification authority of a directory's transport certificates.
#[derive(Default)]
struct IssuerDocument {
    name: Option<String>,
    authority_key_identifier: Option<String>,
}

json_struct!(IssuerDocument { name, authority_key_identifier } or default);

/// Further demands on the statements of a directory, beyond those of its dialect.
#[derive(Default)]
struct StatementsDocument {
    max_age: Option<Duration>,
    single_use: Option<bool>,
    modes: Option<Vec<String>>,
    refuse_revoked_keys: Option<bool>,
    uris_on_redirect_hosts: Option<bool>,
    certificate_in_key_set: Option<bool>,
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

#[derive(Default)]
struct RegistrationDocument {
    audiences: Option<Vec<String>>,
    single_registration: Option<bool>,
    danger_multiple_registrations: bool,
    max_lifetime: Option<Duration>,
}

json_struct!(RegistrationDocument {
    audiences, single_registration, danger_multiple_registrations, max_lifetime,
} or default);

#[derive(Default)]
struct AssertionDocument {
    audiences: Option<Vec<String>>,
    max_lifetime: Option<Duration>,
}

json_struct!(AssertionDocument { audiences, max_lifetime } or default);

#[derive(Default)]
struct AccessTokenDocument {
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
