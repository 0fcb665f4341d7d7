//! A development public key infrastructure: the authority that signs the gateway's certificate, the authority that issues transport
//! certificates to third parties, the directory's signing key, and two third parties with keys and certificates for the UK and for Brazil.
//!
//! The certificate authorities and the server use P-256. Third parties use RSA 2048, as Open Banking's do.

pub mod files;

use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName, DnType, DnValue,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber,
};
use serde_json::Value;
use x509_cert::Certificate;
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::der::{DecodePem, Encode};
use x509_cert::name::RelativeDistinguishedName;

use crate::Error;
use crate::keys::{SigningKey, generate_rsa};
use crate::software::Software;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The names and addresses of the gateway and of the directory on a developer's machine.
const SERVER_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// All keys and certificates. [`Pki::generate`] makes them. [`Pki::write`], [`Pki::read`] and [`Pki::reuse_or_generate`] keep them in a
/// folder.
#[derive(Debug)]
pub struct Pki {
    /// Signs the server certificate. The clients of the gateway and of the directory trust it.
    pub server_ca: CertificateAuthority,
    /// The certificate of the gateway and of the directory, for `localhost`.
    pub server: Identity,
    /// Issues transport certificates. The gateway trusts it.
    pub tpp_ca: CertificateAuthority,
    /// Signs software statements. Its public key is the directory's key set.
    pub directory: SigningKey,
    /// The third party that the examples and tests use.
    pub tpp: ThirdParty,
    /// Another third party of the same directory. With it, tests show that one third party cannot act for another.
    pub other_tpp: ThirdParty,
}

/// A third party: its software, its transport certificates and a signing key.
#[derive(Debug)]
pub struct ThirdParty {
    /// The software in its statements in the UK. Other ecosystems have no ids of their own here and use it too, except Brazil.
    pub software: Software,
    /// The software in its statements in Brazil.
    pub brazilian_software: Software,
    /// A legacy OB Transport certificate.
    pub transport: Identity,
    /// An OBWAC, a certificate like those of eIDAS.
    pub obwac: Identity,
    /// A BRCAC, the transport certificate of Open Finance Brasil, for its software in Brazil.
    pub brcac: Identity,
    /// Signs registration requests and client assertions.
    pub signing: SigningKey,
}

/// A certificate (or a chain, leaf first) and its private key, both as PEM.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The certificate, as `BEGIN CERTIFICATE`.
    pub certificate_pem: String,
    /// The private key, as `BEGIN PRIVATE KEY` (PKCS#8).
    pub key_pem: String,
}

/// Signs certificates.
#[derive(Clone, Debug)]
pub struct CertificateAuthority {
    /// The authority's own certificate. It is self-signed.
    pub certificate_pem: String,
    key_pem: String,
}

/// The subject of a transport certificate, in the forms that the directories use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransportShape {
    /// `CN=<software_id>, OU=<org_id>, O=OpenBanking, C=GB`
    ObTransport,
    /// `CN=<org_id>, organizationIdentifier=PSDGB-OB-<registration_id>, O=<org_name>, C=GB`
    Obwac,
    /// `CN=<host>, UID=<software_id>, organizationIdentifier=OFBBR-<org_id>, L=Sao Paulo, ST=SP, O=<org_name>, C=BR, serialNumber=<CNPJ>,
    /// jurisdictionC=BR, businessCategory=Private Organization` (Open Finance Brasil, certificate standard 2.1, section 9)
    Brcac,
    /// Like `Brcac`, but with `OU=<org_id>` instead of organizationIdentifier, as it was issued until 31 August 2022
    BrcacUntil2022,
}

