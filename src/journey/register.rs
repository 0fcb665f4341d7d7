//! Register (RFC 7591 section 3.1): POST a request with a software statement, receive a client.

use dcr_policy::catalogue::{MD_26, RG_01, RG_01_UNREADABLE, RG_02, RG_02_JSON, RG_13, RQ_04_REPLAY};
use dcr_policy::profile::ManagementToken;
use dcr_policy::{Evaluation, Refusal};

use super::registration::{Approved, Occasion, gw_01_gw_04_gw_06_md_26_refused_by_store, judge, rg_02_media_type};
use super::{Answer, Decision, Gate, Request};
use crate::client_store::ClientStore;
use crate::host::Host;

pub(super) async fn register<H: Host, S: ClientStore>(
    gate: &Gate<H, S>,
    request: &Request,
    evaluation: &Evaluation,
) -> Result<Decision, Refusal> {
    let approved = approve(gate, Occasion::Registration, request, evaluation).await?;

    let rules = &gate.config.settings.profile.registration;
    let with_token = rules.management_token == ManagementToken::RegistrationAccessToken;
    let single_uses = approved.rq_04_ss_08_single_uses(gate);
    let (origin, single) = (request.origin(), rules.single_registration);
    let created = gate.store.create(origin, approved.record, single_uses, single, with_token).await;
    let client =
        evaluation.require(&[&RQ_04_REPLAY, &MD_26], created.map_err(gw_01_gw_04_gw_06_md_26_refused_by_store))?;
    Ok(Decision::allow(Answer::registration(201, &client, &gate.config, client.registration_access_token.as_deref())))
}

/// Judges a registration that the upstream will make. The store is not called.
pub(super) async fn shadow<H: Host, S: ClientStore>(
    gate: &Gate<H, S>,
    occasion: Occasion,
    request: &Request,
    evaluation: &Evaluation,
) -> Result<(), Refusal> {
    approve(gate, occasion, request, evaluation).await.map(|_| ())
}

async fn approve<H: Host, S: ClientStore>(
    gate: &Gate<H, S>,
    occasion: Occasion,
    request: &Request,
    evaluation: &Evaluation,
) -> Result<Approved, Refusal> {
    evaluation.require(&[&RG_02, &RG_02_JSON], rg_02_media_type(gate, request))?;
    let certificate = evaluation.require(&[&RG_01, &RG_01_UNREADABLE], request.rg_01_gw_05_certificate())?;
    let body = evaluation.require(&[&RG_13], request.rg_13_gw_07_gw_08_body(&RG_13).await)?;
    judge(gate, occasion, certificate, Some(certificate), &body, evaluation).await
}
