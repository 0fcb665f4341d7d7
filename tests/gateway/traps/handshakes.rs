//! Keys and signatures of client certificates: those that the handshake asks for, and the others. `docs/certificates.md` describes what is
//! tried here. openssl makes the certificates and curl presents them, because rustls has not all of these kinds.

use std::path::Path;

use dcr_dev::Gateway;
use serde_json::json;
use tokio::process::Command;

use super::doors::{SHIPPED, ports};
use super::{REGISTRATION, run};
use crate::clients::has_curl_with_openssl;

/// A listener that accepts more kinds of keys.
const MORE_ALGORITHMS: &str = "more_algorithms";

/// What the gateway says to a registration that is no JWS: without a certificate it does not look at it.
const NO_CERTIFICATE: &str = "(rule RG-01)";
const CERTIFICATE: &str = "(rule JO-01)";

/// OpenSSL presents weak keys only if it is told so.
const WEAK: &str = "openssl_conf = openssl\n[openssl]\nssl_conf = ssl\n[ssl]\nsystem_default = default\n[default]\n\
                    CipherString = DEFAULT@SECLEVEL=0\n";

#[test]
fn which_keys_arrive() {
    if !has_curl_with_openssl() {
        return;
    }
    run(async {
        let builder = crate::gateway().workers(1).envoy(|envoy| {
            let mut listener = envoy.listener(SHIPPED)?.clone();
            listener["name"] = MORE_ALGORITHMS.into();
            listener["address"]["socket_address"]["port_value"] = 0.into();
            let tls = &mut listener["filter_chains"][0]["transport_socket"]["typed_config"]["common_tls_context"];
            tls["tls_params"]["signature_algorithms"] = json!([
                "ecdsa_secp256r1_sha256",
                "rsa_pss_rsae_sha256",
                "rsa_pkcs1_sha256",
                "ecdsa_secp384r1_sha384",
                "rsa_pss_rsae_sha384",
                "rsa_pss_rsae_sha512",
                "ecdsa_secp521r1_sha512",
                "ed25519",
            ]);
            envoy.document["static_resources"]["listeners"].as_array_mut().unwrap().push(listener);
            Ok(())
        });
        let gateway = builder.start().await.unwrap();
        let ports = ports(&gateway).await;
        let folder = gateway.folder();
        std::fs::write(folder.join("weak.cnf"), WEAK).unwrap();

        let curve = |name| ["-algorithm", "EC", "-pkeyopt", name];
        let (p256, p384, p521) =
            (curve("ec_paramgen_curve:P-256"), curve("ec_paramgen_curve:P-384"), curve("ec_paramgen_curve:P-521"));
        let rsa = |bits| ["-algorithm", "RSA", "-pkeyopt", bits];
        let (rsa_2048, rsa_1024, rsa_512) =
            (rsa("rsa_keygen_bits:2048"), rsa("rsa_keygen_bits:1024"), rsa("rsa_keygen_bits:512"));
        let rsa_pss = ["-algorithm", "RSA-PSS", "-pkeyopt", "rsa_keygen_bits:2048"];
        for (name, key, digest) in [
            ("p256", &p256[..], "-sha256"),
            ("p384", &p384, "-sha256"),
            ("p521", &p521, "-sha256"),
            ("rsa_2048", &rsa_2048, "-sha256"),
            ("rsa_1024", &rsa_1024, "-sha256"),
            ("rsa_512", &rsa_512, "-sha256"),
            ("rsa_pss", &rsa_pss, "-sha256"),
            ("ed25519", &["-algorithm", "ED25519"], "-sha256"),
            ("sha1", &p256, "-sha1"),
        ] {
            issue(folder, name, key, digest).await;
        }

        let mut without = 0;
        for (name, listener, version, expected) in [
            ("p256", SHIPPED, "1.3", CERTIFICATE),
            ("p384", SHIPPED, "1.3", CERTIFICATE),
            ("rsa_2048", SHIPPED, "1.3", CERTIFICATE),
            ("p256", SHIPPED, "1.2", CERTIFICATE),
            ("p384", SHIPPED, "1.2", CERTIFICATE),
            ("rsa_2048", SHIPPED, "1.2", CERTIFICATE),
            ("p521", SHIPPED, "1.3", NO_CERTIFICATE),
            ("p521", SHIPPED, "1.2", CERTIFICATE),
            ("ed25519", SHIPPED, "1.3", NO_CERTIFICATE),
            ("ed25519", SHIPPED, "1.2", NO_CERTIFICATE),
            ("rsa_pss", SHIPPED, "1.3", NO_CERTIFICATE),
            ("rsa_pss", SHIPPED, "1.2", NO_CERTIFICATE),
            // What Envoy does not refuse.
            ("rsa_1024", SHIPPED, "1.3", CERTIFICATE),
            ("rsa_512", SHIPPED, "1.3", NO_CERTIFICATE),
            ("rsa_512", SHIPPED, "1.2", CERTIFICATE),
            ("sha1", SHIPPED, "1.3", CERTIFICATE),
            // `signature_algorithms`.
            ("p256", MORE_ALGORITHMS, "1.3", CERTIFICATE),
            ("rsa_2048", MORE_ALGORITHMS, "1.3", CERTIFICATE),
            ("p521", MORE_ALGORITHMS, "1.3", CERTIFICATE),
            ("ed25519", MORE_ALGORITHMS, "1.3", CERTIFICATE),
            ("rsa_pss", MORE_ALGORITHMS, "1.3", NO_CERTIFICATE),
        ] {
            let answer = present(&gateway, ports[listener], name, version).await;
            assert!(answer.contains(expected), "{name} over TLS {version} to {listener}: {answer}");
            without += u64::from(expected == NO_CERTIFICATE);
        }
        let counted = gateway.stats("^listener.*ssl.no_certificate$").await.unwrap();
        assert_eq!(counted.into_values().sum::<u64>(), without);
    });
}

