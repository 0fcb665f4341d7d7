//! Envoy's foreign function `verify_signature`: ECDSA of BoringSSL, compiled for the processor.
//!
//! Its arguments and its result are protobuf: `VerifySignatureArguments` and `VerifySignatureResult` of the package
//! `envoy.source.extensions.common.wasm`.

use dcr_jose::es256::HostQuestion;
use proxy_wasm::hostcalls;

/// Whether the signature verifies with ECDSA and SHA-256. `None` if Envoy does not have the function or could not run it.
pub(super) fn es256(question: &HostQuestion<'_>) -> Option<bool> {
    let arguments: [(u8, &[u8]); 4] = [
        (HASH_FUNCTION, b"sha256"),
        (PUBLIC_KEY, question.subject_public_key_info),
        (SIGNATURE, question.signature),
        (TEXT, question.message),
    ];
    let mut encoded = Vec::new();
    for (field, octets) in arguments {
        encode_field(&mut encoded, field, octets);
    }
    let result = hostcalls::call_foreign_function("verify_signature", Some(&encoded)).ok()??;
    Some(result == VERIFIED)
}

// Field numbers of VerifySignatureArguments.
const HASH_FUNCTION: u8 = 1;
const PUBLIC_KEY: u8 = 2;
const SIGNATURE: u8 = 3;
const TEXT: u8 = 4;

/// The encoding of `VerifySignatureResult { result: true }` without other fields. Any other answer, such as an error, counts as "not
/// verified".
const VERIFIED: [u8; 2] = [1 << 3, 1];

const LENGTH_DELIMITED: u8 = 2;

fn encode_field(encoded: &mut Vec<u8>, field: u8, octets: &[u8]) {
    encoded.push((field << 3) | LENGTH_DELIMITED);
    let mut length = octets.len();
    while length >= 0x80 {
        encoded.push(0x80 | low_seven_bits(length));
        length >>= 7;
    }
    encoded.push(low_seven_bits(length));
    encoded.extend_from_slice(octets);
}

fn low_seven_bits(number: usize) -> u8 {
    u8::try_from(number & 0x7f).unwrap_or_default()
}
