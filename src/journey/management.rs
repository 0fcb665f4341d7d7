//! Authorisation to manage a registration. Only the client itself may do so, with a token that is bound to its certificate.

use dcr_policy::access_token::Introspection;
use dcr_policy::catalogue::{AT_01, AT_02, AT_03, AT_07, CM_01, CM_03, CM_04, CM_11, CM_15, GW_01, RG_01};
use dcr_policy::profile::ManagementToken;
use dcr_policy::token_request::ca_17_subject;
use dcr_policy::{Evaluation, Refusal, access_token};
use dcr_x509::Certificate;
use futures_util::future::join;

use super::{Gate, Request};
use crate::client_store::{Client, ClientStore, Record, StoreError};
use crate::host::Host;

/// A caller that may manage a registration.
pub(super) struct Authorised<'r> {
    pub(super) client: Client,
    /// The registration access token, if the caller sent one.
    pub(super) registration_access_token: Option<&'r str>,
}

/// The client whose registration the path names, if the caller is that client.
///
/// If the token belongs to another client, it is revoked at once. The answer does not say whether the registration in the path exists.
pub(super) async fn authorise<'r, H: Host, S: ClientStore>(
    gate: &Gate<H, S>,
    request: &'r Request,
    client_id: &str,
    evaluation: &Evaluation,
) -> Result<Authorised<'r>, Refusal> {
    let certificate = evaluation.require(&[&AT_03], at_03_certificate(request))?;
    let token = access_token::presented(request.gw_03_header("authorization")?, request.head.query.as_deref())?;

    let (introspection, client) = join(gate.store.introspect(token), gate.store.client(client_id)).await;
    let introspection = introspection.map_err(|_| Refusal::by(&GW_01))?;
    let client = gw_01_client(client)?;

    let kind = gate.config.settings.profile.registration.management_token;
    evaluation.require(&[&AT_01], access_token::at_01_active(&introspection))?;
    evaluation.require(&[&CM_01], access_token::cm_01_kind(&introspection, kind))?;
    if kind == ManagementToken::AccessToken {
        evaluation.require(&[&AT_02], access_token::at_02_bound(&introspection, certificate))?;
    }
    if let Err(refusal) = access_token::cm_03_cm_04_own(&introspection, client_id, client.is_some()) {
        if kind == ManagementToken::AccessToken || is_holders(gate, &introspection, certificate).await? {
            gate.store.revoke(token).await.map_err(|_| Refusal::by(&GW_01))?;
        }
        return evaluation.require(&[&CM_04, &CM_03], Err(refusal));
    }
    let client = client.ok_or_else(|| Refusal::by(&CM_03))?;
    evaluation.require(&[&CM_15], cm_15_certificate(gate, &client, certificate, evaluation))?;
    evaluation.require(&[&CM_11], cm_11_registered_subject(gate, &client, certificate))?;
    let scope = gate.config.settings.profile.access_token.management_scope.as_deref();
    evaluation.require(&[&AT_07], access_token::at_07_scope(&introspection, scope))?;
    let registration_access_token = (kind == ManagementToken::RegistrationAccessToken).then_some(token);
    Ok(Authorised { client, registration_access_token })
}

/// Whether the caller is the client of this registration access token. Such a token is not bound to a certificate, and the registration has
/// no other token. So an attacker who stole it must not be able to revoke it.
async fn is_holders<H: Host, S: ClientStore>(
    gate: &Gate<H, S>,
    token: &Introspection,
    certificate: &Certificate,
) -> Result<bool, Refusal> {
    let Some(client_id) = token.client_id.as_deref() else { return Ok(false) };
    let client = gw_01_client(gate.store.client(client_id).await)?;
    let aside = Evaluation::new(gate.config.settings.modes.clone());
    Ok(client.is_some_and(|client| cm_15_certificate(gate, &client, certificate, &aside).is_ok()))
}

/// The client in the store's answer. `None` if the store has no such client.
fn gw_01_client(answer: Result<Client, StoreError>) -> Result<Option<Client>, Refusal> {
    match answer {
        Ok(client) => Ok(Some(client)),
        Err(StoreError::UnknownClient) => Ok(None),
        Err(_) => Err(Refusal::by(&GW_01)),
    }
}

/// The transport certificate belongs to the client, and not only to the token (CM-15).
fn cm_15_certificate<H: Host, S: ClientStore>(
    gate: &Gate<H, S>,
    client: &Client,
    certificate: &Certificate,
    evaluation: &Evaluation,
) -> Result<(), Refusal> {
    let Record { issuer, binding, .. } = &client.record;
    if gate.is_certificate_of(issuer, binding, certificate, evaluation) { Ok(()) } else { Err(Refusal::by(&CM_15)) }
}

/// The certificate has the registered subject, if the profile demands that a client announces its next certificate over the registered one
/// (CM-11).
fn cm_11_registered_subject<H: Host, S: ClientStore>(
    gate: &Gate<H, S>,
    client: &Client,
    certificate: &Certificate,
) -> Result<(), Refusal> {
    let (metadata, rules) = (&client.record.metadata, &gate.config.settings.profile.client_metadata);
    let is_needed = rules.subject_changes_over_old_certificate;
    if is_needed && ca_17_subject(metadata, certificate, &rules.subject_dn_attributes).is_err() {
        return Err(Refusal::by(&CM_11));
    }
    Ok(())
}

/// A request with a token but without a certificate breaks AT-03, whose answer has a bearer challenge. A request without both breaks RG-01.
fn at_03_certificate(request: &Request) -> Result<&Certificate, Refusal> {
    request.rg_01_gw_05_certificate().map_err(|refusal| {
        let has_token = request.head.headers.iter().any(|(name, _)| name == "authorization");
        if refusal.rule == &RG_01 && has_token { Refusal::by(&AT_03) } else { refusal }
    })
}
