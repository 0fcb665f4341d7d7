//! Dialects: the form of a directory's software statements, and the demands on the transport certificates of their software. A dialect is
//! the `software_statement` part of a profile. Each directory in the configuration has one.

use std::time::Duration;

use dcr_json::schema::{Definitions, named_type};
use dcr_json::{ByName, FromJson, Members, ReadError, json_enum, json_struct, string};
use dcr_x509::Attribute;
use serde_json::{Value, json};

use super::Timestamp;

/// The form of a directory's software statements, the names of their claims, and the permissions that follow from them.
#[derive(Debug, Clone)]
pub struct Dialect {
    /// Claims that must be present and not null (SS-04).
    pub required_claims: Vec<String>,
    /// Members that the JOSE header must have: `typ` (JO-18), `kid` (JO-14).
    pub required_header: Vec<HeaderMember>,
    /// The greatest accepted age, counted from `iat` (SS-06). `None` means no limit.
    pub max_age: Option<Duration>,
    /// Whether a statement can be used for only one registration or update (SS-08).
    pub single_use: bool,
    /// The accepted modes of the software, such as `Live` (SS-12). `None` means that every mode is accepted.
    pub modes: Option<Vec<String>>,
    /// Whether a key that the directory lists as revoked is refused (SS-14).
    pub refuse_revoked_keys: bool,
    /// Whether the URIs that are shown to people must be on hosts of the redirect URIs (SS-16).
    pub uris_on_redirect_hosts: bool,
    /// The form of roles in a statement (SS-10).
    pub roles_shape: RolesShape,
    /// The values of `authorisation_domain` with which a role counts, if roles are objects: one directory can serve several ecosystems, and a
    /// role in another ecosystem gives nothing here (SS-10). `None` means that roles have no domain.
    pub role_domains: Option<Vec<String>>,
    /// Whether the redirect URIs may be one string instead of an array.
    pub redirect_uri_string: bool,
    /// The source of the scopes of a software product (MD-15, MD-17).
    pub scopes_from: ScopesFrom,
    /// The scopes that each role gives (MD-15, MD-18).
    pub role_scopes: ByName<Vec<String>>,
    /// Scopes that every software product may have (MD-15).
    pub universal_scopes: Vec<String>,
    /// The forms of transport certificates, each with its demands. A certificate must fulfil the demands of one form. If the list is empty,
    /// certificates do not name the software (CB-10), and only their dates are checked (CB-01).
    pub certificate_forms: Vec<CertificateForm>,
    /// Whether the transport certificate must be in the software's key set (CB-07).
    pub certificate_in_key_set: bool,
    /// Whether the transport certificate must grant the roles as PSD2 defines them (CB-06).
    pub certificate_psd2_roles: bool,
    /// The name that each role has in a PSD2 certificate (CB-06).
    pub psd2_roles: ByName<String>,
    /// The names that the directory gives to claims.
    pub claims: StatementClaimNames,
}

json_struct!(Dialect {
    required_claims,
    required_header,
    max_age,
    single_use,
    modes,
    refuse_revoked_keys,
    uris_on_redirect_hosts,
    roles_shape,
    role_domains,
    redirect_uri_string,
    scopes_from,
    role_scopes,
    universal_scopes,
    certificate_forms,
    certificate_in_key_set,
    certificate_psd2_roles,
    psd2_roles,
    claims,
});

/// The names that the directory gives to the claims of a software statement.
#[derive(Debug, Clone)]
pub struct StatementClaimNames {
    /// The software's id.
    pub software_id: String,
    /// The organisation's id.
    pub organisation_id: String,
    /// The organisation's status in the directory; `None` if statements do not have it (SS-09).
    pub organisation_status: Option<String>,
    /// The software's redirect URIs (MD-01).
    pub redirect_uris: String,
    /// The software's roles (SS-10).
    pub roles: String,
    /// The URL of the software's key set. The first claim that is present counts (SS-13).
    pub key_set_uris: Vec<String>,
    /// The software's key set itself. It counts if no claim of `key_set_uris` is present (SS-13). `None` if statements hold no keys.
    pub key_set: Option<String>,
    /// The URL of the keys that the directory has revoked; `None` if statements do not have it (SS-14).
    pub revoked_key_set_uri: Option<String>,
    /// The competent authority's claims about the organisation; `None` if statements do not have them (SS-11, CB-05).
    pub authority_claims: Option<String>,
    /// Whether the software is for tests or live; `None` if statements do not have it (SS-12).
    pub mode: Option<String>,
    /// The URIs to which the client may have notifications sent (MD-27); `None` if statements do not have them.
    pub webhook_uris: Option<String>,
    /// The scopes that the software may have; `None` if statements do not have them (MD-17).
    pub scope: Option<String>,
    /// The names of the claims that describe a client to people (SS-15).
    pub descriptive: ByName<String>,
}

