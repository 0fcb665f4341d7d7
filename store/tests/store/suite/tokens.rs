//! Tokens are issued, introspected and revoked.

use serde_json::{Value, json};

use crate::support::{NOW, Rig, asking_for_token, jti, new_client, new_token, replacement, with};

pub(crate) async fn issue_answers_a_bearer_token_that_is_not_cached(rig: Rig) {
    let client = rig.registered().await;
    let answer = rig.issue(&client, &new_token(json!([jti("t")]))).await;
    answer.assert_status(201);
    let token = answer.member("access_token");
    assert_eq!(
        answer.body,
        json!({
            "client_id": client.strip_prefix("/v1/clients/").unwrap(),
            "access_token": token,
            "cnf": { "x5t#S256": "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2" },
            "token_type": "Bearer",
            "expires_in": 600,
            "scope": "accounts openid",
        })
    );
    assert_eq!(answer.header("cache-control"), "no-store");
    assert!(token.len() == 43 && token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)));
}

pub(crate) async fn a_replayed_assertion_gets_no_token(rig: Rig) {
    let client = rig.registered().await;
    rig.issue(&client, &new_token(json!([jti("t")]))).await.assert_status(201);
    rig.issue(&client, &new_token(json!([jti("t")]))).await.assert_refused(409, "replayed");
    assert_eq!(rig.database.counts().await.unwrap().live_tokens, 1);
}

pub(crate) async fn a_token_is_issued_only_at_the_version_that_is_named(rig: Rig) {
    let client = rig.registered().await;
    let issue = async |version: Value| {
        let mut token = new_token(json!([jti("t")]));
        token["version"] = version;
        rig.issue(&client, &token).await
    };
    rig.put(&client, "\"1\"", &replacement(json!([]))).await.assert_status(200);
    for other in [1, 3] {
        issue(json!(other)).await.assert_refused(412, "version_mismatch");
    }
    for malformed in [json!("2"), json!(2.5), json!(true)] {
        issue(malformed).await.assert_refused(400, "invalid_request");
    }
    // None of these requests consumed the jti.
    issue(json!(2)).await.assert_status(201);
    issue(json!(1)).await.assert_refused(412, "version_mismatch");
    issue(json!(2)).await.assert_refused(409, "replayed");
}

/// Several callers of a gateway in one request. A fault in one does not affect the others.
pub(crate) async fn tokens_asked_for_together_are_issued_or_refused_each_for_itself(rig: Rig) {
    let client = rig.registered().await;
    let of = |client_id: &str, consume: Value| {
        let mut token = new_token(consume);
        token["client_id"] = json!(client_id.trim_start_matches("/v1/clients/"));
        token
    };
    let tokens = json!([
        of(&client, json!([jti("a")])),
        of("unknown", json!([jti("b")])),
        "nothing like it",
        of(&client, json!([jti("a")])),
        with(of(&client, json!([jti("b")])), "/scope", json!("a  b")),
        of("a/../b", json!([])),
        of(&client, json!([jti("b")])),
    ]);
    let answer = rig.post("/v1/tokens", &json!({ "tokens": tokens })).await;
    assert_eq!(answer.assert_status(200).header("cache-control"), "no-store");
    let replies = answer.body["tokens"].as_array().unwrap();
    let outcomes: Vec<_> =
        replies.iter().map(|reply| (reply["status"].as_u64().unwrap(), reply["error"].as_str())).collect();
    assert_eq!(
        outcomes,
        [
            (201, None),
            (404, Some("unknown_client")),
            (400, Some("invalid_request")),
            (409, Some("replayed")),
            (400, Some("invalid_request")),
            (404, Some("unknown_client")),
            (201, None),
        ]
    );
    let issued: Vec<&str> = replies.iter().filter_map(|reply| reply["access_token"].as_str()).collect();
    assert!(issued.len() == 2 && issued.first() != issued.last());
    for token in issued {
        assert_eq!(introspected(&rig, token).await["active"], true);
    }
    assert_eq!(rig.database.counts().await.unwrap().live_tokens, 2);
}

pub(crate) async fn introspection_tells_what_the_token_is_bound_to_until_it_expires(rig: Rig) {
    let client = rig.registered().await;
    let token = issued(&rig, &client).await;
    let active = introspected(&rig, &token).await;
    assert_eq!(
        active,
        json!({
            "active": true,
            "client_id": client.strip_prefix("/v1/clients/").unwrap(),
            "token_use": "access",
            "scope": "accounts openid",
            "token_type": "Bearer",
            "iat": NOW,
            "exp": NOW + 600,
            "cnf": { "x5t#S256": "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2" },
        })
    );
    rig.set_time(NOW + 600);
    assert_eq!(introspected(&rig, &token).await, json!({ "active": false }));
}

pub(crate) async fn what_is_not_an_active_token_is_inactive_and_nothing_more(rig: Rig) {
    let token = issued(&rig, &rig.registered().await).await;
    let other_case =
        token.chars().map(|c| if c.is_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() });
    for unknown in ["x", &"A".repeat(43), token.split_at(1).1, &other_case.collect::<String>(), "%00%ff", "'+OR+1=1"] {
        assert_eq!(introspected(&rig, unknown).await, json!({ "active": false }), "{unknown}");
    }
}

