//! Dialects: how a directory writes its software statements, and what ties a transport certificate to a software there. A dialect is the
//! `software_statement` part of a profile; each directory of the configuration speaks one.

use std::time::Duration;

use dcr_json::{ByName, FromJson, Members, ReadError, json_enum, json_struct, string};
use dcr_x509::Attribute;
use serde_json::Value;

use super::Timestamp;
use super::catalogue::Rule;
use super::certificate_binding::FORM_RULES;

/// What a directory's software statements look like, what its claims are called, and what they give.
#[derive(Debug, Clone)]
pub struct Dialect {
    /// Claims that must be present and not null (SS-04).
    pub required_claims: Vec<String>,
    /// Members that the JOSE header must carry: `typ` (JO-18), `kid` (JO-14).
    pub required_header: Vec<HeaderMember>,
    /// The oldest `iat` believed, if there is a limit (SS-06).
    pub max_age: Option<Duration>,
    /// Whether a statement serves for one registration or update only (SS-08).
    pub single_use: bool,
    /// The software's modes that are taken, such as `Live`; none where any is (SS-12).
    pub modes: Option<Vec<String>>,
    /// Whether a key that the directory lists as revoked is refused (SS-14).
    pub refuse_revoked_keys: bool,
    /// Whether the URIs shown to people must be on hosts of the redirect URIs (SS-16).
    pub uris_on_redirect_hosts: bool,
    /// How statements write roles (SS-10).
    pub roles_shape: RolesShape,
    /// Where the scopes of a software come from (MD-15, MD-17).
    pub scopes_from: ScopesFrom,
    /// Which scopes a role gives (MD-15, MD-18).
    pub role_scopes: ByName<Vec<String>>,
    /// Scopes any software may have (MD-15).
    pub universal_scopes: Vec<String>,
    /// What a transport certificate must say, in the forms it comes in; the first that is the certificate's decides. None where nothing in
    /// a certificate names the software (CB-10); then only its dates are checked (CB-01).
    pub certificate_forms: Vec<CertificateForm>,
    /// Whether the transport certificate must stand in the software's key set (CB-07).
    pub certificate_in_key_set: bool,
    /// Whether the transport certificate must grant the roles in the sense of PSD2 (CB-06).
    pub certificate_psd2_roles: bool,
    /// What a role is called in a certificate of PSD2 (CB-06).
    pub psd2_roles: ByName<String>,
    /// The directory's names of the claims.
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
    scopes_from,
    role_scopes,
    universal_scopes,
    certificate_forms,
    certificate_in_key_set,
    certificate_psd2_roles,
    psd2_roles,
    claims,
});

/// The directory's names of the claims in a software statement.
#[derive(Debug, Clone)]
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
    /// Where the keys live that the directory has revoked, where statements say it (SS-14).
    pub revoked_key_set_uri: Option<String>,
    /// The competent authority's claims about the organisation, where statements have them (SS-11, CB-05).
    pub authority_claims: Option<String>,
    /// Whether the software is for tests or live, where statements say it (SS-12).
    pub mode: Option<String>,
    /// The scopes the software may have, where statements have them (MD-17).
    pub scope: Option<String>,
    /// What the statement calls the members that describe a client to people (SS-15).
    pub descriptive: ByName<String>,
}

json_struct!(StatementClaimNames {
    software_id,
    organisation_id,
    organisation_status,
    redirect_uris,
    roles,
    key_set_uris,
    revoked_key_set_uri,
    authority_claims,
    mode,
    scope,
    descriptive,
});

/// A member of a JOSE header that may be left out elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeaderMember {
    /// The token's type (JO-18).
    Typ,
    /// The key's name (JO-14).
    Kid,
}

json_enum!(HeaderMember { "typ" => Typ, "kid" => Kid });

/// How a statement writes roles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RolesShape {
    /// As an array of strings.
    Array,
    /// As one string.
    String,
    /// As an array of objects with `role` and `status`; those that are `Active` count.
    Objects,
}

json_enum!(RolesShape { "array" => Array, "string" => String, "objects" => Objects });

