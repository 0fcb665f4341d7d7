//! ES256 verification (RFC 7518 section 3.4): ECDSA on P-256 with SHA-256, by a function of the host where it has a good one, else
//! by p256 in this very code.
//!
//! In WebAssembly p256 takes several times as long as a processor's own instructions do, and hosts such as Envoy offer theirs to the
//! code they run. Both ways judge the same: the shape of a signature and the range of its two numbers are checked here before either.

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
    /// A key from its coordinates, 32 octets each (RFC 7518 section 6.2.1.2); `None` where they are no point of the curve.
    pub(super) fn from_coordinates(x: &[u8], y: &[u8]) -> Option<Self> {
        if x.len() != COORDINATE_OCTETS || y.len() != COORDINATE_OCTETS {
            return None;
        }
        let point = [UNCOMPRESSED, x, y].concat();
        let key = VerifyingKey::from_sec1_bytes(&point).ok()?;
        Some(Self { key, subject_public_key_info: [SUBJECT_PUBLIC_KEY_INFO, &point].concat() })
    }

    /// Whether `signature`, 64 octets R‖S with both numbers in [1, n-1], was made over `message`. DER is refused, a high S is not.
    pub(super) fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        self.verify_by(CHOICE.get().copied().flatten(), message, signature)
    }

    /// [`verify`](Self::verify), by this host or in this code.
    ///
    /// A host that does not answer leaves the signature unverified. It was asked a sound question, about a point of the curve and
    /// numbers in range, and answered such a one at start: if it fails now, that is not to be papered over with a second opinion.
    fn verify_by(&self, host: Option<HostVerifier>, message: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        let signature = Signature::from_slice(signature).map_err(|_| BadSignature)?;
        let Some(host) = host else { return self.key.verify(message, &signature).map_err(|_| BadSignature) };
        let (subject_public_key_info, signature) = (&self.subject_public_key_info, signature.to_der());
        let question = HostQuestion { subject_public_key_info, signature: signature.as_bytes(), message };
        if host(&question) == Some(true) { Ok(()) } else { Err(BadSignature) }
    }
}

/// A function of the host that verifies ECDSA signatures on P-256 with SHA-256: its verdict, or `None` where it gave none.
pub type HostVerifier = fn(&HostQuestion<'_>) -> Option<bool>;

/// What the host is asked: whether `signature` was made over `message` with the key.
#[derive(Debug, Clone, Copy)]
pub struct HostQuestion<'a> {
    /// The public key as DER `SubjectPublicKeyInfo` (RFC 5480 section 2), a point of the curve.
    pub subject_public_key_info: &'a [u8],
    /// The signature as DER `Ecdsa-Sig-Value` (RFC 3279 section 2.2.3), both numbers in range.
    pub signature: &'a [u8],
    /// The octets that were signed.
    pub message: &'a [u8],
}

/// Which code verifies ES256.
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

/// Has ES256 verified by `host` from now on, if it judges a good and a bad signature rightly; and says which way it is. The first
/// call decides, for as long as the program runs.
pub fn choose(host: HostVerifier) -> Es256 {
    let choice = CHOICE.get_or_init(|| Some(host).filter(|host| passes_self_test(*host)));
    if choice.is_some() { Es256::ByHost } else { Es256::InWasm }
}

/// Unset, and so nobody, until [`choose`] is called.
static CHOICE: OnceLock<Option<HostVerifier>> = OnceLock::new();

fn passes_self_test(host: HostVerifier) -> bool {
    let verifies = |message| {
        let key = Es256PublicKey::from_coordinates(&known::X, &known::Y);
        key.is_some_and(|key| key.verify_by(Some(host), message, &known::SIGNATURE).is_ok())
    };
    verifies(known::MESSAGE) && !verifies(known::ANOTHER_MESSAGE)
}

const COORDINATE_OCTETS: usize = 32;

/// What an uncompressed point begins with (SEC 1 section 2.3.3).
const UNCOMPRESSED: &[u8] = &[0x04];

/// `SubjectPublicKeyInfo` of a key on P-256 (id-ecPublicKey, secp256r1), up to its point of 65 octets.
const SUBJECT_PUBLIC_KEY_INFO: &[u8] = &[
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// A signature known to be good: RFC 6979 appendix A.2.5, with SHA-256.
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
