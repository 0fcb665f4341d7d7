//! A request in the form that a journey uses.

use std::rc::Rc;

use dcr_policy::catalogue::{GW_03, RG_01, RG_15};
use dcr_policy::profile::{InteractionId, Profile};
use dcr_policy::{Refusal, Rule};
use dcr_x509::Certificate;

use super::body::Body;
use crate::host::{media_type, request_id};

/// The part of a request that arrives before the body.
#[derive(Debug, Default)]
pub struct Head {
    /// `:method`.
    pub method: String,
    /// `:path` before the question mark, unchanged.
    pub path: String,
    /// `:path` after the question mark.
    pub query: Option<String>,
    /// The headers. Names are in lower case. A repeated header is in the list as often as it was sent.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The transport certificate, if one was presented and could be read.
    pub certificate: Option<Rc<Certificate>>,
}

/// One request.
#[derive(Debug)]
pub struct Request {
    /// The part before the body.
    pub head: Head,
    /// The body. It may arrive later.
    pub body: Body,
}

impl Request {
    /// A header that must not be repeated (GW-03).
    ///
    /// # Errors
    /// GW-03 if it is repeated, because another server could use another one of its values.
    pub fn gw_03_header(&self, name: &'static str) -> Result<Option<&[u8]>, Refusal> {
        let mut values = self.head.headers.iter().filter(|(header, _)| header == name);
        match (values.next(), values.next()) {
            (_, Some(_)) => Err(Refusal::by(&GW_03).claim(name)),
            (first, None) => Ok(first.map(|(_, value)| value.as_slice())),
        }
    }

    /// The media type of the body, without parameters. `None` if it is missing or malformed.
    ///
    /// # Errors
    /// GW-03 if the header is repeated.
    pub fn media_type(&self) -> Result<Option<String>, Refusal> {
        Ok(self.gw_03_header("content-type")?.and_then(media_type))
    }

    /// The transport certificate (RG-01).
    ///
    /// # Errors
    /// RG-01 if there is no certificate.
    pub fn rg_01_certificate(&self) -> Result<&Certificate, Refusal> {
        self.head.certificate.as_deref().ok_or_else(|| Refusal::by(&RG_01))
    }

    /// `x-fapi-interaction-id`. `None` unless it has the form of a UUID (RFC 9562 section 4).
    pub fn interaction_id(&self) -> Option<&str> {
        let value = self.gw_03_header("x-fapi-interaction-id").ok().flatten()?;
        let dash_or_hex = |(i, b): (usize, &u8)| match i {
            8 | 13 | 18 | 23 => *b == b'-',
            _ => b.is_ascii_hexdigit(),
        };
        let is_uuid = value.len() == 36 && value.iter().enumerate().all(dash_or_hex);
        std::str::from_utf8(value).ok().filter(|_| is_uuid)
    }

    /// `x-request-id`. `None` if its value must not be passed on.
    pub fn request_id(&self) -> Option<&str> {
        self.gw_03_header("x-request-id").ok().flatten().and_then(request_id)
    }

    /// The request has an interaction id, if the ecosystem requires one (RG-15).
    ///
    /// # Errors
    /// RG-15.
    pub fn rg_15_interaction_id(&self, profile: &Profile) -> Result<(), Refusal> {
        if profile.answers.interaction_id == InteractionId::Require && self.interaction_id().is_none() {
            return Err(Refusal::by(&RG_15).claim("x-fapi-interaction-id"));
        }
        Ok(())
    }

    /// Waits for the body and checks its length (RG-13).
    ///
    /// # Errors
    /// `too_large`: the row of RG-13 for this endpoint.
    pub async fn rg_13_body(&self, too_large: &'static Rule) -> Result<Rc<[u8]>, Refusal> {
        self.body.read().await.map_err(|_| Refusal::by(too_large))
    }
}
