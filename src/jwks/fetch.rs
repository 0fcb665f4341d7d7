//! One fetch of a key set, and the checks on the HTTP response.

use super::Source;
use crate::config::JwksConfig;
use crate::host::{Call, Host};

/// Why a fetch brought no key set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Failure {
    /// Fixed text of this program, without any input.
    pub(super) problem: &'static str,
    /// The host answered that the set is gone. The kept set must not be used any longer.
    pub(super) is_withdrawn: bool,
}

impl Failure {
    pub(super) fn new(problem: &'static str) -> Self {
        Self { problem, is_withdrawn: false }
    }
}

/// Fetches the document. The caller checks whether it is a key set.
pub(super) async fn fetch<H: Host>(host: &H, config: &JwksConfig, source: &Source) -> Result<Vec<u8>, Failure> {
    let call = Call {
        cluster: source.cluster.clone(),
        method: "GET",
        authority: source.authority.clone(),
        path: source.path.clone(),
        headers: vec![("accept", "application/jwk-set+json, application/json".to_owned())],
        body: Vec::new(),
        timeout: config.timeout,
    };
    let response = host.call(call).await.map_err(|_| Failure::new("the call could not be sent: check the cluster"))?;
    match response.status {
        Some(200) => {}
        Some(404 | 410) => return Err(Failure { problem: "its host says that it does not exist", is_withdrawn: true }),
        Some(503 | 504) => {
            return Err(Failure::new("its host refused the connection or did not answer in time"));
        }
        _ => return Err(Failure::new("its host answered with another status than 200")),
    }
    if !matches!(response.media_type().as_deref(), Some("application/json" | "application/jwk-set+json")) {
        return Err(Failure::new("its content-type is neither application/jwk-set+json nor application/json"));
    }
    Ok(response.body)
}
