//! Delete (RFC 7592 section 2.3): the registration and its tokens are deleted together.

use dcr_policy::{Evaluation, Refusal};

use super::management::authorise;
use super::registration::gw_01_gw_04_gw_06_md_26_refused_by_store;
use super::{Answer, Decision, Gate, Request};
use crate::client_store::ClientStore;
use crate::host::Host;

pub(super) async fn delete<H: Host, S: ClientStore>(
    gate: &Gate<H, S>,
    request: &Request,
    client_id: &str,
    evaluation: &Evaluation,
) -> Result<Decision, Refusal> {
    let authorised = authorise(gate, request, client_id, evaluation).await?;
    gate.store.delete(&authorised.client.client_id).await.map_err(gw_01_gw_04_gw_06_md_26_refused_by_store)?;
    Ok(Decision::allow(Answer::no_content()))
}
