//! Token (RFC 6749 section 4.4): the client authenticates in the one way it registered and receives a token bound to its certificate.

use std::cell::Cell;
use std::rc::Rc;

use dcr_policy::catalogue::{
    self, CA_01, CA_02, CA_03, CA_03_BASIC, CA_04, CA_12_REPLAY, CA_13, CA_13_ALG, CA_15, CA_15_CERTIFICATE, CA_16,
    CA_17, CA_19, CA_19_CERTIFICATE, CA_20, CA_20_CLIENT, CA_20_UNKNOWN, CA_21, GW_01, RG_01, RG_13_FORM,
};
use dcr_policy::client_assertion::{ClientAssertion, UnverifiedAssertion};
use dcr_policy::client_metadata::AuthMethod;
use dcr_policy::token_request::{
    Credential, TokenRequest, ca_03_registered_method, ca_17_subject, ca_20_registered_grant,
};
use dcr_policy::{Document, Evaluation, Refusal, Rule};
use dcr_x509::Certificate;

use super::{Answer, Gate, Request, signature};
use crate::host::Host;
use crate::jwks::Source;
use crate::store_client::{IssuedToken, SingleUse, StoreError, TokenClient};

const FORM: &str = "application/x-www-form-urlencoded";

pub(super) async fn token<H: Host>(
    gate: &Gate<H>,
    request: &Request,
    evaluation: &Evaluation,
) -> Result<Answer, Refusal> {
    let start = evaluation.length();
    let mut issued = issue(gate, request, judge(gate, request, evaluation).await?).await;
    if issued.as_ref().is_err_and(|error| *error == StoreError::VersionMismatch) {
        // The record was changed since it was read, and nothing was done by it.
        evaluation.truncate(start);
        issued = issue(gate, request, judge(gate, request, evaluation).await?).await;
    }
    Ok(Answer::token(&evaluation.require(&[&CA_12_REPLAY], issued.map_err(ca_12_ca_15_gw_01_refused_by_store))?))
}

/// Judges a token request that the upstream will answer. A gate that only watches made none of the clients, so one that the store does not
/// know says nothing about the request.
pub(super) async fn shadow<H: Host>(gate: &Gate<H>, request: &Request, evaluation: &Evaluation) -> Result<(), Refusal> {
    match judge(gate, request, evaluation).await {
        Err(refusal) if [&CA_15, &CA_15_CERTIFICATE, &CA_20_UNKNOWN].contains(&refusal.rule) => Ok(()),
        judged => judged.map(|_| ()),
    }
}

/// What a client may be given.
struct Grant {
    client: Rc<TokenClient>,
    scope: String,
    thumbprint: String,
    jti: Option<SingleUse>,
}

async fn issue<H: Host>(gate: &Gate<H>, request: &Request, grant: Grant) -> Result<IssuedToken, StoreError> {
    let lifetime = gate.config.settings.profile.access_token.lifetime.as_secs();
    let Grant { client, scope, thumbprint, jti } = grant;
    gate.store.issue_token(request.request_id(), &client, &scope, lifetime, &thumbprint, jti).await
}

/// Judges by the client's record at hand, and once more by the store's where that is another one by now: nobody is refused by an old record.
async fn judge<H: Host>(gate: &Gate<H>, request: &Request, evaluation: &Evaluation) -> Result<Grant, Refusal> {
    let (start, used) = (evaluation.length(), UsedRecord::default());
    let judged = judge_by_record(gate, request, &used, evaluation).await;
    match used.take() {
        Some(record) if judged.is_err() && gate.store.has_changed(&record).await => {
            evaluation.truncate(start);
            judge_by_record(gate, request, &used, evaluation).await
        }
        _ => judged,
    }
}

/// The record that was at hand, if one was.
type UsedRecord = Cell<Option<Rc<TokenClient>>>;

