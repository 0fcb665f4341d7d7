//! Members that only some ecosystems have, and the algorithms of encryption (MD-21).

use serde_json::{Map, Value};

use super::Metadata;
use crate::catalogue::{MD_20, MD_21, MD_21_ENC, MD_25, MD_28};
use crate::{Evaluation, Refusal};

/// Members that only some ecosystems have; a profile names those that it registers.
pub(crate) const FURTHER_MEMBERS: [(&str, MemberKind); 11] = [
    ("subject_type", MemberKind::SubjectType),
    ("authorization_encrypted_response_alg", MemberKind::EncryptionAlg("authorization_encrypted_response_enc")),
    ("authorization_encrypted_response_enc", MemberKind::EncryptionEnc),
    ("request_object_encryption_alg", MemberKind::EncryptionAlg("request_object_encryption_enc")),
    ("request_object_encryption_enc", MemberKind::EncryptionEnc),
    ("userinfo_signed_response_alg", MemberKind::SigningAlg),
    ("userinfo_encrypted_response_alg", MemberKind::EncryptionAlg("userinfo_encrypted_response_enc")),
    ("userinfo_encrypted_response_enc", MemberKind::EncryptionEnc),
    ("require_signed_request_object", MemberKind::Boolean),
    ("require_pushed_authorization_requests", MemberKind::Boolean),
    ("require_auth_time", MemberKind::Boolean),
];

/// The values that a further member may have.
#[derive(Debug, Clone, Copy)]
pub(crate) enum MemberKind {
    /// A signing algorithm of the profile (MD-20).
    SigningAlg,
    /// A key management algorithm of JWE, with the member of the content encryption that belongs to it (MD-21).
    EncryptionAlg(&'static str),
    /// A content encryption of JWE.
    EncryptionEnc,
    /// `public` or `pairwise` (MD-28).
    SubjectType,
    /// True or false.
    Boolean,
}

/// Key management algorithms of JWE that need the recipient's public key only (RFC 7518 section 4.1, RFC 8017). `RSA1_5` is not among them
/// (FAPI 1.0 Advanced section 8.6.1).
const ENCRYPTION_ALGS: [&str; 8] = [
    "RSA-OAEP",
    "RSA-OAEP-256",
    "RSA-OAEP-384",
    "RSA-OAEP-512",
    "ECDH-ES",
    "ECDH-ES+A128KW",
    "ECDH-ES+A192KW",
    "ECDH-ES+A256KW",
];

/// Content encryption algorithms of JWE (RFC 7518 section 5.1).
const ENCRYPTION_ENCS: [&str; 6] = ["A128CBC-HS256", "A192CBC-HS384", "A256CBC-HS512", "A128GCM", "A192GCM", "A256GCM"];

/// How something is encrypted for the client.
#[derive(Debug, Default)]
pub(super) struct Encryption {
    pub(super) alg: Option<String>,
    pub(super) enc: Option<String>,
}

impl Metadata<'_> {
    /// How a token or a request object is encrypted. Only algorithms that need the client's public key are known: a client has no secret.
    pub(super) fn md_21_encryption(
        &self,
        alg_member: &'static str,
        enc_member: &'static str,
    ) -> Result<Encryption, Refusal> {
        let (alg, enc) = (self.md_25_text(alg_member)?, self.md_25_text(enc_member)?);
        if alg.as_deref().is_some_and(|alg| !ENCRYPTION_ALGS.contains(&alg)) {
            return Err(self.refuse(&MD_21, alg_member));
        }
        if enc.as_deref().is_some_and(|enc| !ENCRYPTION_ENCS.contains(&enc)) {
            return Err(self.refuse(&MD_21, enc_member));
        }
        if enc.is_some() && alg.is_none() {
            return Err(self.refuse(&MD_21_ENC, enc_member));
        }
        Ok(Encryption { alg, enc })
    }

    /// The members of [`FURTHER_MEMBERS`] that the profile has.
    pub(super) fn further(&self, evaluation: &Evaluation) -> Result<Map<String, Value>, Refusal> {
        let mut further = Map::new();
        let mut put = |member: &str, value: Option<Value>| {
            if let Some(value) = value {
                further.insert(member.to_owned(), value);
            }
        };
        let has = |member: &str| self.rules.further_members.iter().any(|known| known == member);
        for (member, kind) in FURTHER_MEMBERS.into_iter().filter(|(member, _)| has(member)) {
            match kind {
                MemberKind::Boolean => {
                    let value = evaluation.require(&[&MD_25], self.boolean(member, &MD_25))?;
                    put(member, value.map(Value::from));
                }
                MemberKind::SigningAlg => {
                    let alg = self.md_20_signing_alg(member);
                    put(member, evaluation.check_or(&[&MD_25, &MD_20], alg, || None)?.map(Value::from));
                }
                MemberKind::EncryptionAlg(enc_member) => {
                    let encryption = self.md_21_encryption(member, enc_member);
                    let rules = [&MD_25, &MD_21, &MD_21_ENC];
                    let Encryption { alg, enc } = evaluation.check_or(&rules, encryption, Default::default)?;
                    put(member, alg.map(Value::from));
                    put(enc_member, enc.map(Value::from));
                }
                // It is read together with its alg.
                MemberKind::EncryptionEnc => {}
                MemberKind::SubjectType => {
                    let subject_type = evaluation.require(&[&MD_25, &MD_28], self.md_28_subject_type())?;
                    put(member, subject_type.map(Value::from));
                }
            }
        }
        Ok(further)
    }

    fn md_28_subject_type(&self) -> Result<Option<String>, Refusal> {
        match self.md_25_text("subject_type")? {
            Some(kind) if !self.rules.subject_types.contains(&kind) => Err(self.refuse(&MD_28, "subject_type")),
            kind => Ok(kind),
        }
    }
}
