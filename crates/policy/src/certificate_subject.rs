//! The name by which a client registers its certificates (RFC 8705 section 2.1.2): the whole subject, or one alternative name.

use std::net::IpAddr;

use dcr_x509::{AlternativeName, Attribute, Certificate, DistinguishedName};

use super::profile::SubjectMember;

/// A member of the metadata, with the value that the client registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateSubject {
    member: SubjectMember,
    written: String,
}

impl CertificateSubject {
    /// The subject with the value `written` in `member`.
    pub fn new(member: SubjectMember, written: String) -> Self {
        Self { member, written }
    }

    /// The member that the client used.
    pub fn member(&self) -> SubjectMember {
        self.member
    }

    /// The registered value, if `member` keeps it. A whole subject is kept under its standard name.
    pub fn written_as(&self, member: SubjectMember) -> Option<String> {
        let kept_in = if self.member == SubjectMember::ShortDn { SubjectMember::Dn } else { self.member };
        (kept_in == member).then(|| self.written.clone())
    }

    /// Whether the certificate has this subject (DN-03). If `attributes` is not empty, only these must match (DN-05). For an alternative
    /// name, the certificate must contain the registered one: DNS names are compared in any letter case, addresses by their octets, others
    /// exactly.
    pub fn matches(&self, certificate: &Certificate, attributes: &[Attribute]) -> bool {
        let names = certificate.subject_alternative_names();
        match self.member {
            SubjectMember::Dn | SubjectMember::ShortDn => DistinguishedName::parse(&self.written)
                .is_ok_and(|name| name.matches_in(certificate.subject(), attributes)),
            SubjectMember::SanDns => names
                .iter()
                .any(|name| matches!(name, AlternativeName::Dns(dns) if dns.eq_ignore_ascii_case(&self.written))),
            SubjectMember::SanUri => names.contains(&AlternativeName::Uri(self.written.clone())),
            SubjectMember::SanIp => {
                self.written.parse::<IpAddr>().is_ok_and(|address| names.contains(&AlternativeName::Ip(address)))
            }
            SubjectMember::SanEmail => names.contains(&AlternativeName::Email(self.written.clone())),
        }
    }
}