pub(crate) async fn a_revoked_token_is_inactive_and_others_are_not(rig: Rig) {
    let client = rig.registered().await;
    let (revoked, kept) = (issued(&rig, &client).await, issued(&rig, &client).await);
    for _twice in 0..2 {
        let answer = rig.form("/v1/tokens/revoke", &format!("token={revoked}&token_type_hint=access_token")).await;
        assert_eq!(answer.assert_status(200).body, json!({}));
    }
    assert_eq!(introspected(&rig, &revoked).await, json!({ "active": false }));
    assert_eq!(introspected(&rig, &kept).await["active"], true);
}

pub(crate) async fn tokens_die_with_their_client_and_live_through_its_update(rig: Rig) {
    let (client, other) = (rig.registered().await, rig.registered().await);
    let (token, foreign) = (issued(&rig, &client).await, issued(&rig, &other).await);
    rig.put(&client, "\"1\"", &replacement(json!([]))).await.assert_status(200);
    assert_eq!(introspected(&rig, &token).await["active"], true);
    rig.delete(&client).await.assert_status(204);
    assert_eq!(introspected(&rig, &token).await, json!({ "active": false }));
    assert_eq!(introspected(&rig, &foreign).await["active"], true);
}

pub(crate) async fn a_registration_access_token_says_what_it_is_and_never_expires(rig: Rig) {
    let (client, token) = registered_with_token(&rig).await;
    assert!(token.len() == 43 && token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)));
    rig.set_time(NOW + 20 * 366 * 86_400);
    let expected = json!({
        "active": true,
        "client_id": client.strip_prefix("/v1/clients/").unwrap(),
        "token_use": "registration",
        "iat": NOW,
    });
    assert_eq!(introspected(&rig, &token).await, expected);
    let other = registered_with_token(&rig).await;
    assert!(other.1 != token && introspected(&rig, &other.1).await["client_id"] != expected["client_id"]);
}

pub(crate) async fn a_registration_access_token_is_made_where_it_is_asked_for_and_shown_once(rig: Rig) {
    let declined = with(asking_for_token(new_client(json!([]))), "/registration_access_token", json!(false));
    for plain in [new_client(json!([])), declined] {
        let created = rig.create(&plain).await;
        assert_eq!(created.assert_status(201).body.get("registration_access_token"), None);
    }
    let (client, token) = registered_with_token(&rig).await;
    assert!(!rig.get(&client).await.assert_status(200).text.contains(&token));
    let updated = rig.put(&client, "\"1\"", &replacement(json!([]))).await;
    assert!(!updated.assert_status(200).text.contains("registration_access_token"), "an update does not rotate it");
    assert_eq!(introspected(&rig, &token).await["token_use"], "registration");
    rig.put(&client, "\"2\"", &asking_for_token(replacement(json!([])))).await.assert_refused(400, "invalid_request");
}

pub(crate) async fn a_registration_access_token_can_be_revoked_and_dies_with_its_client(rig: Rig) {
    let (client, token) = registered_with_token(&rig).await;
    let (_, kept) = registered_with_token(&rig).await;
    let access_token = issued(&rig, &client).await;
    for _twice in 0..2 {
        rig.form("/v1/tokens/revoke", &format!("token={token}")).await.assert_status(200);
    }
    assert_eq!(introspected(&rig, &token).await, json!({ "active": false }));
    assert_eq!(introspected(&rig, &kept).await["active"], true);
    assert_eq!(introspected(&rig, &access_token).await["active"], true, "the client's other tokens stay");
    rig.get(&client).await.assert_status(200);

    let (client, token) = registered_with_token(&rig).await;
    rig.delete(&client).await.assert_status(204);
    assert_eq!(introspected(&rig, &token).await, json!({ "active": false }));
}

pub(crate) async fn a_refused_registration_leaves_no_token(rig: Rig) {
    rig.create(&asking_for_token(new_client(json!([jti("used")])))).await.assert_status(201);
    let refused = rig.create(&asking_for_token(new_client(json!([jti("used")])))).await;
    refused.assert_refused(409, "replayed");
    for wrong in [json!(null), json!("true"), json!(1)] {
        let body = with(asking_for_token(new_client(json!([]))), "/registration_access_token", wrong);
        rig.create(&body).await.assert_refused(400, "invalid_request");
    }
    assert_eq!(rig.database.counts().await.unwrap().clients, 1);
}

/// Issues a token to the client with this path.
pub(crate) async fn issued(rig: &Rig, client: &str) -> String {
    rig.issue(client, &new_token(json!([]))).await.assert_status(201).member("access_token")
}

/// The introspection answer about a token.
pub(crate) async fn introspected(rig: &Rig, token: &str) -> Value {
    let answer = rig.form("/v1/tokens/introspect", &format!("token={token}")).await;
    assert_eq!(answer.header("cache-control"), "no-store");
    answer.assert_status(200).body.clone()
}

/// A client with a registration access token. Returns its path and the token.
async fn registered_with_token(rig: &Rig) -> (String, String) {
    let created = rig.create(&asking_for_token(new_client(json!([])))).await;
    created.assert_status(201);
    (format!("/v1/clients/{}", created.member("client_id")), created.member("registration_access_token"))
}
