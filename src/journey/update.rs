//! Update (RFC 7592 section 2.2): PUT a whole new request. Values that it leaves out are removed. Tokens stay valid (CM-10).

use dcr_policy::catalogue::{CM_08, CM_09, RG_02, RG_02_JSON, RG_13, RQ_04_REPLAY, RQ_07};
use dcr_policy::client_metadata::SERVER_MEMBERS;
use dcr_policy::jwt::Claims;
use dcr_policy::{Evaluation, Refusal};

use super::management::{Authorised, authorise};
use super::registration::{Approved, Occasion, gw_01_gw_04_gw_06_md_26_refused_by_store, judge, rg_02_media_type};
use super::{Answer, Decision, Gate, Request};
use crate::client_store::{Client, ClientStore, Record};
use crate::host::Host;

pub(super) async fn update<H: Host, S: ClientStore>(
    gate: &Gate<H, S>,
    request: &Request,
    client_id: &str,
    evaluation: &Evaluation,
) -> Result<Decision, Refusal> {
    evaluation.require(&[&RG_02, &RG_02_JSON], rg_02_media_type(gate, request))?;
    let Authorised { client, registration_access_token } = authorise(gate, request, client_id, evaluation).await?;
    let certificate = request.rg_01_gw_05_certificate()?;
    let body = evaluation.require(&[&RG_13], request.rg_13_gw_07_gw_08_body(&RG_13).await)?;

    // A client announces its next certificate over the registered one, so the request may name the subject of another certificate (CM-11).
    let may_announce = gate.config.settings.profile.client_metadata.subject_changes_over_old_certificate;
    let subject = (!may_announce).then_some(certificate);
    let approved = judge(gate, Occasion::Update, certificate, subject, &body, evaluation).await?;
    of_the_same_registration(gate, &approved, &client, evaluation)?;

    let single_uses = approved.rq_04_ss_08_single_uses(gate);
    let replaced = gate.store.replace(&client, approved.record, single_uses).await;
    let replaced = evaluation.require(&[&RQ_04_REPLAY], replaced.map_err(gw_01_gw_04_gw_06_md_26_refused_by_store))?;
    Ok(Decision::allow(Answer::registration(200, &replaced, &gate.config, registration_access_token)))
}

fn of_the_same_registration<H: Host, S: ClientStore>(
    gate: &Gate<H, S>,
    approved: &Approved,
    client: &Client,
    evaluation: &Evaluation,
) -> Result<(), Refusal> {
    let claims = approved.request.claims();
    evaluation.check(&[&RQ_07], rq_07_client_id(claims, client))?;
    let ignored = &gate.config.settings.profile.registration.ignored_in_updates;
    evaluation.check(&[&CM_09], cm_09_server_members(claims, ignored))?;
    evaluation.require(&[&CM_08], cm_08_software(&approved.record, &client.record))
}

fn rq_07_client_id(claims: &Claims, client: &Client) -> Result<(), Refusal> {
    match claims.get("client_id") {
        Some(client_id) if client_id.as_str() != Some(&client.client_id) => Err(claims.refuse(&RQ_07, "client_id")),
        _ => Ok(()),
    }
}

fn cm_09_server_members(claims: &Claims, ignored: &[String]) -> Result<(), Refusal> {
    let sent = SERVER_MEMBERS.into_iter().filter(|member| !matches!(*member, "client_id" | "client_secret"));
    let is_sent =
        |member: &&str| claims.members().contains_key(*member) && !ignored.iter().any(|known| known == member);
    match sent.into_iter().find(is_sent) {
        Some(member) => Err(claims.refuse(&CM_09, member)),
        None => Ok(()),
    }
}

fn cm_08_software(new: &Record, old: &Record) -> Result<(), Refusal> {
    let identity = |record: &Record| {
        (record.issuer.clone(), record.binding.software_id.clone(), record.binding.organisation_id.clone())
    };
    if identity(new) == identity(old) { Ok(()) } else { Err(Refusal::by(&CM_08).claim("software_statement")) }
}
