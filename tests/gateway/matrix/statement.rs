//! SS and CB: the software statement, and whose transport certificate it goes with.

use dcr_cli::mint::{self, Token};
use serde_json::json;

use super::scene::renamed;
use super::{Case, Scene};
use crate::PKI;

const STATEMENT: &str = "invalid_software_statement";
const UNAPPROVED: &str = "unapproved_software_statement";

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::refused("no statement", ("statement_missing", 400, "invalid_client_metadata"), |scene| {
            scene.post(scene.request().without("software_statement").sign(&PKI.tpp.signing).unwrap())
        }),
        Case::refused(
            "a statement that is an object",
            ("statement_missing", 400, "invalid_client_metadata"),
            |scene| scene.post(scene.request().claim("software_statement", json!({})).sign(&PKI.tpp.signing).unwrap()),
        ),
        Case::refused("signed by the third party itself", ("statement_signature", 400, STATEMENT), |scene| {
            scene.post_statement(scene.statement().sign(&renamed(&PKI.tpp.signing, PKI.directory.kid())).unwrap())
        }),
        Case::refused("a claim changed after signing", ("statement_signature", 400, STATEMENT), |scene| {
            let honest = scene.statement().sign(&PKI.directory).unwrap();
            let forged = scene
                .statement()
                .claim("software_roles", json!(["AISP", "PISP", "CBPII"]))
                .sign(&PKI.directory)
                .unwrap();
            let (head, signature) = (forged.rsplit_once('.').unwrap().0, honest.rsplit_once('.').unwrap().1);
            scene.post_statement(format!("{head}.{signature}"))
        }),
        broken("an issuer nobody trusts", "statement_issuer", UNAPPROVED, |token| token.claim("iss", "Open Banking")),
        broken("no issuer", "statement_issuer", UNAPPROVED, |token| token.without("iss")),
        broken("no software_id", "statement_claim_missing", STATEMENT, |token| token.without("software_id")),
        broken("no jti", "statement_claim_missing", STATEMENT, |token| token.without("jti")),
        broken("org_id is a number", "statement_claim_missing", STATEMENT, |token| token.claim("org_id", 7)),
        broken("redirect URIs are a string", "statement_claim_missing", STATEMENT, |token| {
            token.claim("software_redirect_uris", "https://harbour.example/callback")
        }),
        broken("expired", "statement_expired", STATEMENT, |token| token.claim("exp", mint::now() - 1)),
        broken("issued in the future", "statement_from_the_future", STATEMENT, |token| {
            token.claim("iat", mint::now() + 65)
        }),
        broken("revoked organisation", "organisation_not_active", UNAPPROVED, |token| {
            token.claim("org_status", "Revoked")
        }),
        broken("withdrawn organisation", "organisation_not_active", UNAPPROVED, |token| {
            token.claim("org_status", "Withdrawn")
        }),
        broken("no status", "organisation_not_active", UNAPPROVED, |token| token.without("org_status")),
        broken("no role", "software_roles_missing", STATEMENT, |token| token.claim("software_roles", json!([]))),
        broken("roles are a string", "software_roles_missing", STATEMENT, |token| {
            token.claim("software_roles", "AISP")
        }),
        broken("authority claims not active", "authority_claims_not_active", UNAPPROVED, |token| {
            token.claim("organisation_competent_authority_claims", json!({ "status": "Revoked" }))
        }),
        broken("keys on another host", "key_set_location", STATEMENT, |token| {
            token.claim("software_jwks_endpoint", "https://thief.example/keys.jwks")
        }),
        broken("keys over http", "key_set_location", STATEMENT, |token| {
            token.claim("software_jwks_endpoint", "http://localhost/keys.jwks")
        }),
        Case::refused(
            "another third party's certificate",
            ("transport_certificate_of_another", 400, STATEMENT),
            |scene| scene.post_by(&scene.other, scene.request().sign(&PKI.tpp.signing).unwrap()),
        ),
        broken("org_id is not the certificate's OU", "transport_certificate_of_another", STATEMENT, |token| {
            token.claim("org_id", "0015800001HQQrZAAX")
        }),
        Case::refused(
            "registration_id is not the OBWAC's",
            ("organisation_certificate_of_another", 400, STATEMENT),
            |scene| {
                let claims = json!({ "status": "Active", "registration_id": "another" });
                let statement = scene.statement().claim("organisation_competent_authority_claims", claims);
                by_obwac(scene, &statement)
            },
        ),
        Case::refused(
            "an OBWAC and no registration_id",
            ("organisation_certificate_of_another", 400, STATEMENT),
            |scene| by_obwac(scene, &scene.statement().without("organisation_competent_authority_claims")),
        ),
        Case::accepted("an OBWAC", 201, |scene| by_obwac(scene, &scene.statement())),
        Case::accepted("authority claims as an array", 201, |scene| {
            let claims = json!([{ "status": "Active", "registration_id": PKI.tpp.software.registration_id }]);
            let statement = scene.statement().claim("organisation_competent_authority_claims", claims);
            by_obwac(scene, &statement)
        }),
        Case::accepted("issued ten seconds in the future", 201, |scene| {
            scene.post_statement(scene.statement().claim("iat", mint::now() + 10).sign(&PKI.directory).unwrap())
        }),
        Case::accepted("software_version as a string", 201, |scene| {
            scene.post_statement(scene.statement().claim("software_version", "1.5").sign(&PKI.directory).unwrap())
        }),
    ]
}

fn broken(name: &'static str, reason: &'static str, error: &'static str, change: fn(Token) -> Token) -> Case {
    Case::refused(name, (reason, 400, error), move |scene| {
        scene.post_statement(change(scene.statement()).sign(&PKI.directory).unwrap())
    })
}

fn by_obwac(scene: &Scene, statement: &Token) -> super::Shot {
    let statement = statement.sign(&PKI.directory).unwrap();
    let request = scene.request().claim("software_statement", statement).sign(&PKI.tpp.signing).unwrap();
    scene.post_by(&scene.obwac, request)
}
