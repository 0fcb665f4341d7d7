//! `/v1/tokens`: requests that are refused before the database is asked.

use serde_json::{Value, json};

use crate::suite::tokens::{introspected, issued};
use crate::support::{Rig, new_token, with};

#[tokio::test]
async fn a_request_asks_for_1_to_64_tokens() {
    let rig = Rig::new().await;
    let mut one = new_token(json!([]));
    one["client_id"] = json!("unknown");
    for tokens in [json!([]), json!({}), json!(null), json!(vec![one.clone(); 65])] {
        rig.post("/v1/tokens", &json!({ "tokens": tokens })).await.assert_refused(400, "invalid_request");
    }
    rig.post("/v1/tokens", &json!({ "tokens": [one], "more": 1 })).await.assert_refused(400, "invalid_request");
    let most = vec![one; 64];
    let answer = rig.post("/v1/tokens", &json!({ "tokens": most })).await;
    assert_eq!(answer.assert_status(200).body["tokens"].as_array().unwrap().len(), 64);
}

#[tokio::test]
async fn issue_refuses_every_body_out_of_shape() {
    let rig = Rig::new().await;
    let client = rig.registered().await;
    let good = new_token(json!([]));
    let mut bodies: Vec<Value> = ["/scope", "/expires_in", "/cnf", "/cnf/x5t#S256", "/consume_jti"]
        .into_iter()
        .flat_map(|pointer| [json!(null), json!(true), json!("")].map(|wrong| with(good.clone(), pointer, wrong)))
        .collect();
    bodies.extend(
        [" accounts", "accounts ", "a  b", "a\tb", "a\"b", "a\\b", "é", "a\u{7f}", &"a".repeat(4097)]
            .map(|scope| with(good.clone(), "/scope", json!(scope))),
    );
    bodies.extend(
        [json!(0), json!(-1), json!(366 * 86_400 + 1), json!(i64::MAX), json!(600.5), json!("600")]
            .map(|expires_in| with(good.clone(), "/expires_in", expires_in)),
    );
    let thumbprint = "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2";
    bodies.extend(
        [
            thumbprint.split_at(1).1,
            &format!("{thumbprint}="),
            &format!("{thumbprint}AA"),
            &thumbprint.replace('_', "/"),
        ]
        .map(|wrong| with(good.clone(), "/cnf/x5t#S256", json!(wrong))),
    );
    bodies.push(with(good.clone(), "/cnf", json!({ "x5t#S256": thumbprint, "jkt": thumbprint })));
    bodies.push(with(good.clone(), "/cnf", json!({})));
    for body in bodies {
        rig.issue(&client, &body).await.assert_refused(400, "invalid_request");
    }
    rig.issue(&client, &good).await.assert_status(201);
    assert_eq!(rig.database.counts().await.unwrap().live_tokens, 1);
}

#[tokio::test]
async fn forms_must_hold_the_token_once() {
    let rig = Rig::new().await;
    let token = issued(&rig, &rig.registered().await).await;
    let too_long = format!("token={}", "a".repeat(4097));
    for path in ["/v1/tokens/introspect", "/v1/tokens/revoke"] {
        for form in ["", "token", "token=", "Token=x", &format!("token={token}&token=x"), &too_long] {
            rig.form(path, form).await.assert_refused(400, "invalid_request");
        }
        rig.post(path, &json!({ "token": token })).await.assert_refused(415, "invalid_request");
    }
    assert_eq!(introspected(&rig, &token).await["active"], true);
}