impl Pki {
    /// Makes new keys and certificates. It takes one or two seconds, because RSA keys are slow to generate.
    pub fn generate() -> Result<Self, Error> {
        let server_ca = CertificateAuthority::new("dcr-gate development server CA")?;
        let tpp_ca = CertificateAuthority::new("dcr-gate development directory issuing CA")?;
        let software = Software::new("Harbour Budgeting Ltd", "Harbour", "https://harbour.example")?;
        let other_software = Software::new("Meadow Payments Ltd", "Meadow", "https://meadow.example")?;

        let (tpp, other_tpp) = std::thread::scope(|scope| {
            let other = scope.spawn(|| ThirdParty::new(other_software, &tpp_ca));
            (ThirdParty::new(software, &tpp_ca), other.join())
        });
        let other_tpp = other_tpp.map_err(|_| Error::Key("making keys for the second third party failed".into()))??;
        Ok(Self {
            server: server_ca.issue_server(&SERVER_NAMES)?,
            directory: SigningKey::generate_ps256()?,
            tpp: tpp?,
            server_ca,
            tpp_ca,
            other_tpp,
        })
    }

    /// The directory's key set. It verifies software statements.
    pub fn directory_key_set(&self) -> Result<Value, Error> {
        Ok(serde_json::json!({ "keys": [self.directory.public_jwk()] }))
    }
}

impl ThirdParty {
    /// Makes keys, and lets `issuer` issue the transport certificates.
    pub fn new(software: Software, issuer: &CertificateAuthority) -> Result<Self, Error> {
        let brazilian_software = software.in_brazil()?;
        Ok(Self {
            transport: issuer.issue_transport(&software, TransportShape::ObTransport)?,
            obwac: issuer.issue_transport(&software, TransportShape::Obwac)?,
            brcac: issuer.issue_transport(&brazilian_software, TransportShape::Brcac)?,
            signing: SigningKey::generate_ps256()?,
            software,
            brazilian_software,
        })
    }

    /// The key set that the directory publishes for this software: the signing key (`use: sig`) and, as in Open Banking's keystore, the
    /// transport key (`use: tls`), which must not verify signatures.
    pub fn key_set(&self) -> Result<Value, Error> {
        Ok(serde_json::json!({ "keys": [self.transport.transport_jwk()?, self.signing.public_jwk()] }))
    }

    /// The key set with the software's signing keys, as Open Finance Brasil publishes it.
    pub fn application_key_set(&self) -> Result<Value, Error> {
        Ok(serde_json::json!({ "keys": [self.signing.public_jwk()] }))
    }

    /// The key set with the software's transport keys, as Open Finance Brasil publishes it.
    pub fn transport_key_set(&self) -> Result<Value, Error> {
        Ok(serde_json::json!({ "keys": [self.brcac.transport_jwk()?] }))
    }
}

impl Identity {
    /// The certificate's subject in the form of RFC 4514, for `tls_client_auth_subject_dn`. An attribute without a short name in section 3
    /// of that RFC is printed by its OID: few servers know more names, and the servers of Open Finance Brasil must not accept more.
    pub fn subject_dn(&self) -> Result<String, Error> {
        let certificate = parse(&self.certificate_pem)?;
        let print = |name: &RelativeDistinguishedName| {
            let attributes: Result<Vec<_>, _> = name.iter().map(rfc_4514).collect();
            attributes.map(|attributes| attributes.join("+"))
        };
        let mut names: Vec<String> =
            certificate.tbs_certificate().subject().iter_rdn().map(print).collect::<Result<_, _>>()?;
        names.reverse();
        Ok(names.join(","))
    }

    /// The certificate's public key as a JWK with `use: tls`.
    fn transport_jwk(&self) -> Result<Value, Error> {
        let mut key = SigningKey::from_pem(&self.key_pem)?.public_jwk();
        if let Some(members) = key.as_object_mut() {
            members.insert("use".into(), "tls".into());
            members.remove("alg");
        }
        Ok(key)
    }

    fn serial_number(&self) -> Result<SerialNumber, Error> {
        Ok(SerialNumber::from_slice(parse(&self.certificate_pem)?.tbs_certificate().serial_number().as_bytes()))
    }

    /// The end of the certificate's validity.
    pub fn not_after(&self) -> Result<SystemTime, Error> {
        Ok(parse(&self.certificate_pem)?.tbs_certificate().validity().not_after.to_system_time())
    }
}