async fn judge_by_record<H: Host>(
    gate: &Gate<H>,
    request: &Request,
    used: &UsedRecord,
    evaluation: &Evaluation,
) -> Result<Grant, Refusal> {
    evaluation.require(&[&CA_01], ca_01_form(request))?;
    let certificate = evaluation.require(&[&RG_01], request.rg_01_certificate())?;
    let body = evaluation.require(&[&RG_13_FORM], request.rg_13_body(&RG_13_FORM).await)?;
    let form = evaluation.require(&[&CA_01], TokenRequest::ca_01_parse(&body))?;

    evaluation.require(&[&CA_20, &CA_20_UNKNOWN], form.ca_20_grant())?;
    let credential = form.ca_02_credential(request.gw_03_header("authorization")?.is_some());
    let (client, jti) = match evaluation.require(&[&CA_02, &CA_03_BASIC, &CA_04, &CA_16], credential)? {
        Credential::Assertion { token, client_id } => {
            by_assertion(gate, token, client_id, certificate, used, evaluation).await?
        }
        Credential::Certificate { client_id } => by_certificate(gate, client_id, certificate, used, evaluation).await?,
    };

    let metadata = &client.metadata;
    evaluation.require(&[&CA_20_CLIENT], ca_20_registered_grant(metadata))?;
    let universal = gate.config.settings.directory(&client.issuer).map(|directory| &directory.dialect.universal_scopes);
    let scope = form.ca_21_scope(metadata, universal.map_or(&[], Vec::as_slice));
    let scope = evaluation.require(&[&CA_21], scope)?;
    Ok(Grant { thumbprint: certificate.thumbprint().x5t_s256(), client, scope, jti })
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
    used: &UsedRecord,
    evaluation: &Evaluation,
) -> Result<(Rc<TokenClient>, Option<SingleUse>), Refusal> {
    let assertion = UnverifiedAssertion::open(token, client_id, &gate.config.settings, gate.host.now(), evaluation)?;
    let client = evaluation.require(&[&CA_15], ca_15_registered(gate, assertion.client_id(), &CA_15, used).await)?;
    evaluation.require(&[&CA_19], ca_19_certificate(gate, &client, certificate, &CA_19, evaluation))?;
    let metadata = &client.metadata;
    evaluation.require(&[&CA_03], ca_03_registered_method(metadata, AuthMethod::PrivateKeyJwt))?;
    let alg = assertion.ca_13_registered_algorithm(metadata.token_endpoint_auth_signing_alg.as_deref());
    evaluation.require(&[&CA_13_ALG], alg)?;

    let keys = Source::of_software(&gate.config, &client.issuer, &client.key_set_uri);
    let verified = signature::verify(gate, assertion.unverified(), keys, evaluation).await?;
    let directory = gate.config.settings.directory(&client.issuer).ok_or_else(|| refused(&CA_15))?;
    signature::ss_14_not_revoked(gate, &verified, directory, client.revoked_key_set_uri.as_deref(), evaluation).await?;
    let assertion = ClientAssertion::check(&verified, &gate.config.settings, gate.host.now(), evaluation)?;
    let single_use = SingleUse {
        issuer: format!("client assertion of {}", assertion.client_id()),
        jti: assertion.jti().to_owned(),
        expires_at: assertion.expires_at(),
        rule: &CA_12_REPLAY,
    };
    Ok((client, Some(single_use)))
}

/// `tls_client_auth`: the certificate's subject is the registered one (RFC 8705 section 2.1).
async fn by_certificate<H: Host>(
    gate: &Gate<H>,
    client_id: &str,
    certificate: &Certificate,
    used: &UsedRecord,
    evaluation: &Evaluation,
) -> Result<(Rc<TokenClient>, Option<SingleUse>), Refusal> {
    let unknown = &CA_15_CERTIFICATE;
    let client = evaluation.require(&[unknown], ca_15_registered(gate, client_id, unknown, used).await)?;
    let foreign = &CA_19_CERTIFICATE;
    evaluation.require(&[foreign], ca_19_certificate(gate, &client, certificate, foreign, evaluation))?;
    let metadata = &client.metadata;
    evaluation.require(&[&CA_03], ca_03_registered_method(metadata, AuthMethod::TlsClientAuth))?;
    let attributes = &gate.config.settings.profile.client_metadata.subject_dn_attributes;
    evaluation.require(&[&CA_17], ca_17_subject(metadata, certificate, attributes))?;
    Ok((client, None))
}

/// The transport certificate is the client's (CA-19). Checked before anything else about the client, so that nobody else learns whether
/// it exists (CA-15), or has keys tried for it.
fn ca_19_certificate<H: Host>(
    gate: &Gate<H>,
    client: &TokenClient,
    certificate: &Certificate,
    foreign: &'static Rule,
    evaluation: &Evaluation,
) -> Result<(), Refusal> {
    let is_own = gate.is_certificate_of(&client.issuer, &client.binding, certificate, evaluation);
    if is_own { Ok(()) } else { Err(refused(foreign)) }
}

/// The client of that id, if its directory is still trusted.
async fn ca_15_registered<H: Host>(
    gate: &Gate<H>,
    client_id: &str,
    unknown: &'static Rule,
    used: &UsedRecord,
) -> Result<Rc<TokenClient>, Refusal> {
    match gate.store.client_at_hand(client_id).await {
        Ok(found) if gate.config.settings.trusts(&found.client.issuer) => {
            used.set(found.is_from_cache.then(|| found.client.clone()));
            Ok(found.client)
        }
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

fn ca_12_ca_15_gw_01_refused_by_store(error: StoreError) -> Refusal {
    match error {
        StoreError::Replayed(rule) => Refusal::by(rule).claim("jti"),
        StoreError::UnknownClient => refused(&CA_15),
        _ => Refusal::by(&GW_01),
    }
}