json_struct!(StatementClaimNames {
    software_id,
    organisation_id,
    organisation_status,
    redirect_uris,
    roles,
    key_set_uris,
    key_set,
    revoked_key_set_uri,
    authority_claims,
    mode,
    webhook_uris,
    scope,
    descriptive,
});

/// A member of a JOSE header that some ecosystems require.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeaderMember {
    /// The token's type (JO-18).
    Typ,
    /// The key's name (JO-14).
    Kid,
}

json_enum!(HeaderMember { "typ" => Typ, "kid" => Kid });

/// The form of roles in a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RolesShape {
    /// An array of strings.
    Array,
    /// One string.
    String,
    /// An array of objects with `role`, `status` and perhaps `authorisation_domain`. Only `Active` roles count.
    Objects,
}

json_enum!(RolesShape { "array" => Array, "string" => String, "objects" => Objects });

/// The source of the scopes of a software product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScopesFrom {
    /// Its roles. The request chooses among their scopes.
    Roles,
    /// The statement, limited to the scopes of its roles. The request may choose among them.
    Statement,
}

json_enum!(ScopesFrom { "roles" => Roles, "statement" => Statement });

/// A rule that binds a certificate to a software. A profile names one for each form of certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FormRule {
    /// CB-04.
    Cb04,
    /// CB-05.
    Cb05,
    /// CB-08.
    Cb08,
    /// CB-09.
    Cb09,
}

json_enum!(FormRule { "CB-04" => Cb04, "CB-05" => Cb05, "CB-08" => Cb08, "CB-09" => Cb09 });

/// One form of transport certificate, and what its subject must say about the software.
#[derive(Debug, Clone)]
pub struct CertificateForm {
    /// The rule that a certificate of this form breaks if its subject does not fit.
    pub rule: FormRule,
    /// The rule that it breaks if only the organisation does not fit. `None` if this is the same rule.
    pub organisation_rule: Option<FormRule>,
    /// The attribute of the certificates that are meant to have this form, if there are several forms. A certificate that fulfils no form
    /// breaks the rule of the first form that is meant for it.
    pub has: Option<Attribute>,
    /// Only certificates that were issued before this time may have this form, in Unix seconds.
    pub issued_before: Option<Timestamp>,
    /// The template of each attribute. Each attribute must be in the subject exactly once.
    pub subject: Vec<(Attribute, Template)>,
}

impl CertificateForm {
    /// The rule that a certificate of this form breaks if it has another id of this kind.
    pub fn rule_about(&self, id: Option<Id>) -> FormRule {
        match (id, self.organisation_rule) {
            (Some(Id::Organisation), Some(rule)) => rule,
            _ => self.rule,
        }
    }
}

impl Dialect {
    /// Whether names in a transport certificate show who owns it.
    pub fn binds_certificates(&self) -> bool {
        !self.certificate_forms.is_empty()
    }

    /// Whether every transport certificate names its software and its organisation.
    pub fn names_software(&self) -> bool {
        let has = |form: &CertificateForm, id| form.subject.iter().any(|(_, template)| template.id() == Some(id));
        let names = |form: &CertificateForm| has(form, Id::Software) && has(form, Id::Organisation);
        self.binds_certificates() && self.certificate_forms.iter().all(names)
    }
}

/// The required value of a certificate's attribute: fixed text and one id of the statement, such as `OFBBR-{organisation_id}`.
/// `PSD{authorisation}` is the whole organization identifier of ETSI TS 119 495 section 5.2.1: country, authority and registration number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(String),
    /// Two upper-case letters.
    Country,
    /// Two to eight upper-case letters (ETSI TS 119 495 section 5.2.1).
    Authority,
    Id(Id),
}

/// An id in a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Id {
    /// The id of the software.
    Software,
    /// The id of the organisation.
    Organisation,
    /// One of the organisation's registrations with a competent authority.
    Registration,
    /// The same, with the country and the authority before it: `GB-FCA-123456`.
    Authorisation,
}

impl Template {
    /// Reads a template. `None` if a name in braces is unknown, or if the template does not end with an id.
    fn parse(text: &str) -> Option<Self> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((literal, after)) = rest.split_once('{') {
            let (name, after) = after.split_once('}')?;
            if !literal.is_empty() {
                parts.push(Part::Literal(literal.to_owned()));
            }
            parts.push(match name {
                "country" => Part::Country,
                "authority" => Part::Authority,
                "software_id" => Part::Id(Id::Software),
                "organisation_id" => Part::Id(Id::Organisation),
                "registration_id" => Part::Id(Id::Registration),
                "authorisation" => Part::Id(Id::Authorisation),
                _ => return None,
            });
            rest = after;
        }
        let first_id = parts.iter().position(|part| matches!(part, Part::Id(_)));
        let ends_with_id = first_id.is_some_and(|position| position + 1 == parts.len());
        (rest.is_empty() && ends_with_id).then_some(Self { parts })
    }

    /// The id that the attribute contains.
    pub fn id(&self) -> Option<Id> {
        match self.parts.last() {
            Some(Part::Id(id)) => Some(*id),
            _ => None,
        }
    }

    /// The id inside `value`. `None` if the rest of `value` does not fit the template.
    pub fn id_in<'v>(&self, value: &'v str) -> Option<&'v str> {
        let mut rest = value;
        for part in &self.parts {
            rest = match part {
                Part::Literal(literal) => rest.strip_prefix(literal.as_str())?,
                Part::Country => strip_capitals(rest, 2, 2)?,
                Part::Authority => strip_capitals(rest, 2, 8)?,
                Part::Id(_) => return (!rest.is_empty()).then_some(rest),
            };
        }
        None
    }
}

