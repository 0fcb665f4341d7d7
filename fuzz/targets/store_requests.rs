//! Reads any input as the store reads requests, and as its callers read answers. What is read is written and read again as the same.

#![no_main]

use std::fmt::Debug;

use dcr_store_protocol::{
    Client, Clients, ErrorBody, Introspection, IssuedToken, NewClient, NewToken, Replacement, Reply, Tokens,
    WrittenClient, entity_tag, version_of_entity_tag,
};
use libfuzzer_sys::fuzz_target;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

fuzz_target!(|input: &[u8]| {
    same_again::<Clients<NewClient<Value>>>(input);
    same_again::<Replacement<Value>>(input);
    same_again::<Tokens<NewToken>>(input);

    same_again::<Clients<Reply<WrittenClient>>>(input);
    same_again::<Client<Value>>(input);
    same_again::<Tokens<Reply<IssuedToken>>>(input);
    same_again::<Introspection>(input);
    same_again::<ErrorBody>(input);

    let tag = std::str::from_utf8(input).unwrap_or_default();
    if let Some(version) = version_of_entity_tag(tag) {
        assert_eq!(version_of_entity_tag(&entity_tag(version)), Some(version));
    }
});

fn same_again<T: Serialize + DeserializeOwned + Debug>(input: &[u8]) {
    let Ok(read) = serde_json::from_slice::<T>(input) else { return };
    let written = serde_json::to_string(&read).unwrap();
    let again: T = serde_json::from_str(&written).unwrap_or_else(|error| panic!("{error}: {written}"));
    assert_eq!(serde_json::to_string(&again).unwrap(), written);
}
