//! What several fuzz targets need: certificates around a subject, names as another parser reads them, signed tokens, and the demands on
//! every refusal.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use dcr_jose::Algorithm;
use dcr_jose::jwk::{KeySet, KeySetLimits};
use dcr_policy::Refusal;
use dcr_policy::evaluation::{Evaluation, Outcome};
use dcr_policy::profile::Profile;
use dcr_policy::settings::{Directory, Settings};
use dcr_x509::DistinguishedName;
use ed25519_dalek::{Signer, SigningKey};
use x509_parser::asn1_rs::ToDer;
use x509_parser::x509::X509Name;

/// The time of all checks, in Unix seconds.
pub const NOW: u64 = 1_800_000_000;

/// The issuer of the software statements that are trusted.
pub const DIRECTORY: &str = "directory";

/// The issuer of the authorization server.
pub const ISSUER: &str = "https://bank.example";

/// A certificate with this subject, valid from 2020 to 2049. Its key and its signature are empty.
pub fn certificate_with(subject: &[u8]) -> Vec<u8> {
    const ALGORITHM: [u8; 10] = [0x06, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
    const EMPTY_BITS: [u8; 3] = [3, 1, 0];
    let algorithm = der(SEQUENCE, &ALGORITHM);
    let time = |text: &str| der(UTC_TIME, text.as_bytes());
    let validity = der(SEQUENCE, &[time("200101000000Z"), time("490101000000Z")].concat());
    let key = der(SEQUENCE, &[algorithm.as_slice(), &EMPTY_BITS].concat());
    let (version, serial_number, issuer) = ([0xa0, 3, 2, 1, 2], [2, 1, 1], der(SEQUENCE, &[]));
    let fields = [&version, &serial_number[..], &algorithm, &issuer, &validity, subject, &key].concat();
    der(SEQUENCE, &[der(SEQUENCE, &fields).as_slice(), &algorithm, &EMPTY_BITS].concat())
}

/// One DER element.
pub fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let length = &length[length.iter().take_while(|octet| **octet == 0).count()..];
    let mut element = vec![tag];
    match length {
        [] => element.push(0),
        [short @ 0..=0x7f] => element.push(*short),
        long => {
            element.push(0x80 | u8::try_from(long.len()).unwrap());
            element.extend(long);
        }
    }
    element.extend(content);
    element
}

/// The tag of a SEQUENCE.
pub const SEQUENCE: u8 = 0x30;

const UTC_TIME: u8 = 0x17;

/// x509-parser has read the same name, and what it prints can be read again. A name that RFC 4514 cannot write is not compared.
pub fn is_same(name: &DistinguishedName, other: &X509Name<'_>) {
    prints_what_it_read(name);
    let Some(text) = text_of(other) else { return };
    let other = DistinguishedName::parse(&text).unwrap();
    assert_eq!(name.to_string(), other.to_string());
    assert_eq!(name.matches(&other), name.matches(name));
}

/// A name that another parser has read from DER, as RFC 4514 writes it with object identifiers and hexadecimal values. `None` if it cannot
/// be written so: it is too long, it has an RDN without attributes, or
/// a type without a dot.
fn text_of(name: &X509Name<'_>) -> Option<String> {
    let hex = |octets: Vec<u8>| octets.iter().map(|octet| format!("{octet:02x}")).collect::<String>();
    let mut rdns = Vec::new();
    for rdn in name.iter() {
        let attributes = rdn.iter().map(|one| {
            let value = one.attr_value().to_der_vec().unwrap();
            // The parser prints an identifier of one octet as one number, which is no identifier.
            let identifier = one.attr_type().to_string();
            identifier.contains('.').then(|| format!("{identifier}=#{}", hex(value)))
        });
        let attributes: Vec<String> = attributes.collect::<Option<_>>()?;
        if attributes.is_empty() {
            return None;
        }
        rdns.push(attributes.join("+"));
    }
    rdns.reverse();
    Some(rdns.join(",")).filter(|text| (1..=MAX_NAME).contains(&text.len()))
}

/// The longest text of a name that is read.
pub const MAX_NAME: usize = 4096;

