//! Delete (RFC 7592 section 2.3): the registration and its tokens end together.

use dcr_policy::{Evaluation, Refusal};

use super::management::authorise;
use super::registration::gw_01_gw_04_md_26_refused_by_store;
use super::{Answer, Gate, Request};
use crate::host::Host;

pub(super) async fn delete<H: Host>(
    gate: &Gate<H>,
    request: &Request,
    client_id: &str,
    evaluation: &Evaluation,
) -> Result<Answer, Refusal> {
    let authorised = authorise(gate, request, client_id, evaluation).await?;
    gate.store.delete(&authorised.client.client_id).await.map_err(gw_01_gw_04_md_26_refused_by_store)?;
    Ok(Answer::no_content())
}
