//! Judges a software statement and a registration request with any claims. Both are signed by trusted keys. The first line of the input is
//! the name of a profile, the second the claims of the statement, the rest those of the request, which gets the statement as a member.

#![no_main]

use dcr_fuzz::{
    DIRECTORY, NOW, SEQUENCE, certificate_with, der, evaluation, is_told, kept_all, keys, lines, settings, signed,
};
use dcr_json as json;
use dcr_policy::catalogue::{CB_06, JW_06};
use dcr_policy::certificate_binding::{Binding, cb_06_psd2_roles};
use dcr_policy::client_metadata::{AuthMethod, ClientMetadata};
use dcr_policy::profile::RequestBody;
use dcr_policy::registration_request::{RegistrationRequest, UnverifiedRequest};
use dcr_policy::settings::Settings;
use dcr_policy::software_statement::{SoftwareStatement, UnverifiedStatement};
use dcr_policy::{Evaluation, Refusal};
use dcr_store_protocol::bounds::{MAX_JTI, MAX_SOFTWARE, is_name};
use dcr_x509::Certificate;
use libfuzzer_sys::fuzz_target;
use serde_json::json;

fuzz_target!(|input: &[u8]| {
    let Some([profile, statement, request]) = lines(input) else { return };
    let Some(settings) = settings(profile) else { return };
    let request = with_statement(request, &signed(statement));
    let body = match settings.profile.registration.body {
        RequestBody::Jwt => signed(&request).into_bytes(),
        RequestBody::Json => request,
    };
    let evaluation = evaluation(&settings);
    match judge(&body, &settings, &evaluation) {
        Err(refusal) => is_told(&refusal, &evaluation),
        Ok((request, statement, metadata)) => {
            kept_all(&evaluation);
            is_within(&metadata, &statement, &settings);
            fits_the_store(&request, &statement);
        }
    }
});

/// The members of a request with one more. Other octets stay what they are.
fn with_statement(members: &[u8], statement: &str) -> Vec<u8> {
    match members.strip_prefix(b"{") {
        Some(rest) => {
            let member = format!(r#"{{"software_statement":"{statement}""#);
            let comma: &[u8] = if rest.starts_with(b"}") { b"" } else { b"," };
            [member.as_bytes(), comma, rest].concat()
        }
        None => members.to_vec(),
    }
}

type Approved = (RegistrationRequest, SoftwareStatement, ClientMetadata);

/// The checks of a registration in their order, without what needs a host.
fn judge(body: &[u8], settings: &Settings, evaluation: &Evaluation) -> Result<Approved, Refusal> {
    let certificate = Certificate::from_der(&certificate_with(&subject(settings))).unwrap();
    let (keys, skew) = (keys(), settings.profile.clock_skew.as_secs());
    let request = UnverifiedRequest::open(body, settings, NOW, evaluation)?;
    let statement = request.ss_01_statement(settings, evaluation)?;
    let (statement, directory) = UnverifiedStatement::open(statement, settings, evaluation)?;
    statement.ss_05_ss_06_early(directory, NOW, evaluation)?;
    let statement = statement.unverified().verify(keys, || ()).unwrap();
    let statement = SoftwareStatement::check(statement, directory, skew, NOW, evaluation)?;
    let request = match request {
        UnverifiedRequest::Signed(request) => {
            let verified = request.verify(keys, || ()).unwrap();
            RegistrationRequest::check(verified, request.digest(), &statement, settings, NOW, evaluation)?
        }
        UnverifiedRequest::Unsigned(claims) => RegistrationRequest::unsigned(claims),
    };
    let (claims, dialect) = (request.claims(), &directory.dialect);
    let metadata = ClientMetadata::check(claims, &statement, dialect, Some(&certificate), settings, evaluation)?;
    Binding::of(&statement).check(&certificate, directory, NOW, evaluation)?;
    evaluation.check(&[&CB_06], cb_06_psd2_roles(&certificate, statement.roles(), dialect))?;
    evaluation.check(&[&JW_06], request.jw_06_lifetime(settings, NOW))?;
    Ok((request, statement, metadata))
}

/// The ids of the seeds: `CN=software,OU=organisation`, or in Brazil
/// `organizationIdentifier=OFBBR-organisation,UID=software`.
fn subject(settings: &Settings) -> Vec<u8> {
    const USER_ID: [u8; 10] = [0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 1];
    const SET: u8 = 0x31;
    const UTF8_STRING: u8 = 0x0c;
    let rdn = |oid: &[u8], value: &str| {
        let attribute = [der(6, oid), der(UTF8_STRING, value.as_bytes())].concat();
        der(SET, &der(SEQUENCE, &attribute))
    };
    let rdns = match settings.profile.registration.body {
        RequestBody::Jwt => [rdn(&[0x55, 4, 11], "organisation"), rdn(&[0x55, 4, 3], "software")],
        RequestBody::Json => [rdn(&USER_ID, "software"), rdn(&[0x55, 4, 97], "OFBBR-organisation")],
    };
    der(SEQUENCE, &rdns.concat())
}

/// The registered metadata asks for no more than the statement and the profile allow, and it can be kept.
fn is_within(metadata: &ClientMetadata, statement: &SoftwareStatement, settings: &Settings) {
    let rules = &settings.profile.client_metadata;
    assert!(!metadata.redirect_uris.is_empty());
    for uri in &metadata.redirect_uris {
        assert!(uri.starts_with("https://") && uri.len() <= rules.redirect_uri_max_chars * 4, "{uri:?}");
        assert!(rules.danger_redirect_uris_beyond_statement || statement.redirect_uris().contains(uri), "{uri:?}");
    }
    assert!(metadata.grant_types.iter().all(|grant| rules.grant_types.contains(grant)));
    assert!(metadata.response_types.iter().all(|kind| rules.response_types.contains(kind)));
    assert!(metadata.tls_client_certificate_bound_access_tokens);
    assert_eq!(metadata.software_id, statement.software_id());
    let names_subject = metadata.certificate_subject().is_some();
    assert_eq!(metadata.token_endpoint_auth_method == AuthMethod::TlsClientAuth, names_subject);
    assert_eq!(json::read::<ClientMetadata>(&json!(metadata)).unwrap(), *metadata);
}

/// The store takes what the policy accepts.
fn fits_the_store(request: &RegistrationRequest, statement: &SoftwareStatement) {
    assert_eq!(statement.issuer(), DIRECTORY);
    assert!(is_name(statement.software_id(), MAX_SOFTWARE));
    for id in request.single_use().into_iter().chain(statement.single_use()) {
        assert!(is_name(&id.jti, MAX_JTI) && id.expires_at > NOW, "{id:?}");
    }
}
