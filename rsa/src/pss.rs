//! EMSA-PSS-VERIFY of RFC 8017, section 9.1.2, with SHA-256 for the hash and for MGF1, and with a salt of 32 octets.

use sha2::{Digest, Sha256};

use super::BadSignature;

/// hLen, the length of a SHA-256 digest.
const HASH_OCTETS: usize = 32;
/// sLen.
const SALT_OCTETS: usize = 32;
const TRAILER: u8 = 0xbc;

/// Checks that `encoded` is an encoding of the message with this digest (step 2). It is the encoded message EM with `encoded_bits` (emBits)
/// bits, in ⌈emBits / 8⌉ octets.
///
/// Every mismatch gives the same `BadSignature`.
pub(super) fn verify(
    message_hash: &[u8; HASH_OCTETS],
    encoded: &[u8],
    encoded_bits: usize,
) -> Result<(), BadSignature> {
    let unused_bits = 8 * encoded.len() - encoded_bits;

    // Steps 3 to 5: EM is maskedDB ‖ H ‖ 0xbc.
    let [masked_data_and_hash @ .., TRAILER] = encoded else { return Err(BadSignature) };
    let (masked_data, hash) = masked_data_and_hash.split_last_chunk::<HASH_OCTETS>().ok_or(BadSignature)?;

    // Steps 6 to 9: the bits of the first octet beyond emBits must be zero in maskedDB, and are set to zero in DB.
    let used_in_first = 0xff_u8 >> unused_bits;
    let mut data = masked_data.to_vec();
    if data.first().is_none_or(|first| first & !used_in_first != 0) {
        return Err(BadSignature);
    }
    unmask(&mut data, hash);
    if let Some(first) = data.first_mut() {
        *first &= used_in_first;
    }

    // Steps 10 and 11: DB is zeros ‖ 0x01 ‖ salt.
    let (padding, salt) = data.split_last_chunk::<SALT_OCTETS>().ok_or(BadSignature)?;
    let [zeros @ .., 0x01] = padding else { return Err(BadSignature) };
    if zeros.iter().any(|&octet| octet != 0) {
        return Err(BadSignature);
    }

    // Steps 12 to 14.
    let expected = Sha256::new().chain_update([0; 8]).chain_update(message_hash).chain_update(salt).finalize();
    if expected.as_slice() == hash { Ok(()) } else { Err(BadSignature) }
}

/// Removes the mask MGF1(seed, length of `data`) from `data` (RFC 8017, appendix B.2.1).
fn unmask(data: &mut [u8], seed: &[u8; HASH_OCTETS]) {
    for (counter, chunk) in (0_u32..).zip(data.chunks_mut(HASH_OCTETS)) {
        let mask = Sha256::new().chain_update(seed).chain_update(counter.to_be_bytes()).finalize();
        for (octet, mask_octet) in chunk.iter_mut().zip(mask) {
            *octet ^= mask_octet;
        }
    }
}
