use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use dcr_mint::Token;
use dcr_mint::keys::{Algorithm as Signing, SigningKey};
use getrandom::SysRng;
use getrandom::rand_core::UnwrapErr;
use rsa::pkcs8::DecodePrivateKey;
use rsa::pss;
use rsa::signature::{RandomizedSigner, SignatureEncoding};
use serde_json::json;
use sha2::{Sha256, Sha384};

use super::*;

/// Made with OpenSSL: -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:32 -sigopt rsa_mgf1_md:sha1
const OF_OPENSSL: &str = "eyJhbGciOiJQUzI1NiIsImtpZCI6Im9wZW5zc2wifQ.e30.\
    JUOYBfUAMNb5v5Bl_Eur6fD8uF_-8XIwx-lfF9xZEd21bH4GKM13QdYyAy0riEcMCGcXRstslTjutY_MTVmAcpVYDY0Lx1rpJWW8rHsqaqKprQb28C\
    KIzv3nJGgGQUQ1Gp-jjb_7wTfV9rOitQiwiKtOC1S_flKFoBXqZeVJz7_HSx1BR6-DiPBS36H2BwcYhaxJyuZPkoJsDwkuR31_RdnCaeEmFmntrbxz\
    6ZTYIl5u6gEAnFunjotMQQJNBdulxZPSqdW4-KFEr1bDNH8oiR9wSoMTTuZBReHc18oFPN9E5ziwuHxswIX2dh4-DDJr-R9-ScYDfmfHWvkxLr2flw";

const KEY_OF_OPENSSL: &str = "\
    1-LNU3aaGTe40Un0I1CUSvVHByonhjKhRv0mXGFGoMofmImEnO4eiNvfYrNyohjTBOkRvcSkOR3Toiu9XwcR27M0riaxDFzDJQFMZvYD-Gtj6WTg1E\
    AdxTlNUVrTd9pNsaVnaz-U-I-pxitTnWOijJl_gcleTSYpXmt7BN_fSRpNMg6ob39OSmeGkY7gKYmIlIBoM2gqSWsbaX-4nR3Us44f82pOau7cII4x\
    yHRRYFuHepuVMaP9gWWW5w-dMpwZjBba7hCJtZ7SkuCV41Q--B0-xKVSSw8pKtGt-6BbTnzhKgdY4RrZkuevXEeZ1PA9eE2cqVXIJ_Ack5cgB0ncsw";

fn token() -> Token {
    dcr_mint::client_assertion("client", "https://bank.example")
}

fn set(keys: &[&SigningKey]) -> Value {
    json!({ "keys": keys.iter().map(|key| key.public_jwk()).collect::<Vec<_>>() })
}

