//! The subject of a third party's certificate as this server writes it. The third party can register exactly this text.

use dcr_policy::Refusal;
use serde_json::json;

use super::{Answer, Decision, Gate, Request};
use crate::client_store::ClientStore;
use crate::host::Host;

pub(super) fn distinguished_name<H: Host, S: ClientStore>(
    gate: &Gate<H, S>,
    request: &Request,
) -> Result<Decision, Refusal> {
    let subject = request.rg_01_gw_05_certificate()?.subject().to_string();
    let member = gate.config.settings.profile.client_metadata.subject_dn_member().name();
    Ok(Decision::allow(Answer::json(200, &json!({ member: subject }))))
}
