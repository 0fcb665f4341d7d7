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
    /// The host answered, but not with a key set. That lasts until its publisher mends it.
    pub(super) is_lasting: bool,
    /// The status of the answer, if there was one.
    pub(super) status: Option<u16>,
}

impl Failure {
    pub(super) fn new(problem: &'static str) -> Self {
        Self { problem, is_withdrawn: false, is_lasting: false, status: None }
    }

    /// The host answered 200 with something that is not a key set.
    pub(super) fn not_a_key_set(problem: &'static str) -> Self {
        Self { is_lasting: true, status: Some(200), ..Self::new(problem) }
    }
}

/// Fetches the document. The caller checks whether it is a key set.
pub(super) async fn fetch<H: Host>(host: &H, config: &JwksConfig, source: &Source) -> Result<Vec<u8>, Failure> {
    let call = Call {
        cluster: source.cluster.clone(),
        method: "GET",
        authority: source.authority.clone(),
        path: source.path.clone(),
        // A compressed set would be refused as broken JSON.
        headers: vec![
            ("accept", "application/jwk-set+json, application/json".to_owned()),
            ("accept-encoding", "identity".to_owned()),
        ],
        body: Vec::new(),
        timeout: config.timeout,
    };
    let response = host.call(call).await.map_err(|error| Failure::new(error.problem()))?;
    let status = response.status;
    let failure = |problem| Failure { status, ..Failure::new(problem) };
    if let Some(problem) = response.no_answer() {
        return Err(failure(problem));
    }
    match status {
        Some(200) => {}
        Some(404 | 410) => {
            return Err(Failure { is_withdrawn: true, ..failure("its host says that it does not exist") });
        }
        Some(300..=399) => return Err(failure("its host sends to another place, and redirects are not followed")),
        _ => return Err(failure("its host answered with another status than 200")),
    }
    // No standard demands a media type of a key set. The content decides, unless the operator demands one.
    let media_type = response.media_type();
    let is_demanded = |demanded: &String| media_type.as_ref() == Some(demanded);
    if !config.media_types.is_empty() && !config.media_types.iter().any(is_demanded) {
        return Err(Failure::not_a_key_set("its content-type is not one of jwks.media_types"));
    }
    Ok(response.body)
}
