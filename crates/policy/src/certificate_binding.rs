//! The binding of transport certificates to a client. The certificate authority must have certified the same organisation and software that
//! the directory's statement names. Names are read from the certificate's DER and compared as a whole.

use dcr_json::json_struct;
use dcr_x509::{Attribute, Certificate};
use serde::Serialize;

use super::catalogue::{
    CB_01_DATES, CB_01_ISSUER, CB_04, CB_04_DATES, CB_05, CB_05_DATES, CB_06, CB_06_MALFORMED, CB_08, CB_09, Rule,
};
use super::dialect::{CertificateForm, Dialect, FormRule, Id, Template};
use super::settings::Directory;
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
    /// The authority of each of these registrations, in the same order, if the statement tells it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub authority_ids: Vec<Option<String>>,
}

json_struct!(Binding { software_id, organisation_id, registration_ids, authority_ids = Vec::new(), .. });

impl Binding {
    /// The binding that a statement gives to the certificates of its software.
    pub fn of(statement: &SoftwareStatement) -> Self {
        let (registration_ids, authority_ids) = statement
            .registrations()
            .iter()
            .map(|registration| (registration.id.clone(), registration.authority_id.clone()))
            .unzip();
        Self {
            software_id: statement.software_id().to_owned(),
            organisation_id: statement.organisation_id().to_owned(),
            registration_ids,
            authority_ids,
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
        directory: &Directory,
        now: Timestamp,
        evaluation: &Evaluation,
    ) -> Result<(), Refusal> {
        evaluation.require(&[&CB_01_ISSUER], cb_01_issuer(certificate, directory))?;
        let form = self.form_of(certificate, &directory.dialect);
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
            Some(Id::Authorisation) => self.has_authorisation(id).is_some(),
            None => false,
        }
    }

    /// `authorisation` is the country, the authority and the number of a registration of the organisation, such as `GB-FCA-123456`. `None`
    /// if it is not. Numbers of different authorities can be equal, so a registration counts only if the statement tells its authority.
    fn has_authorisation(&self, authorisation: &str) -> Option<()> {
        let (country, rest) = authorisation.split_once('-')?;
        let (authority, number) = rest.split_once('-')?;
        let country = country_code(country)?;
        let is_of = |known: &str| known.strip_prefix(authority) == Some(country);
        let mut registered = self.registration_ids.iter().zip(&self.authority_ids);
        registered.any(|(id, known)| id == number && known.as_deref().is_some_and(is_of)).then_some(())
    }

    /// The form by which the certificate is judged: the first form whose demands it fulfils; else the first that is meant for it, or the
    /// last. So a certificate that fulfils no form breaks the rule of one that its holder may have meant.
    fn form_of<'d>(&self, certificate: &Certificate, dialect: &'d Dialect) -> Option<&'d CertificateForm> {
        let forms = &dialect.certificate_forms;
        let is_fulfilled = |form: &&CertificateForm| {
            let rules = [Some(form.rule), form.organisation_rule];
            let mut subjects = rules.into_iter().flatten();
            subjects.all(|rule| self.cb_04_cb_05_cb_08_cb_09_subject(certificate, form, rule).is_ok())
                && !cb_08_is_too_new(certificate, form)
        };
        let is_meant = |form: &&CertificateForm| {
            form.has.as_ref().is_none_or(|attribute| certificate.subject().contains(attribute))
        };
        forms.iter().find(is_fulfilled).or_else(|| forms.iter().find(is_meant)).or(forms.last())
    }
}

/// The country codes of three letters (ISO 3166-1 alpha-3) behind those of two, for the countries in which PSD2 is law. The directory of
/// Open Banking UK writes an authority as its letters and such a code.
const COUNTRIES: &str = "ATAUT BEBEL BGBGR CYCYP CZCZE DEDEU DKDNK EEEST ESESP FIFIN FRFRA GBGBR GRGRC HRHRV HUHUN IEIRL ISISL ITITA \
    LILIE LTLTU LULUX LVLVA MTMLT NLNLD NONOR PLPOL PTPRT ROROU SESWE SISVN SKSVK";

fn country_code(alpha_2: &str) -> Option<&'static str> {
    COUNTRIES.split(' ').find_map(|codes| codes.strip_prefix(alpha_2)).filter(|code| code.len() == 3)
}

/// The certification authority is one that the operator lists for the directory, if the operator lists any (CB-01).
fn cb_01_issuer(certificate: &Certificate, directory: &Directory) -> Result<(), Refusal> {
    let issuers = &directory.certificate_issuers;
    if issuers.is_empty() || issuers.iter().any(|issuer| issuer.has_issued(certificate)) {
        return Ok(());
    }
    Err(Refusal::by(&CB_01_ISSUER))
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

/// The certificate's statement about PSD2 can be read, if the operator demands roles (CB-06).
///
/// # Errors
/// CB-06.
pub fn cb_06_well_formed(certificate: &Certificate, dialect: &Dialect) -> Result<(), Refusal> {
    if dialect.certificate_psd2_roles && certificate.psd2_statement_is_malformed() {
        return Err(Refusal::by(&CB_06_MALFORMED));
    }
    Ok(())
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
