//! Token (RFC 6749 section 4.4): the client authenticates in the one way it registered and receives a token bound to its certificate.

use super::{Answer, Gate, Request, signature};
use crate::host::Host;
use crate::jwks::Source;
use crate::policy::catalogue::{
    self, CA_01, CA_12_REPLAY, CA_13, CA_15, CA_15_CERTIFICATE, CA_19, CA_19_CERTIFICATE, GW_01, RG_13_FORM,
};
use crate::policy::client_assertion::{ClientAssertion, UnverifiedAssertion};
use crate::policy::client_metadata::AuthMethod;
use crate::policy::token_request::{
    Credential, TokenRequest, ca_03_registered_method, ca_17_subject, ca_20_registered_grant,
};
use crate::policy::{Document, Refusal, Rule};
use crate::store::{Client, SingleUse, StoreError};
use crate::x509::Certificate;

const FORM: &str = "application/x-www-form-urlencoded";

pub(super) async fn token<H: Host>(gate: &Gate<H>, request: &Request) -> Result<Answer, Refusal> {
    ca_01_form(request)?;
    let certificate = request.rg_01_certificate()?;
    let form = TokenRequest::ca_01_parse(&request.rg_13_body(&RG_13_FORM).await?)?;

    form.ca_20_grant()?;
    let (client, jti) = match form.ca_02_credential(request.header("authorization")?.is_some())? {
        Credential::Assertion { token, client_id } => by_assertion(gate, token, client_id, certificate).await?,
        Credential::Certificate { client_id } => by_certificate(gate, client_id, certificate).await?,
    };

    let metadata = &client.record.metadata;
    ca_20_registered_grant(metadata)?;
    let scope = form.ca_21_scope(metadata, &gate.config.profile.client_metadata.universal_scopes)?;

    let lifetime = gate.config.profile.access_token.lifetime.as_secs();
    let thumbprint = certificate.thumbprint().x5t_s256();
    let issued = gate.store.issue_token(&client.client_id, &scope, lifetime, &thumbprint, jti).await;
    Ok(Answer::token(&issued.map_err(refused_by_store)?))
}

/// Whether this is a well-formed token request, over a certificate, for a grant other than ours. Whatever else is wrong with it is for
/// [`token`] to say.
pub(super) async fn asks_for_another_grant(request: &Request) -> bool {
    let admitted = ca_01_form(request).is_ok() && request.rg_01_certificate().is_ok();
    let body = request.rg_13_body(&RG_13_FORM).await;
    let form = body.and_then(|body| TokenRequest::ca_01_parse(&body));
    admitted && form.is_ok_and(|form| form.names_another_grant())
}

/// `private_key_jwt`: algorithm, claims, client, signature (OpenID Connect Core section 9).
async fn by_assertion<H: Host>(
    gate: &Gate<H>,
    token: &str,
    client_id: Option<&str>,
    certificate: &Certificate,
) -> Result<(Client, Option<SingleUse>), Refusal> {
    let assertion = UnverifiedAssertion::open(token, client_id, &gate.config, gate.host.now())?;
    let client = registered(gate, assertion.client_id(), &CA_15).await?;
    ca_19_certificate(gate, &client, certificate, &CA_19)?;
    ca_03_registered_method(&client.record.metadata, AuthMethod::PrivateKeyJwt)?;
    assertion.ca_13_registered_algorithm(client.record.metadata.token_endpoint_auth_signing_alg.as_deref())?;

    let keys = Source::of_software(&gate.config, &client.record.issuer, &client.record.key_set_uri);
    let verified = signature::verify(gate, assertion.unverified(), keys).await?;
    let assertion = ClientAssertion::check(&verified, &gate.config, gate.host.now())?;
    let single_use = SingleUse {
        issuer: format!("client assertion of {}", assertion.client_id()),
        jti: assertion.jti().to_owned(),
        expires_at: assertion.expires_at(),
    };
    Ok((client, Some(single_use)))
}

/// `tls_client_auth`: the certificate's subject is the registered one (RFC 8705 section 2.1).
async fn by_certificate<H: Host>(
    gate: &Gate<H>,
    client_id: &str,
    certificate: &Certificate,
) -> Result<(Client, Option<SingleUse>), Refusal> {
    let client = registered(gate, client_id, &CA_15_CERTIFICATE).await?;
    ca_19_certificate(gate, &client, certificate, &CA_19_CERTIFICATE)?;
    ca_03_registered_method(&client.record.metadata, AuthMethod::TlsClientAuth)?;
    ca_17_subject(&client.record.metadata, certificate)?;
    Ok((client, None))
}

/// The transport certificate is the client's (CA-19). Checked before anything else about the client, so that nobody else learns whether
/// it exists (CA-15), or has keys tried for it.
fn ca_19_certificate<H: Host>(
    gate: &Gate<H>,
    client: &Client,
    certificate: &Certificate,
    foreign: &'static Rule,
) -> Result<(), Refusal> {
    let kind = gate.config.profile.certificate_binding;
    client.record.binding.check(certificate, kind, gate.host.now()).map_err(|_| refused(foreign))
}

/// The client of that id, if its directory is still trusted.
async fn registered<H: Host>(gate: &Gate<H>, client_id: &str, unknown: &'static Rule) -> Result<Client, Refusal> {
    match gate.store.client(client_id).await {
        Ok(client) if gate.config.trusts(&client.record.issuer) => Ok(client),
        Ok(_) | Err(StoreError::UnknownClient) => Err(refused(unknown)),
        Err(_) => Err(Refusal::by(&GW_01)),
    }
}

/// Rules that hide behind one about the assertion are answered as that one is.
fn refused(rule: &'static Rule) -> Refusal {
    match rule.answer {
        catalogue::Answer::SameAs(shown) if shown == &CA_13 => Refusal::by(rule).in_document(Document::ClientAssertion),
        _ => Refusal::by(rule),
    }
}

fn ca_01_form(request: &Request) -> Result<(), Refusal> {
    match request.media_type()? {
        Some(media_type) if media_type == FORM => Ok(()),
        _ => Err(Refusal::by(&CA_01).claim("content-type")),
    }
}

fn refused_by_store(error: StoreError) -> Refusal {
    match error {
        StoreError::Replayed => Refusal::by(&CA_12_REPLAY).claim("jti"),
        StoreError::UnknownClient => refused(&CA_15),
        _ => Refusal::by(&GW_01),
    }
}
