//! Whose transport certificate is it? The organisation and software that the directory's statement names must be those that the
//! certificate authority certified. Names are read from the certificate's DER and compared whole.

use serde::{Deserialize, Serialize};

use super::catalogue::{CB_01_DATES, CB_04, CB_04_DATES, CB_05, CB_05_DATES, Rule};
use super::profile::CertificateBinding;
use super::software_statement::SoftwareStatement;
use super::{Refusal, Timestamp};
use crate::x509::{Attribute, Certificate};

/// What a client's transport certificates must say. It is kept with the client's record: a renewed certificate is still the client's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binding {
    /// The software's id in the directory.
    pub software_id: String,
    /// The organisation's id in the directory.
    pub organisation_id: String,
    /// The organisation's active registrations with competent authorities, where the statement has them.
    pub registration_ids: Vec<String>,
}

impl Binding {
    /// What the statement says about the certificates of its software.
    pub fn of(statement: &SoftwareStatement) -> Self {
        Self {
            software_id: statement.software_id().to_owned(),
            organisation_id: statement.organisation_id().to_owned(),
            registration_ids: statement.registration_ids().to_vec(),
        }
    }

    /// Whether `certificate` is one of the client's at `now`: a legacy OB Transport certificate (CB-04), or an OBWAC or QWAC, known by
    /// its organizationIdentifier (CB-05).
    ///
    /// # Errors
    /// CB-01, CB-04 or CB-05. Dates are checked here although TLS did too: a connection may outlive its certificate.
    pub fn check(&self, certificate: &Certificate, kind: CertificateBinding, now: Timestamp) -> Result<(), Refusal> {
        let is_valid = (certificate.not_before()..=certificate.not_after()).contains(&now);
        let has_organisation_identifier = !certificate.subject().values(&Attribute::OrganizationIdentifier).is_empty();
        let (dates, binding, holds): (&'static Rule, &'static Rule, bool) = match (kind, has_organisation_identifier) {
            (CertificateBinding::None, _) => (&CB_01_DATES, &CB_01_DATES, true),
            (CertificateBinding::OpenBankingUk, true) => {
                (&CB_05_DATES, &CB_05, self.cb_05_organisation_certificate(certificate))
            }
            (CertificateBinding::OpenBankingUk, false) => (&CB_04_DATES, &CB_04, self.cb_04_ob_transport(certificate)),
        };
        match (is_valid, holds) {
            (false, _) => Err(Refusal::by(dates)),
            (true, false) => Err(Refusal::by(binding)),
            (true, true) => Ok(()),
        }
    }

    /// Ids are case-sensitive, so they are compared exactly, unlike names. A second CN or OU would leave open which one counts.
    fn cb_04_ob_transport(&self, certificate: &Certificate) -> bool {
        let subject = certificate.subject();
        subject.values(&Attribute::CommonName) == [self.software_id.as_str()]
            && subject.values(&Attribute::OrganizationalUnit) == [self.organisation_id.as_str()]
    }

    fn cb_05_organisation_certificate(&self, certificate: &Certificate) -> bool {
        let subject = certificate.subject();
        let identifiers = subject.values(&Attribute::OrganizationIdentifier);
        let registration = match identifiers.as_slice() {
            [identifier] => psd2_registration(identifier),
            _ => None,
        };
        subject.values(&Attribute::CommonName) == [self.organisation_id.as_str()]
            && registration.is_some_and(|id| self.registration_ids.iter().any(|registered| registered == id))
    }
}

/// The registration in an organizationIdentifier `PSD<country>-<authority>-<registration>` (ETSI TS 119 495 section 5.2.1).
fn psd2_registration(identifier: &str) -> Option<&str> {
    let (country, rest) = identifier.strip_prefix("PSD")?.split_once('-')?;
    let (authority, registration) = rest.split_once('-')?;
    let is_upper = |text: &str| text.bytes().all(|b| b.is_ascii_uppercase());
    let well_formed =
        country.len() == 2 && is_upper(country) && (2..=8).contains(&authority.len()) && is_upper(authority);
    (well_formed && !registration.is_empty()).then_some(registration)
}

#[cfg(test)]
mod tests;