/// Where the scopes of a software come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScopesFrom {
    /// From its roles; the request chooses among them.
    Roles,
    /// From the statement, as far as its roles know them; the request may choose among them.
    Statement,
}

json_enum!(ScopesFrom { "roles" => Roles, "statement" => Statement });

/// One form of transport certificate, and what its subject must say about the software.
#[derive(Debug, Clone)]
pub struct CertificateForm {
    /// The rule that a certificate of this form breaks which says something else.
    pub rule: &'static Rule,
    /// The rule it breaks where the organisation is another one, if that is a rule of its own.
    pub organisation_rule: Option<&'static Rule>,
    /// The attribute by which certificates of this form are known, where there are several forms.
    pub has: Option<Attribute>,
    /// The form is believed of certificates issued before this time only, in Unix seconds.
    pub issued_before: Option<Timestamp>,
    /// What each attribute must be; each must stand in the subject exactly once.
    pub subject: Vec<(Attribute, Template)>,
}

impl CertificateForm {
    /// The rule that a certificate of this form breaks where it has another id of this kind.
    pub fn rule_about(&self, id: Option<Id>) -> &'static Rule {
        match (id, self.organisation_rule) {
            (Some(Id::Organisation), Some(rule)) => rule,
            _ => self.rule,
        }
    }
}

impl Dialect {
    /// Whether names in a transport certificate say whose it is.
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

/// What an attribute of a certificate must be: words of its own and one id of the statement, as in `OFBBR-{organisation_id}`.
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

/// An id that a statement gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Id {
    /// The software's.
    Software,
    /// The organisation's.
    Organisation,
    /// One of the organisation's registrations with a competent authority.
    Registration,
}

impl Template {
    /// Reads a template; `None` where a name in braces is unknown, or the id is not its last part.
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
                _ => return None,
            });
            rest = after;
        }
        let first_id = parts.iter().position(|part| matches!(part, Part::Id(_)));
        let ends_with_id = first_id.is_some_and(|position| position + 1 == parts.len());
        (rest.is_empty() && ends_with_id).then_some(Self { parts })
    }

    /// Which id the attribute carries.
    pub fn id(&self) -> Option<Id> {
        match self.parts.last() {
            Some(Part::Id(id)) => Some(*id),
            _ => None,
        }
    }

    /// The id in `value`, if the rest of it is as the template has it.
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

/// What follows `least` to `most` upper-case letters, which are all there are.
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
}

/// A rule that binds a certificate to a software, by its id.
impl FromJson for &'static Rule {
    fn from_json(value: &Value) -> Result<Self, ReadError> {
        let id = string(value, "a string")?;
        let rule = FORM_RULES.into_iter().find(|rule| rule.id == id);
        rule.ok_or_else(|| ReadError::new("name one of the rules CB-04, CB-05, CB-08 and CB-09"))
    }
}

/// A point in time as RFC 3339 has it, in UTC and whole seconds.
struct Time(Timestamp);

impl FromJson for Time {
    fn from_json(value: &Value) -> Result<Self, ReadError> {
        let time = string(value, "a string")?.parse::<der::DateTime>();
        time.map(|time| Self(time.unix_duration().as_secs()))
            .map_err(|_| ReadError::new("write a time such as 2022-08-31T00:00:00Z"))
    }
}

/// Attributes of a subject, and what each must be.
struct Subject(Vec<(Attribute, Template)>);

impl FromJson for Subject {
    fn from_json(value: &Value) -> Result<Self, ReadError> {
        let problem = "write ids of the statement such as {software_id} or OFBBR-{organisation_id}, at the end";
        let (mut subject, mut of_organisation) = (Vec::new(), Vec::new());
        for (name, written) in ByName::<String>::from_json(value)? {
            let attribute = Attribute::from_json(&Value::from(name))?;
            let template = Template::parse(&written).ok_or_else(|| ReadError::new(problem))?;
            // Of two rules broken at once, the one about the software says more.
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
            ["", "CN", "{software_id}x", "{nobody}", "{software_id", "{software_id}{organisation_id}", "{country}"]
        {
            assert_eq!(Template::parse(text), None, "{text}");
        }
    }
}