impl CertificateAuthority {
    /// A new authority, valid for ten years.
    pub fn new(common_name: &str) -> Result<Self, Error> {
        let mut params = authority_params(common_name);
        valid_for(&mut params, 3650 * DAY);
        let key = KeyPair::generate()?;
        Ok(Self { certificate_pem: params.self_signed(&key)?.pem(), key_pem: key.serialize_pem() })
    }

    /// A server certificate for the given DNS names and IP addresses, valid for a year.
    pub fn issue_server(&self, names: &[&str]) -> Result<Identity, Error> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_string()).collect();
        let mut params = CertificateParams::new(names.clone())?;
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, names.first().map_or("server", String::as_str));
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        valid_for(&mut params, 365 * DAY);
        self.sign(params, KeyPair::generate()?)
    }

    /// A transport certificate for a third party's software, valid for one year from now. A certificate in the form of before August 2022
    /// is valid since then.
    pub fn issue_transport(&self, software: &Software, shape: TransportShape) -> Result<Identity, Error> {
        let mut params = client_params(shape.subject(software)?);
        if shape == TransportShape::BrcacUntil2022 {
            params.not_before = rcgen::date_time_ymd(2022, 8, 1);
        }
        self.sign(params, generate_rsa()?)
    }

    /// A client certificate with any subject and a key on P-256, valid for one year. The most significant name comes first (country, organisation, …, common
    /// name).
    pub fn issue_client(&self, subject: DistinguishedName) -> Result<Identity, Error> {
        self.issue_client_with(subject, |_| ())
    }

    /// Like [`issue_client`](Self::issue_client), with further content such as subject alternative names or an extension.
    pub fn issue_client_with(
        &self,
        subject: DistinguishedName,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Result<Identity, Error> {
        let mut params = client_params(subject);
        change(&mut params);
        self.sign(params, KeyPair::generate()?)
    }

    /// The authority's list of revoked certificates (CRL), as `BEGIN X509 CRL`, from two hours ago until `next_update`.
    pub fn revocation_list(&self, revoked: &[&Identity], next_update: SystemTime) -> Result<String, Error> {
        let now = SystemTime::now();
        let revoked = revoked.iter().map(|identity| {
            Ok(RevokedCertParams {
                serial_number: identity.serial_number()?,
                revocation_time: now.into(),
                reason_code: None,
                invalidity_date: None,
            })
        });
        let list = CertificateRevocationListParams {
            this_update: (now - Duration::from_secs(7200)).into(),
            next_update: next_update.into(),
            // The number grows from list to list.
            crl_number: now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs().into(),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect::<Result<_, Error>>()?,
            key_identifier_method: CertificateParams::default().key_identifier_method,
        };
        Ok(list.signed_by(&self.issuer()?)?.pem()?)
    }

    fn sign(&self, mut params: CertificateParams, key: KeyPair) -> Result<Identity, Error> {
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        let issuer = self.issuer()?;
        Ok(Identity { certificate_pem: params.signed_by(&key, &issuer)?.pem(), key_pem: key.serialize_pem() })
    }

    fn issuer(&self) -> Result<Issuer<'static, KeyPair>, Error> {
        Ok(Issuer::new(authority_params(&self.common_name()?), KeyPair::from_pem(&self.key_pem)?))
    }

    fn common_name(&self) -> Result<String, Error> {
        let subject = parse(&self.certificate_pem)?.tbs_certificate().subject().to_string();
        let name = subject.strip_prefix("CN=").filter(|name| !name.contains(['=', '\\']));
        let unusable = || Error::Certificate(format!("an authority of another subject than a plain CN: {subject}"));
        name.map(str::to_string).ok_or_else(unusable)
    }
}

