//! How a client names the subject of its certificates (RFC 8705 section 2.1.2): by the whole name, or by one alternative name.

use std::net::IpAddr;

use dcr_x509::{AlternativeName, Attribute, Certificate, DistinguishedName};

use super::profile::SubjectMember;

/// A member of the metadata, and what the client wrote there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateSubject {
    member: SubjectMember,
    written: String,
}

impl CertificateSubject {
    /// What `written` in `member` names.
    pub fn new(member: SubjectMember, written: String) -> Self {
        Self { member, written }
    }

    /// The member it was written in.
    pub fn member(&self) -> SubjectMember {
        self.member
    }

    /// What was written, if `member` keeps it. A whole name is kept under its standard name.
    pub fn written_as(&self, member: SubjectMember) -> Option<String> {
        let kept_in = if self.member == SubjectMember::ShortDn { SubjectMember::Dn } else { self.member };
        (kept_in == member).then(|| self.written.clone())
    }

    /// Whether it is the certificate's subject (DN-03), as far as `attributes` go, if any are named (DN-05). Of alternative names, one must
    /// be the one that was written: DNS names in any letter case, addresses by their octets, others exactly.
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
