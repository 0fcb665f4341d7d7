//! The HTTP API of dcr-store as types: what a gateway sends, what the store answers, and the bounds of both.
//!
//! Each shape is defined once, here. The store reads requests and writes answers with these types, the gateway does the opposite, and
//! tests that play one of the two sides use the same types. The store's OpenAPI document (`store/openapi.json`) is made from them.
//!
//! | path | request | answer |
//! |---|---|---|
//! | `POST` [`path::CLIENTS`] | [`Clients`] of [`NewClient`] | [`Clients`] of [`Reply`] of [`WrittenClient`] |
//! | `GET` [`path::CLIENT`] | | [`Client`] |
//! | `PUT` [`path::CLIENT`] | [`Replacement`] | [`Client`], or [`WrittenClient`] with `Prefer: return=minimal` |
//! | `DELETE` [`path::CLIENT`] | | 204 without a body |
//! | `POST` [`path::TOKENS`] | [`Tokens`] of [`NewToken`] | [`Tokens`] of [`Reply`] of [`IssuedToken`] |
//! | `POST` [`path::INTROSPECT`] | [`TokenForm`] | [`Introspection`] |
//! | `POST` [`path::REVOKE`] | [`TokenForm`] | an empty object |
//!
//! Every other answer is an [`ErrorBody`] under one of the statuses of its [`ErrorCode`].
//!
//! Records (`R`), strings (`S`) and lists of `jti` (`J`) are type parameters, so that a sender can borrow them and a receiver can own them:
//!
//! ```
//! use dcr_store_protocol::{Clients, Jti, NewClient, Software};
//!
//! let jti = [Jti { issuer: "OpenBanking Ltd", jti: "37747cd1", expires_at: 1_643_091_461 }];
//! let sent = Clients {
//!     clients: vec![NewClient {
//!         request_id: Some("7e1f0c9a"),
//!         traceparent: None,
//!         software: Software { issuer: "OpenBanking Ltd", id: "sgsMuc8A" },
//!         single_registration: true,
//!         registration_access_token: false,
//!         consume_jti: &jti,
//!         record: serde_json::json!({ "redirect_uris": [] }),
//!     }],
//! };
//! let text = serde_json::to_string(&sent)?;
//! let received: Clients<NewClient<serde_json::Value>> = serde_json::from_str(&text)?;
//! assert_eq!(received.clients[0].consume_jti[0].jti, jti[0].jti);
//! # Ok::<(), serde_json::Error>(())
//! ```
//!
//! Times are Unix seconds and lifetimes are seconds. Both are signed, because databases have no unsigned integers.

#![forbid(unsafe_code)]

mod batch;
pub mod bounds;
mod client;
mod error;
pub mod path;
mod token;

pub use self::batch::{Clients, Kind, Outcome, Reply, Tokens};
pub use self::bounds::{is_request_id, is_traceparent};
pub use self::client::{
    Client, Jti, NewClient, RETURN_MINIMAL, Replacement, Software, WrittenClient, entity_tag, version_of_entity_tag,
};
pub use self::error::{ErrorBody, ErrorCode};
pub use self::token::{Confirmation, Introspection, IssuedToken, NewToken, TokenForm, TokenType, TokenUse};