/// The token with this signature.
fn with_signature(token: &str, signature: &[u8]) -> String {
    let (input, _) = token.rsplit_once('.').unwrap();
    format!("{input}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
}

/// The token, signed by RSASSA-PSS with a salt of this length.
fn with_salt(key: &SigningKey, salt: usize) -> String {
    let token = token().sign(key).unwrap();
    let (input, _) = token.rsplit_once('.').unwrap();
    let signer = pss::SigningKey::<Sha256>::new_with_salt_len(private(key), salt);
    with_signature(&token, &signer.sign_with_rng(&mut UnwrapErr(SysRng), input.as_bytes()).to_vec())
}

/// The token, signed by PS384.
fn with_ps384(key: &SigningKey) -> String {
    let token = token().sign(key).unwrap();
    let (input, _) = token.rsplit_once('.').unwrap();
    let signer = pss::SigningKey::<Sha384>::new(private(key));
    with_signature(&token, &signer.sign_with_rng(&mut UnwrapErr(SysRng), input.as_bytes()).to_vec())
}

fn private(key: &SigningKey) -> rsa::PrivateKey {
    rsa::PrivateKey::from_pkcs8_pem(&key.to_pem()).unwrap()
}

/// What is said about a token that does not verify.
fn said(token: &str, set: &Value) -> String {
    let Verification { verifies, said } = verify(token, [set]);
    assert!(!verifies, "{said}");
    said
}

#[test]
fn a_signature_that_verifies_names_its_key() {
    let keys = [SigningKey::generate_ps256().unwrap(), SigningKey::generate_es256(), SigningKey::generate_eddsa()];
    let set = set(&keys.iter().collect::<Vec<_>>());
    for key in &keys {
        let expected = Verification { verifies: true, said: format!("verifies with the key {:?}", key.kid()) };
        assert_eq!(verify(&token().sign(key).unwrap(), [&set]), expected);
        assert_eq!(verify(&token().without_header("kid").sign(key).unwrap(), [&set]), expected);
    }
}

#[test]
fn the_scheme_of_a_signature_that_is_not_ps256_is_told() {
    let key = SigningKey::generate_ps256().unwrap().with_kid("one");
    let set = set(&[&key]);
    for (token, expected) in [
        (
            with_salt(&key, 222),
            "the signature is RSASSA-PSS with a salt of 222 octets, and PS256 wants a salt of 32 octets",
        ),
        (
            with_salt(&key, 0),
            "the signature is RSASSA-PSS with a salt of 0 octets, and PS256 wants a salt of 32 octets",
        ),
        (
            with_ps384(&key),
            "the signature is RSASSA-PSS with SHA-384, MGF1 with SHA-384 and a salt of 48 octets, and PS256 wants SHA-256, \
             MGF1 with SHA-256 and a salt of 32 octets",
        ),
        (
            token().header("alg", "PS256").sign_as(&key, Signing::Rs256).unwrap(),
            "the signature is RSASSA-PKCS1-v1_5 with SHA-256 (RS256), and PS256 wants RSASSA-PSS with SHA-256; the same key \
             can do both",
        ),
    ] {
        assert_eq!(said(&token, &set), format!("{expected} (it is from the key \"one\")"));
    }

    let of_openssl = json!({ "keys": [{ "kty": "RSA", "kid": "openssl", "n": KEY_OF_OPENSSL, "e": "AQAB" }] });
    let expected = "the signature is RSASSA-PSS with MGF1 with SHA-1, and PS256 wants MGF1 with SHA-256 (it is from the key \
                    \"openssl\")";
    assert_eq!(said(OF_OPENSSL, &of_openssl), expected);
}

#[test]
fn a_token_that_was_changed_is_told_from_one_of_another_key() {
    let (key, other) = (SigningKey::generate_ps256().unwrap().with_kid("one"), SigningKey::generate_ps256().unwrap());
    let another_text = |signed: &str| {
        let (_, signature) = signed.rsplit_once('.').unwrap();
        let changed = token().claim("sub", "other").sign(&key).unwrap();
        format!("{}.{signature}", changed.rsplit_once('.').unwrap().0)
    };
    let changed = "over another text: the JWT was changed after it was signed";
    let found = said(&another_text(&token().sign(&key).unwrap()), &set(&[&key]));
    assert_eq!(found, format!("the signature is from the key \"one\", but {changed}"));
    let found = said(&another_text(&with_salt(&key, 20)), &set(&[&key]));
    assert!(found.contains("a salt of 20 octets") && found.ends_with(changed), "{found}");
    let found = said(&another_text(&token().sign_as(&key, Signing::Rs256).unwrap()), &set(&[&key]));
    assert!(found.contains("RSASSA-PKCS1-v1_5, and") && found.ends_with(changed), "{found}");

    // The longest salt leaves no padding by which the key could be known.
    let nothing = "the signature is from another key, or the JWT was changed after it was signed";
    assert_eq!(said(&another_text(&with_salt(&key, 222)), &set(&[&key])), nothing);
    let foreign = token().header("kid", "one").sign(&other).unwrap();
    assert_eq!(said(&foreign, &set(&[&key])), nothing);
    let named = format!("the signature is from the key {:?}, and the header names the kid \"one\"", other.kid());
    assert_eq!(said(&foreign, &set(&[&key, &other])), named);
    let foreign = with_salt(&other, 222);
    assert_eq!(
        said(&foreign, &set(&[&key])),
        format!("no key for PS256 with the kid {:?} is among the keys", other.kid())
    );
}

#[test]
fn what_no_key_can_verify_is_told() {
    let (ps256, es256) = (SigningKey::generate_ps256().unwrap(), SigningKey::generate_es256());
    let keys = set(&[&ps256, &es256]);
    let der = [&[0x30, 0x45, 0x02, 0x20][..], &[1; 67]].concat();
    for (token, expected) in [
        (
            with_signature(&token().sign(&es256).unwrap(), &der),
            "this signature is DER, but ES256 in a JWS has the 64 octets",
        ),
        (with_signature(&token().sign(&ps256).unwrap(), &[1; 64]), "a signature with PS256 has 256 to 512 octets"),
        (token().sign_as(&ps256, Signing::Rs256).unwrap(), "its alg is \"RS256\", and only PS256, ES256 and EdDSA"),
        (token().unsigned(), "the JWS cannot be read: "),
        ("a.b".into(), "the JWS cannot be read: "),
    ] {
        let said = said(&token, &keys);
        assert!(said.starts_with(expected), "{said}");
    }
    let nameless = token().without_header("kid").sign(&ps256).unwrap();
    assert_eq!(said(&nameless, &set(&[&es256])), "no key for PS256 is among the keys");
    let steering = token().header("kid", "\u{1b}[2J").sign(&ps256).unwrap();
    assert!(!said(&steering, &set(&[&es256])).contains('\u{1b}'));
}
