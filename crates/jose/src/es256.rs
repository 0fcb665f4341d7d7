//! ES256 verification (RFC 7518 section 3.4): ECDSA on P-256 with SHA-256. A function of the host verifies if the host has a correct one.
//! Otherwise the library p256 in this program does.
//!
//! In WebAssembly p256 takes several times as long as native code, and hosts such as Envoy offer a native function. Both accept the same
//! signatures: the length of a signature and the range of its two numbers are checked here first.

use std::fmt;
use std::sync::OnceLock;

use p256::ecdsa::signature::Verifier;
use p256::ecdsa::{Signature, VerifyingKey};

use super::BadSignature;

/// A public key on P-256.
#[derive(Debug, Clone)]
pub(super) struct Es256PublicKey {
    key: VerifyingKey,
    subject_public_key_info: Vec<u8>,
}

impl Es256PublicKey {
    /// A key from its coordinates, 32 octets each (RFC 7518 section 6.2.1.2). `None` if they are not a point on the curve.
    pub(super) fn from_coordinates(x: &[u8], y: &[u8]) -> Option<Self> {
        if x.len() != COORDINATE_OCTETS || y.len() != COORDINATE_OCTETS {
            return None;
        }
        let point = [UNCOMPRESSED, x, y].concat();
        let key = VerifyingKey::from_sec1_bytes(&point).ok()?;
        Some(Self { key, subject_public_key_info: [SUBJECT_PUBLIC_KEY_INFO, &point].concat() })
    }

    /// Verifies that `signature` was made over `message`. A signature has 64 octets, R‖S, and both numbers are in [1, n-1]. DER is refused;
    /// a high S is accepted.
    ///
    /// # Errors
    /// The signature is malformed or does not verify.
    pub(super) fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        self.verify_by(CHOICE.get().copied().flatten(), message, signature)
    }

    /// [`verify`](Self::verify) with this host, or without one.
    ///
    /// If the host gives no answer, the signature counts as not verified. The host passed its self test at start, and the question is
    /// valid: the point is on the curve and the numbers are in range. So a failure is a fault of the host, and a second try with p256 would
    /// hide it.
    fn verify_by(&self, host: Option<HostVerifier>, message: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        let signature = Signature::from_slice(signature).map_err(|_| BadSignature)?;
        let Some(host) = host else { return self.key.verify(message, &signature).map_err(|_| BadSignature) };
        let (subject_public_key_info, signature) = (&self.subject_public_key_info, signature.to_der());
        let question = HostQuestion { subject_public_key_info, signature: signature.as_bytes(), message };
        if host(&question) == Some(true) { Ok(()) } else { Err(BadSignature) }
    }
}

/// A function of the host that verifies ECDSA signatures on P-256 with SHA-256. It returns whether the signature verifies, or `None` if it
/// could not answer.
pub type HostVerifier = fn(&HostQuestion<'_>) -> Option<bool>;

/// The question to the host: was `signature` made over `message` with this key?
#[derive(Debug, Clone, Copy)]
pub struct HostQuestion<'a> {
    /// The public key as DER `SubjectPublicKeyInfo` (RFC 5480 section 2). Its point is on the curve.
    pub subject_public_key_info: &'a [u8],
    /// The signature as DER `Ecdsa-Sig-Value` (RFC 3279 section 2.2.3). Both numbers are in range.
    pub signature: &'a [u8],
    /// The octets that were signed.
    pub message: &'a [u8],
}

/// The code that verifies ES256.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Es256 {
    /// A function of the host.
    ByHost,
    /// p256, compiled into this program.
    InWasm,
}

impl fmt::Display for Es256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ByHost => "by host",
            Self::InWasm => "in wasm",
        })
    }
}

/// Lets `host` verify ES256 from now on, if it accepts a good signature and refuses a bad one. Returns the code that verifies. The first
/// call decides for as long as the program runs.
pub fn choose(host: HostVerifier) -> Es256 {
    let choice = CHOICE.get_or_init(|| Some(host).filter(|host| passes_self_test(*host)));
    if choice.is_some() { Es256::ByHost } else { Es256::InWasm }
}

/// Unset until [`choose`] is called. Then p256 verifies.
static CHOICE: OnceLock<Option<HostVerifier>> = OnceLock::new();

fn passes_self_test(host: HostVerifier) -> bool {
    let verifies = |message| {
        let key = Es256PublicKey::from_coordinates(&known::X, &known::Y);
        key.is_some_and(|key| key.verify_by(Some(host), message, &known::SIGNATURE).is_ok())
    };
    verifies(known::MESSAGE) && !verifies(known::ANOTHER_MESSAGE)
}

const COORDINATE_OCTETS: usize = 32;

/// The first octet of an uncompressed point (SEC 1 section 2.3.3).
const UNCOMPRESSED: &[u8] = &[0x04];

/// The start of the `SubjectPublicKeyInfo` of a P-256 key (id-ecPublicKey, secp256r1). The point of 65 octets follows.
const SUBJECT_PUBLIC_KEY_INFO: &[u8] = &[
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// A valid signature: RFC 6979 appendix A.2.5, with SHA-256.
mod known {
    pub(super) const X: [u8; 32] = [
        0x60, 0xfe, 0xd4, 0xba, 0x25, 0x5a, 0x9d, 0x31, 0xc9, 0x61, 0xeb, 0x74, 0xc6, 0x35, 0x6d, 0x68, 0xc0, 0x49,
        0xb8, 0x92, 0x3b, 0x61, 0xfa, 0x6c, 0xe6, 0x69, 0x62, 0x2e, 0x60, 0xf2, 0x9f, 0xb6,
    ];
    pub(super) const Y: [u8; 32] = [
        0x79, 0x03, 0xfe, 0x10, 0x08, 0xb8, 0xbc, 0x99, 0xa4, 0x1a, 0xe9, 0xe9, 0x56, 0x28, 0xbc, 0x64, 0xf2, 0xf1,
        0xb2, 0x0c, 0x2d, 0x7e, 0x9f, 0x51, 0x77, 0xa3, 0xc2, 0x94, 0xd4, 0x46, 0x22, 0x99,
    ];
    pub(super) const SIGNATURE: [u8; 64] = [
        0xef, 0xd4, 0x8b, 0x2a, 0xac, 0xb6, 0xa8, 0xfd, 0x11, 0x40, 0xdd, 0x9c, 0xd4, 0x5e, 0x81, 0xd6, 0x9d, 0x2c,
        0x87, 0x7b, 0x56, 0xaa, 0xf9, 0x91, 0xc3, 0x4d, 0x0e, 0xa8, 0x4e, 0xaf, 0x37, 0x16, 0xf7, 0xcb, 0x1c, 0x94,
        0x2d, 0x65, 0x7c, 0x41, 0xd4, 0x36, 0xc7, 0xa1, 0xb6, 0xe2, 0x9f, 0x65, 0xf3, 0xe9, 0x00, 0xdb, 0xb9, 0xaf,
        0xf4, 0x06, 0x4d, 0xc4, 0xab, 0x2f, 0x84, 0x3a, 0xcd, 0xa8,
    ];
    pub(super) const MESSAGE: &[u8] = b"sample";
    pub(super) const ANOTHER_MESSAGE: &[u8] = b"simple";
}

#[cfg(test)]
mod tests;
