//! A request in the form that a journey uses.

use std::rc::Rc;

use dcr_policy::catalogue::{GW_03, GW_05, GW_07, GW_08, RG_01, RG_01_UNREADABLE, RG_15, RG_16};
use dcr_policy::profile::{InteractionId, Profile};
use dcr_policy::{Refusal, Rule};
use dcr_x509::Certificate;

use super::body::{Body, BodyError};
use crate::client_store::Origin;
use crate::host::{media_type, request_id, traceparent};

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
    /// The transport certificate.
    pub certificate: TransportCertificate,
}

impl Head {
    /// `content-length`, in bytes. Envoy refuses a request whose body has another length.
    pub fn content_length(&self) -> Option<u64> {
        let (_, value) = self.headers.iter().find(|(name, _)| name == "content-length")?;
        std::str::from_utf8(value).ok()?.parse().ok()
    }
}

/// What is known about the transport certificate of a request.
#[derive(Debug, Clone, Default)]
pub enum TransportCertificate {
    /// The caller presented none, or a proxy that is not trusted speaks for the caller.
    #[default]
    Absent,
    /// The caller presented one that cannot be read.
    Unreadable,
    /// The caller presented one, but this gateway cannot see it.
    OutOfSight,
    /// The caller presented this one.
    Presented(Rc<Certificate>),
}

impl TransportCertificate {
    /// The certificate, if there is one that can be read.
    pub fn presented(&self) -> Option<&Rc<Certificate>> {
        match self {
            Self::Presented(certificate) => Some(certificate),
            Self::Absent | Self::Unreadable | Self::OutOfSight => None,
        }
    }
}

impl From<Option<Rc<Certificate>>> for TransportCertificate {
    fn from(certificate: Option<Rc<Certificate>>) -> Self {
        certificate.map_or(Self::Absent, Self::Presented)
    }
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
    /// RG-01 if there is none, or if it cannot be read; GW-05 if this gateway cannot know.
    pub fn rg_01_gw_05_certificate(&self) -> Result<&Certificate, Refusal> {
        match &self.head.certificate {
            TransportCertificate::Presented(certificate) => Ok(certificate),
            TransportCertificate::Absent => Err(Refusal::by(&RG_01)),
            TransportCertificate::Unreadable => Err(Refusal::by(&RG_01_UNREADABLE)),
            TransportCertificate::OutOfSight => Err(Refusal::by(&GW_05)),
        }
    }

    /// The body has no content coding (RG-16). A coded body would have to be decoded with bounds, and another server could read it in
    /// another way.
    ///
    /// # Errors
    /// RG-16.
    pub fn rg_16_content_coding(&self) -> Result<(), Refusal> {
        match self.gw_03_header("content-encoding")? {
            Some(coding) if !coding.trim_ascii().eq_ignore_ascii_case(b"identity") => {
                Err(Refusal::by(&RG_16).claim("content-encoding"))
            }
            _ => Ok(()),
        }
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

    /// What names this request in the store's log and in its trace: `x-request-id` and `traceparent`. A value that must not be passed on is
    /// left out.
    pub fn origin(&self) -> Origin<'_> {
        let header = |name| self.gw_03_header(name).ok().flatten();
        Origin {
            request_id: header("x-request-id").and_then(request_id),
            traceparent: header("traceparent").and_then(traceparent),
        }
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
    /// `too_large`: the row of RG-13 for this endpoint. GW-07 if the gateway does not hand the body over, GW-08 if the upstream's answer
    /// came before it.
    pub async fn rg_13_gw_07_gw_08_body(&self, too_large: &'static Rule) -> Result<Rc<[u8]>, Refusal> {
        self.body.read().await.map_err(|error| match error {
            BodyError::TooLarge => Refusal::by(too_large),
            BodyError::Withheld => Refusal::by(&GW_07),
            BodyError::CutOff => Refusal::by(&GW_08),
        })
    }
}