/// What a name prints can be read again, has the same meaning and is safe in a log.
pub fn prints_what_it_read(name: &DistinguishedName) {
    let printed = name.to_string();
    assert!(!printed.chars().any(char::is_control), "{printed:?}");
    if printed.is_empty() || printed.len() > MAX_NAME {
        return;
    }
    let again = DistinguishedName::parse(&printed).unwrap_or_else(|error| panic!("{error}: {printed:?}"));
    assert_eq!(again.to_string(), printed);
    // A name with a character that RFC 4518 prohibits matches nothing, not even itself.
    assert_eq!(name.matches(&again), name.matches(name), "{printed:?}");
    assert_eq!(again.matches(name), name.matches(name), "{printed:?}");
}

/// A signed token with these octets as its payload. [`keys`] verify it.
pub fn signed(payload: &[u8]) -> String {
    let header = BASE64_URL_SAFE_NO_PAD.encode(r#"{"alg":"EdDSA","kid":"k","typ":"JWT"}"#);
    let signing_input = format!("{header}.{}", BASE64_URL_SAFE_NO_PAD.encode(payload));
    let signature = signing_key().sign(signing_input.as_bytes()).to_bytes();
    format!("{signing_input}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
}

/// The key set of the directory, of every software and of every client.
pub fn keys() -> &'static KeySet {
    // A key set cannot be shared by threads, and the fuzzer has only one.
    thread_local!(static KEYS: &'static KeySet = Box::leak(Box::new(read_keys())));
    KEYS.with(|keys| *keys)
}

fn read_keys() -> KeySet {
    let x = BASE64_URL_SAFE_NO_PAD.encode(signing_key().verifying_key().as_bytes());
    let document = format!(r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","kid":"k","x":"{x}"}}]}}"#);
    KeySet::parse(document.as_bytes(), &KeySetLimits::default()).unwrap()
}

fn signing_key() -> SigningKey {
    SigningKey::from_bytes(&[1; 32])
}

/// The settings of the profile with this name, for tokens of [`signed`]. `None` if there is no such profile.
pub fn settings(profile: &[u8]) -> Option<Rc<Settings>> {
    // Profiles take longer to read than most inputs.
    thread_local!(static KNOWN: RefCell<HashMap<Vec<u8>, Rc<Settings>>> = RefCell::default());
    if let Some(known) = KNOWN.with_borrow(|known| known.get(profile).cloned()) {
        return Some(known);
    }
    let settings = Rc::new(read_settings(std::str::from_utf8(profile).ok()?)?);
    KNOWN.with_borrow_mut(|known| known.insert(profile.to_vec(), settings.clone()));
    Some(settings)
}

fn read_settings(profile: &str) -> Option<Settings> {
    let mut profile = Profile::named(profile).ok()?;
    profile.signing_algorithms = vec![Algorithm::EdDsa];
    let directory = Directory {
        issuer: DIRECTORY.to_owned(),
        dialect: profile.software_statement.clone(),
        key_set_hosts: vec!["keystore.example".to_owned()],
        certificate_issuers: Vec::new(),
    };
    let audiences = vec![ISSUER.to_owned()];
    Some(Settings {
        directories: vec![directory],
        registration_audiences: audiences.clone(),
        assertion_audiences: audiences,
        ..Settings::new(profile)
    })
}

/// The first lines of an input, and all that follows them as the last.
pub fn lines<const N: usize>(input: &[u8]) -> Option<[&[u8]; N]> {
    input.splitn(N, |octet| *octet == b'\n').collect::<Vec<_>>().try_into().ok()
}

/// An evaluation in which every rule is enforced.
pub fn evaluation(settings: &Settings) -> Evaluation {
    Evaluation::new(Rc::clone(&settings.modes))
}

/// A refusal has a status of an error and a description that is safe in a header. The evaluation has recorded it, and no other.
pub fn is_told(refusal: &Refusal, evaluation: &Evaluation) {
    let description = refusal.description();
    let is_plain = |octet: u8| (b' '..=b'~').contains(&octet) && octet != b'"' && octet != b'\\';
    assert!(description.len() <= 500 && description.bytes().all(is_plain), "{description:?}");
    assert!((400..=599).contains(&refusal.status()));
    let checked = evaluation.checked();
    let refused = checked.iter().filter(|checked| checked.outcome != Outcome::Kept);
    let refused: Vec<_> = refused.map(|checked| &checked.outcome).collect();
    assert_eq!(refused, [&Outcome::Refused(refusal.clone())]);
}

/// The evaluation has recorded no refusal.
pub fn kept_all(evaluation: &Evaluation) {
    assert!(evaluation.checked().iter().all(|checked| checked.outcome == Outcome::Kept));
}
