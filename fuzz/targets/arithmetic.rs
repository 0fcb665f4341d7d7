//! Compares the RSA public operation in both arithmetics with num-bigint. The fuzzer chooses moduli and signatures.

#![no_main]

use dcr_rsa::{Arithmetic, RsaPublicKey};
use libfuzzer_sys::fuzz_target;
use num_bigint::BigUint;

// An input is the exponent in four octets, and then as many of the modulus as of the signature.
fuzz_target!(|input: &[u8]| {
    let Some((e, rest)) = input.split_at_checked(4) else { return };
    let (n, signature) = rest.split_at(rest.len() / 2);
    let Ok(key) = RsaPublicKey::computing(Arithmetic::Integers, n, e) else { return };
    let in_floats = RsaPublicKey::computing(Arithmetic::Floats, n, e).unwrap();
    let (modulus, exponent) = (BigUint::from_bytes_be(n), BigUint::from_bytes_be(e));
    let length = key.modulus_bits().div_ceil(8);

    // As long as the modulus, so that most inputs reach the arithmetic.
    let signature: Vec<u8> = signature.iter().copied().chain(std::iter::repeat(0)).take(length).collect();
    let number = BigUint::from_bytes_be(&signature);
    let expected = (number < modulus).then(|| {
        let power = number.modpow(&exponent, &modulus).to_bytes_be();
        [vec![0; length - power.len()], power].concat()
    });
    assert_eq!(key.public_operation(&signature).ok(), expected);
    assert_eq!(in_floats.public_operation(&signature).ok(), expected);
    assert!(key.verify_pss_sha256(n, &signature).is_err());
});