impl TransportShape {
    /// The subject that the directory gives to a certificate of this form.
    pub fn subject(self, software: &Software) -> Result<DistinguishedName, Error> {
        let mut subject = DistinguishedName::new();
        match self {
            Self::ObTransport => {
                subject.push(DnType::CountryName, printable("GB")?);
                subject.push(DnType::OrganizationName, "OpenBanking");
                subject.push(DnType::OrganizationalUnitName, software.org_id.as_str());
                subject.push(DnType::CommonName, software.software_id.as_str());
            }
            Self::Obwac => {
                subject.push(DnType::CountryName, printable("GB")?);
                subject.push(DnType::OrganizationName, software.org_name.as_str());
                subject.push(
                    DnType::from_oid(&ORGANIZATION_IDENTIFIER),
                    format!("PSDGB-OB-{}", software.registration_id).as_str(),
                );
                subject.push(DnType::CommonName, software.org_id.as_str());
            }
            Self::Brcac | Self::BrcacUntil2022 => {
                subject.push(DnType::from_oid(&BUSINESS_CATEGORY), "Private Organization");
                subject.push(DnType::from_oid(&JURISDICTION_COUNTRY), printable("BR")?);
                subject.push(DnType::from_oid(&SERIAL_NUMBER), printable(&software.registration_id)?);
                subject.push(DnType::CountryName, printable("BR")?);
                subject.push(DnType::OrganizationName, software.org_name.as_str());
                subject.push(DnType::StateOrProvinceName, "SP");
                subject.push(DnType::LocalityName, "Sao Paulo");
                if self == Self::Brcac {
                    let organisation = format!("OFBBR-{}", software.org_id);
                    subject.push(DnType::from_oid(&ORGANIZATION_IDENTIFIER), organisation.as_str());
                } else {
                    subject.push(DnType::OrganizationalUnitName, software.org_id.as_str());
                }
                subject.push(DnType::from_oid(&USER_ID), software.software_id.as_str());
                subject.push(DnType::CommonName, software.host());
            }
        }
        Ok(subject)
    }
}

/// X.520 organizationIdentifier. ETSI TS 119 495 puts the authorisation number there, Open Finance Brasil the id of the participant.
const ORGANIZATION_IDENTIFIER: [u64; 4] = [2, 5, 4, 97];

/// X.520 serialNumber of the holder.
const SERIAL_NUMBER: [u64; 4] = [2, 5, 4, 5];

/// X.520 businessCategory.
const BUSINESS_CATEGORY: [u64; 4] = [2, 5, 4, 15];

/// The country of incorporation, from the CA/Browser Forum's EV guidelines.
const JURISDICTION_COUNTRY: [u64; 11] = [1, 3, 6, 1, 4, 1, 311, 60, 2, 1, 3];

/// RFC 4519 uid.
const USER_ID: [u64; 7] = [0, 9, 2342, 19_200_300, 100, 1, 1];

/// A value that X.520 defines as a PrintableString.
fn printable(text: &str) -> Result<DnValue, Error> {
    Ok(DnValue::PrintableString(text.try_into()?))
}

fn authority_params(common_name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn client_params(subject: DistinguishedName) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = subject;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    valid_for(&mut params, 365 * DAY);
    params
}

/// Validity from one hour ago, because clocks differ, until `lifetime` from now.
fn valid_for(params: &mut CertificateParams, lifetime: Duration) {
    let now = SystemTime::now();
    params.not_before = (now - Duration::from_secs(3600)).into();
    params.not_after = (now + lifetime).into();
}

fn rfc_4514(attribute: &AttributeTypeAndValue) -> Result<String, Error> {
    const SHORT_NAMES: [&str; 9] = ["CN=", "L=", "ST=", "O=", "OU=", "C=", "STREET=", "DC=", "UID="];
    let text = attribute.to_string();
    if SHORT_NAMES.iter().any(|name| text.starts_with(name)) {
        return Ok(text);
    }
    let value = attribute.value.to_der().map_err(|error| Error::Certificate(error.to_string()))?;
    let value: String = value.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("{}=#{value}", attribute.oid))
}

fn parse(pem: &str) -> Result<Certificate, Error> {
    Certificate::from_pem(pem.as_bytes()).map_err(|error| Error::Certificate(error.to_string()))
}

#[cfg(test)]
mod tests;
