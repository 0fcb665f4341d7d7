//! Register (RFC 7591 section 3.1): POST a signed request, receive a client.

use super::registration::{judge, refused_by_store, rg_02_media_type};
use super::{Answer, Gate, Request};
use crate::host::Host;
use crate::policy::Refusal;
use crate::policy::catalogue::RG_13;

pub(super) async fn register<H: Host>(gate: &Gate<H>, request: &Request) -> Result<Answer, Refusal> {
    rg_02_media_type(gate, request)?;
    let certificate = request.rg_01_certificate()?;
    let body = request.rg_13_body(&RG_13).await?;

    let approved = judge(gate, certificate, Some(certificate), &body).await?;

    let single_registration = gate.config.profile.registration.single_registration;
    let created = gate.store.create(&approved.record, approved.single_use(gate), single_registration).await;
    let client = created.map_err(refused_by_store)?;
    Ok(Answer::registration(201, &client, &gate.config.profile))
}
