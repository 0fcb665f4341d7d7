//! The binding of transport certificates to a client. The certificate authority must have certified the same organisation and software that
//! the directory's statement names. Names are read from the certificate's DER and compared as a whole.

use dcr_json::json_struct;
use dcr_x509::{Attribute, Certificate};
use serde::Serialize;

use super::catalogue::{CB_01_DATES, CB_04, CB_04_DATES, CB_05, CB_05_DATES, CB_06, CB_08, CB_09, Rule};
use super::dialect::{CertificateForm, Dialect, FormRule, Id, Template};
use super::software_statement::SoftwareStatement;
use super::{Evaluation, Refusal, Timestamp};

/// The demands on a client's transport certificates. They are kept in the client's record, so that a renewed certificate is accepted too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Binding {
    /// The software's id in the directory.
    pub software_id: String,
    /// The organisation's id in the directory.
    pub organisation_id: String,
    /// The organisation's active registrations with competent authorities. The list is empty if the statement has none.
    pub registration_ids: Vec<String>,
}

json_struct!(Binding { software_id, organisation_id, registration_ids, .. });

impl Binding {
    /// The binding that a statement gives to the certificates of its software.
    pub fn of(statement: &SoftwareStatement) -> Self {
        Self {
            software_id: statement.software_id().to_owned(),
            organisation_id: statement.organisation_id().to_owned(),
            registration_ids: statement.registration_ids().to_vec(),
        }
    }

    /// Checks that `certificate` belongs to the client at the time `now`. It must have one of the directory's forms and fulfil the demands
    /// of that form (CB-04, CB-05, CB-08, CB-09).
    ///
    /// # Errors
    /// The rule of the form. The dates are checked here although TLS checked them too, because a connection can last longer than its
    /// certificate.
    pub fn check(
        &self,
        certificate: &Certificate,
        dialect: &Dialect,
        now: Timestamp,
        evaluation: &Evaluation,
    ) -> Result<(), Refusal> {
        let form = form_of(certificate, dialect);
        evaluation.check(&[dates_rule(form)], cb_01_cb_04_cb_05_dates(certificate, form, now))?;
        let Some(form) = form else { return Ok(()) };
        let subject = |rule| self.cb_04_cb_05_cb_08_cb_09_subject(certificate, form, rule);
        let (is_too_new, software) = (cb_08_is_too_new(certificate, form), subject(form.rule));
        let only_too_new = is_too_new && software.is_ok();
        evaluation.check(&[form.rule.row()], software)?;
        // This is a separate rule, so it is checked even if the rule before it is set aside.
        if let Some(rule) = form.organisation_rule {
            evaluation.check(&[rule.row()], subject(rule))?;
        }
        let rule = form.rule.row();
        if only_too_new { evaluation.check(&[rule], Err(Refusal::by(rule))) } else { Ok(()) }
    }

    /// The subject has the ids that `rule` is about. `rule` is one of the two rules of the form. Ids are case-sensitive, so they are
    /// compared exactly, unlike names. A second CN or OU is refused, because it would be unclear which one counts.
    fn cb_04_cb_05_cb_08_cb_09_subject(
        &self,
        certificate: &Certificate,
        form: &CertificateForm,
        rule: FormRule,
    ) -> Result<(), Refusal> {
        let has_own_id = |(attribute, template): &(Attribute, Template)| {
            let id = certificate.subject().single_value(attribute).and_then(|value| template.id_in(value));
            id.is_some_and(|id| self.has(template.id(), id))
        };
        let mut of_rule = form.subject.iter().filter(|(_, template)| form.rule_about(template.id()) == rule);
        if of_rule.all(has_own_id) { Ok(()) } else { Err(Refusal::by(rule.row())) }
    }

    fn has(&self, kind: Option<Id>, id: &str) -> bool {
        match kind {
            Some(Id::Software) => self.software_id == id,
            Some(Id::Organisation) => self.organisation_id == id,
            Some(Id::Registration) => self.registration_ids.iter().any(|registered| registered == id),
            None => false,
        }
    }
}

/// The certificate grants every role of the statement as PSD2 defines it, if the operator demands this (CB-06). A role that PSD2 does not
/// define needs no grant.
///
/// # Errors
/// CB-06.
pub fn cb_06_psd2_roles(certificate: &Certificate, roles: &[String], dialect: &Dialect) -> Result<(), Refusal> {
    let grants = |role: &String| certificate.psd2_roles().iter().any(|granted| granted.name() == role);
    let needed = roles.iter().filter_map(|role| dialect.psd2_roles.get(role));
    if dialect.certificate_psd2_roles && !needed.into_iter().all(grants) {
        return Err(Refusal::by(&CB_06));
    }
    Ok(())
}

/// The form of a certificate: the first form whose attribute the certificate has, or else the last form. So a certificate that fits no form
/// breaks the rule of the last one.
fn form_of<'d>(certificate: &Certificate, dialect: &'d Dialect) -> Option<&'d CertificateForm> {
    let is_of =
        |form: &&CertificateForm| form.has.as_ref().is_none_or(|attribute| certificate.subject().contains(attribute));
    dialect.certificate_forms.iter().find(is_of).or(dialect.certificate_forms.last())
}

/// Whether the certificate was issued at a time when its form was no longer allowed.
fn cb_08_is_too_new(certificate: &Certificate, form: &CertificateForm) -> bool {
    form.issued_before.is_some_and(|time| certificate.not_before() >= time)
}

fn cb_01_cb_04_cb_05_dates(
    certificate: &Certificate,
    form: Option<&CertificateForm>,
    now: Timestamp,
) -> Result<(), Refusal> {
    let is_valid = (certificate.not_before()..=certificate.not_after()).contains(&now);
    if is_valid { Ok(()) } else { Err(Refusal::by(dates_rule(form))) }
}

/// The rule about the dates of a certificate. Some forms have a row of their own for dates.
fn dates_rule(form: Option<&CertificateForm>) -> &'static Rule {
    match form.map(|form| form.rule) {
        Some(FormRule::Cb04) => &CB_04_DATES,
        Some(FormRule::Cb05) => &CB_05_DATES,
        _ => &CB_01_DATES,
    }
}

impl FormRule {
    /// The rule's row in the catalogue.
    pub fn row(self) -> &'static Rule {
        match self {
            Self::Cb04 => &CB_04,
            Self::Cb05 => &CB_05,
            Self::Cb08 => &CB_08,
            Self::Cb09 => &CB_09,
        }
    }
}

/// The rules about the owner and the dates of a certificate. A certificate has one form, and only the rules of that form are checked.
pub const FORM_RULES: [&Rule; 7] = [&CB_01_DATES, &CB_04_DATES, &CB_05_DATES, &CB_04, &CB_05, &CB_08, &CB_09];

#[cfg(test)]
mod tests;