/// Makes a key, and lets the authority of third parties certify it.
async fn issue(folder: &Path, name: &str, key: &[&str], digest: &str) {
    let (key_file, request) = (format!("{name}.key"), format!("{name}.csr"));
    std::fs::write(folder.join("client.ext"), "keyUsage=digitalSignature\nextendedKeyUsage=clientAuth\n").unwrap();
    let made = [&["genpkey", "-out", &key_file][..], key].concat();
    output(Command::new("openssl").args(made).current_dir(folder)).await;
    let asked = ["req", "-new", "-subj", "/CN=SoftwareId0000000000AB", "-key", &key_file, "-out", &request];
    output(Command::new("openssl").args(asked).current_dir(folder)).await;
    let certificate = format!("{name}.pem");
    let issued = ["x509", "-req", "-in", &request, "-out", &certificate, "-days", "2", digest];
    let by = ["-CA", "tpp-ca.pem", "-CAkey", "tpp-ca.key", "-CAcreateserial", "-extfile", "client.ext"];
    output(Command::new("openssl").args(issued).args(by).current_dir(folder)).await;
}

/// The answer to a registration that is no JWS, over a connection with this certificate.
async fn present(gateway: &Gateway, port: u16, name: &str, version: &str) -> String {
    let (key, certificate) = (format!("{name}.key"), format!("{name}.pem"));
    let mut curl = Command::new("curl");
    // Over HTTP/2 this curl may lose an answer that comes before the end of its request.
    curl.args(["--http1.1", "--silent", "--show-error", "--cacert", "ca.pem", "--cert", &certificate, "--key", &key]);
    curl.args(["--tls-max", version, "--header", "content-type: application/jwt", "--data", "this is no JWS"]);
    curl.arg(format!("https://localhost:{port}{REGISTRATION}"));
    output(curl.env("OPENSSL_CONF", "weak.cnf").env("no_proxy", "localhost").current_dir(gateway.folder())).await
}

/// What a program writes, if it succeeds.
async fn output(command: &mut Command) -> String {
    let output = command.kill_on_drop(true).output().await.unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