/// The rest of `text` behind its leading upper-case letters. `None` unless there are at least `least` and at most `most` of them.
fn strip_capitals(text: &str, least: usize, most: usize) -> Option<&str> {
    let count = text.bytes().take_while(u8::is_ascii_uppercase).count();
    if (least..=most).contains(&count) { text.get(count..) } else { None }
}

impl FromJson for CertificateForm {
    fn from_json(value: &Value) -> Result<Self, ReadError> {
        let form = Members::of(value, "struct CertificateForm")?;
        form.only(&["rule", "organisation_rule", "has", "issued_before", "subject"])?;
        Ok(Self {
            rule: form.read("rule")?,
            organisation_rule: form.read("organisation_rule")?,
            has: form.read("has")?,
            issued_before: form.read::<Option<Time>>("issued_before")?.map(|Time(time)| time),
            subject: form.read::<Subject>("subject")?.0,
        })
    }

    fn schema(definitions: &mut Definitions) -> Value {
        named_type("CertificateForm", definitions, |definitions| {
            json!({
                "type": "object",
                "required": ["rule", "subject"],
                "properties": {
                    "rule": FormRule::schema(definitions),
                    "organisation_rule": Option::<FormRule>::schema(definitions),
                    "has": Option::<Attribute>::schema(definitions),
                    "issued_before": Option::<Time>::schema(definitions),
                    "subject": ByName::<String>::schema(definitions),
                },
                "additionalProperties": false,
            })
        })
    }
}

/// A point in time in the format of RFC 3339, in UTC and whole seconds.
struct Time(Timestamp);

impl FromJson for Time {
    fn from_json(value: &Value) -> Result<Self, ReadError> {
        let time = string(value, "a string")?.parse::<der::DateTime>();
        time.map(|time| Self(time.unix_duration().as_secs()))
            .map_err(|_| ReadError::new("write a time such as 2022-08-31T00:00:00Z"))
    }

    fn schema(_: &mut Definitions) -> Value {
        json!({ "type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$" })
    }
}

/// Attributes of a subject, each with its template.
struct Subject(Vec<(Attribute, Template)>);

impl FromJson for Subject {
    fn from_json(value: &Value) -> Result<Self, ReadError> {
        let problem = "write ids of the statement such as {software_id} or OFBBR-{organisation_id}, at the end";
        let (mut subject, mut of_organisation) = (Vec::new(), Vec::new());
        for (name, written) in ByName::<String>::from_json(value)? {
            let attribute = Attribute::from_json(&Value::from(name))?;
            let template = Template::parse(&written).ok_or_else(|| ReadError::new(problem))?;
            // If the certificate breaks two rules at once, the rule about the software is more useful to the caller.
            let place = if template.id() == Some(Id::Organisation) { &mut of_organisation } else { &mut subject };
            place.push((attribute, template));
        }
        subject.append(&mut of_organisation);
        Ok(Self(subject))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_finds_the_id() {
        let psd2 = Template::parse("PSD{country}-{authority}-{registration_id}").unwrap();
        assert_eq!(psd2.id(), Some(Id::Registration));
        assert_eq!(psd2.id_in("PSDGB-OB-Unknown0015800001HQQrZAAX"), Some("Unknown0015800001HQQrZAAX"));
        for other in
            ["PSDGB-OB-", "PSDGBR-OB-1", "PSDgb-OB-1", "PSDGB-O-1", "PSDGB-ABCDEFGHI-1", "PSDGB-OB1", "XPSDGB-OB-1", ""]
        {
            assert_eq!(psd2.id_in(other), None, "{other}");
        }
        let brazil = Template::parse("OFBBR-{organisation_id}").unwrap();
        assert_eq!(brazil.id_in("OFBBR-74e929d9"), Some("74e929d9"));
        assert_eq!(brazil.id_in("ofbbr-74e929d9"), None);
    }

    #[test]
    fn a_template_ends_with_an_id() {
        for text in
            ["", "CN", "{software_id}x", "{unknown}", "{software_id", "{software_id}{organisation_id}", "{country}"]
        {
            assert_eq!(Template::parse(text), None, "{text}");
        }
    }
}
