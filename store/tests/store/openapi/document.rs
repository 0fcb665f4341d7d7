//! The OpenAPI 3.1 document. The routes are listed here; everything else comes from the types of the protocol.

use std::collections::BTreeMap;

use dcr_store_protocol::bounds::{
    CLIENT_ID_PATTERN, MAX_BODY, MAX_CLIENT_ID, MAX_REQUEST_ID, REQUEST_ID_PATTERN, TRACEPARENT_PATTERN,
};
use dcr_store_protocol::{
    Client, Clients, ErrorBody, ErrorCode, Introspection, IssuedToken, NewClient, NewToken, RETURN_MINIMAL,
    Replacement, Reply, TokenForm, Tokens, WrittenClient, path,
};
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

/// A record. The store knows only that it is an object.
type Record = Map<String, Value>;

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";

/// The whole document.
pub(super) fn document() -> Value {
    let mut schemas = Schemas::new();
    let paths = json!({
        path::CLIENTS: { "post": create_clients(&mut schemas) },
        path::CLIENT: {
            "get": read_client(&mut schemas),
            "put": replace_client(&mut schemas),
            "delete": delete_client(),
        },
        path::TOKENS: { "post": issue_tokens(&mut schemas) },
        path::INTROSPECT: { "post": introspect_token(&mut schemas) },
        path::REVOKE: { "post": revoke_token(&mut schemas) },
        path::HEALTH: { "get": health() },
        path::READY: { "get": readiness() },
        path::METRICS: { "get": metrics() },
    });
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "dcr-store",
            "version": "1",
            "summary": "Registered clients, used jti and access tokens of dcr-gate",
            "description": format!(
                "Every operation is one transaction. A request body is {MAX_BODY} bytes at most. Lengths in schemas are in characters as \
                 JSON Schema counts them; the store counts bytes of UTF-8, so text outside ASCII must be shorter. A path that is not listed \
                 is answered with 404 `not_found`, a method that is not listed with 405 `method_not_allowed`. Answers are not to be cached \
                 (`Cache-Control: no-store`)."
            ),
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "http://127.0.0.1:8082", "description": "The default of `--listen`" }],
        "paths": paths,
        "components": {
            "schemas": schemas.finish(),
            "securitySchemes": {
                "credential": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "The content of the store's `--credential-file`. A store without one demands nothing.",
                },
            },
        },
    })
}

fn create_clients(schemas: &mut Schemas) -> Value {
    let request = body(JSON, schemas.of::<Clients<NewClient<Record>>>());
    let answer = schemas.of::<Clients<Reply<WrittenClient>>>();
    Operation::new("createClients", "Register 1 to 64 clients, each for itself")
        .parameters(&[request_id(), traceparent()])
        .takes(request)
        .answers(200, "A reply for each client, in the order of the request", answer)
        .operation()
}

fn read_client(schemas: &mut Schemas) -> Value {
    Operation::new("readClient", "Read a client")
        .parameters(&[client_id(), request_id(), traceparent()])
        .answers_with(200, "The client", schemas.of::<Client<Record>>(), json!({ "etag": etag() }))
        .refuses(&[ErrorCode::UnknownClient])
        .operation()
}

fn replace_client(schemas: &mut Schemas) -> Value {
    let request = body(JSON, schemas.of::<Replacement<Record>>());
    let answer = json!({ "oneOf": [schemas.of::<Client<Record>>(), schemas.of::<WrittenClient>()] });
    let applied = json!({ "description": "Whether the preference was heeded", "schema": { "const": RETURN_MINIMAL } });
    let headers = json!({ "etag": etag(), "preference-applied": applied });
    let description = "The client at its new version; without the record where `Prefer` asks for that";
    Operation::new("replaceClient", "Replace the record of a client; its tokens stay")
        .parameters(&[client_id(), if_match(), prefer(), request_id(), traceparent()])
        .takes(request)
        .answers_with(200, description, answer, headers)
        .refuses(&[
            ErrorCode::ClocksApart,
            ErrorCode::UnknownClient,
            ErrorCode::Replayed,
            ErrorCode::SoftwareMismatch,
            ErrorCode::VersionMismatch,
            ErrorCode::PreconditionRequired,
        ])
        .operation()
}

fn delete_client() -> Value {
    Operation::new("deleteClient", "Delete a client and all its tokens")
        .parameters(&[client_id(), request_id(), traceparent()])
        .answers(204, "It is deleted", Value::Null)
        .refuses(&[ErrorCode::UnknownClient])
        .operation()
}

fn issue_tokens(schemas: &mut Schemas) -> Value {
    let request = body(JSON, schemas.of::<Tokens<NewToken>>());
    let answer = schemas.of::<Tokens<Reply<IssuedToken>>>();
    Operation::new("issueTokens", "Issue 1 to 64 access tokens, each for itself")
        .parameters(&[request_id(), traceparent()])
        .takes(request)
        .answers(200, "A reply for each token, in the order of the request", answer)
        .operation()
}

fn introspect_token(schemas: &mut Schemas) -> Value {
    let request = body(FORM, schemas.of::<TokenForm>());
    let answer = schemas.of::<Introspection>();
    Operation::new("introspectToken", "What is known of a token (RFC 7662)")
        .parameters(&[request_id(), traceparent()])
        .takes(request)
        .answers(200, "What is known", answer)
        .operation()
}

fn revoke_token(schemas: &mut Schemas) -> Value {
    let request = body(FORM, schemas.of::<TokenForm>());
    let answer = json!({ "type": "object", "maxProperties": 0 });
    Operation::new("revokeToken", "End a token of either use (RFC 7009)")
        .parameters(&[request_id(), traceparent()])
        .takes(request)
        .answers(200, "It is not active, whether it was known or not", answer)
        .operation()
}

fn health() -> Value {
    Operation::open("health", "Whether the process lives").answers(200, "It does", status("alive")).operation()
}

fn readiness() -> Value {
    Operation::open("readiness", "Whether the database can be written to")
        .answers(200, "It can", status("ready"))
        .refuses(&[ErrorCode::TemporarilyUnavailable])
        .operation()
}

fn metrics() -> Value {
    let mut operation = Operation::open("metrics", "Metrics for Prometheus").operation();
    operation["responses"] = json!({
        "200": {
            "description": "The metrics",
            "content": { dcr_store::metrics::CONTENT_TYPE: { "schema": { "type": "string" } } },
        },
    });
    operation
}

/// An operation of a path, in the form of OpenAPI.
struct Operation {
    value: Value,
    errors: Vec<ErrorCode>,
}

impl Operation {
    /// An operation that needs the credential.
    fn new(id: &str, summary: &str) -> Self {
        let mut operation = Self::open(id, summary);
        operation.value["security"] = json!([{ "credential": [] }, {}]);
        operation.refuses(&[ErrorCode::Unauthorized, ErrorCode::TemporarilyUnavailable])
    }

    /// An operation without the credential.
    fn open(id: &str, summary: &str) -> Self {
        Self { value: json!({ "operationId": id, "summary": summary }), errors: Vec::new() }
    }

    fn parameters(mut self, parameters: &[Value]) -> Self {
        self.value["parameters"] = json!(parameters);
        self
    }

    fn takes(mut self, body: Value) -> Self {
        self.value["requestBody"] = body;
        self.refuses(&[ErrorCode::InvalidRequest])
    }

    fn answers(self, status: u16, description: &str, schema: Value) -> Self {
        self.answers_with(status, description, schema, Value::Null)
    }

    fn answers_with(mut self, status: u16, description: &str, schema: Value, headers: Value) -> Self {
        let mut response = json!({ "description": description });
        if !headers.is_null() {
            response["headers"] = headers;
        }
        if !schema.is_null() {
            response["content"] = json!({ JSON: { "schema": schema } });
        }
        self.value["responses"][status.to_string()] = response;
        self
    }

    fn refuses(mut self, errors: &[ErrorCode]) -> Self {
        self.errors.extend(errors);
        self
    }

    /// The complete operation, with a response for each status of its errors.
    fn operation(mut self) -> Value {
        let mut words: BTreeMap<u16, Vec<&str>> = BTreeMap::new();
        for code in &self.errors {
            code.statuses().iter().for_each(|status| words.entry(*status).or_default().push(code.word()));
        }
        for (status, words) in words {
            let schema = json!({ "$ref": "#/components/schemas/Error", "properties": { "error": { "enum": words } } });
            let headers = match status {
                401 => json!({ "www-authenticate": { "required": true, "schema": { "const": "Bearer" } } }),
                503 => {
                    json!({ "retry-after": { "required": true, "description": "Seconds", "schema": { "const": "1" } } })
                }
                _ => Value::Null,
            };
            self = self.answers_with(status, error_description(status), schema, headers);
        }
        self.value
    }
}

fn error_description(status: u16) -> &'static str {
    match status {
        400 => "Not the shape that is taken, or a bound is broken",
        401 => "The credential is missing or another",
        404 => "No client has this `client_id`",
        408 => "The body was not there within 5 seconds",
        409 => "A `jti` was used before, or the client is of another software",
        412 => "The client is not at the version of `If-Match`",
        413 => "The body is too large",
        415 => "The body is of another media type",
        428 => "`If-Match` is missing",
        503 => "The database cannot do it now",
        other => panic!("nothing is said of {other}"),
    }
}

fn body(media_type: &str, schema: Value) -> Value {
    json!({ "required": true, "content": { media_type: { "schema": schema } } })
}

fn status(word: &str) -> Value {
    json!({
        "type": "object",
        "properties": { "status": { "const": word } },
        "required": ["status"],
        "additionalProperties": false,
    })
}

fn client_id() -> Value {
    let schema = json!({ "type": "string", "minLength": 1, "maxLength": MAX_CLIENT_ID, "pattern": CLIENT_ID_PATTERN });
    json!({ "name": "client_id", "in": "path", "required": true, "schema": schema })
}

fn request_id() -> Value {
    let description = "Names the request in the store's log. A text of another form is not logged.";
    let schema =
        json!({ "type": "string", "minLength": 1, "maxLength": MAX_REQUEST_ID, "pattern": REQUEST_ID_PATTERN });
    json!({ "name": "x-request-id", "in": "header", "description": description, "schema": schema })
}

fn traceparent() -> Value {
    let description = "The trace that the request belongs to (W3C Trace Context), for the log and the spans. A text of another form is ignored.";
    let schema = json!({ "type": "string", "pattern": TRACEPARENT_PATTERN });
    json!({ "name": "traceparent", "in": "header", "description": description, "schema": schema })
}

fn if_match() -> Value {
    let description = "The entity tag of the version that is to be replaced (RFC 9110 section 13.1.1)";
    let schema = json!({ "type": "string", "pattern": "^\"[0-9]+\"$" });
    json!({ "name": "if-match", "in": "header", "required": true, "description": description, "schema": schema })
}

fn prefer() -> Value {
    let description = format!("With `{RETURN_MINIMAL}` the answer leaves out the record (RFC 7240 section 4.2)");
    json!({ "name": "prefer", "in": "header", "description": description, "schema": { "type": "string" } })
}

fn etag() -> Value {
    let schema = json!({ "type": "string", "pattern": "^\"[0-9]+\"$" });
    json!({ "required": true, "description": "The client's version as entity tag", "schema": schema })
}

/// The schemas of the protocol's types. A schema is added when it is first referred to.
struct Schemas(SchemaGenerator);

impl Schemas {
    fn new() -> Self {
        let settings = SchemaSettings::draft2020_12().with(|settings| {
            settings.definitions_path = "/components/schemas".into();
            settings.meta_schema = None;
        });
        Self(settings.into_generator())
    }

    /// A reference to the schema of `T`.
    fn of<T: JsonSchema>(&mut self) -> Value {
        self.0.subschema_for::<T>().into()
    }

    fn finish(mut self) -> Value {
        self.of::<ErrorBody>();
        let mut schemas = Value::Object(self.0.take_definitions(true));
        tidy(&mut schemas);
        // The types cannot express which members occur together.
        schemas["Error"]["if"] = json!({ "properties": { "error": { "const": ErrorCode::Replayed.word() } } });
        schemas["Error"]["then"] = json!({ "required": ["replayed"] });
        schemas["Error"]["else"] = json!({ "properties": { "replayed": false } });
        let access = ["client_id", "token_use", "scope", "token_type", "iat", "exp", "cnf"];
        let registration = ["client_id", "token_use", "iat"];
        schemas["Introspection"]["oneOf"] = json!([
            { "properties": { "active": { "const": false } }, "maxProperties": 1 },
            {
                "properties": { "active": { "const": true }, "token_use": { "const": "access" } },
                "required": access,
            },
            {
                "properties": { "active": { "const": true }, "token_use": { "const": "registration" } },
                "required": registration,
                "maxProperties": registration.len() + 1,
            },
        ]);
        let refusals =
            [ErrorCode::InvalidRequest, ErrorCode::ClocksApart, ErrorCode::Replayed, ErrorCode::DuplicateSoftware];
        describe_reply(&mut schemas, "WrittenClient", &refusals);
        let refusals = [
            ErrorCode::InvalidRequest,
            ErrorCode::ClocksApart,
            ErrorCode::UnknownClient,
            ErrorCode::Replayed,
            ErrorCode::VersionMismatch,
        ];
        describe_reply(&mut schemas, "IssuedToken", &refusals);
        schemas
    }
}

/// Describes the reply for one item of a batch: the created object or an error, in both cases with the member `status`.
fn describe_reply(schemas: &mut Value, made: &str, refusals: &[ErrorCode]) {
    let with_status = |name: &str, status: Value| {
        let mut schema = schemas[name].clone();
        schema["properties"]["status"] = status;
        schema["required"].as_array_mut().unwrap().push(json!("status"));
        schema
    };
    let outcomes = [with_status(made, json!({ "const": 201 }))].into_iter().chain(refusals.iter().map(|code| {
        let mut error = with_status("Error", json!({ "const": code.status() }));
        error["properties"]["error"] = json!({ "const": code.word() });
        error
    }));
    let outcomes: Value = outcomes.collect();
    let reply = &mut schemas[format!("{made}Reply")];
    let description = reply["description"].take();
    *reply = json!({ "description": description, "oneOf": outcomes });
}

/// Puts each description on one line, and removes formats that OpenAPI does not know.
fn tidy(value: &mut Value) {
    match value {
        Value::Object(members) => {
            if let Some(Value::String(description)) = members.get_mut("description") {
                *description = description.replace('\n', " ");
            }
            if members.get("format").and_then(Value::as_str).is_some_and(|format| format.starts_with("uint")) {
                members.shift_remove("format");
            }
            members.values_mut().for_each(tidy);
        }
        Value::Array(items) => items.iter_mut().for_each(tidy),
        _ => {}
    }
}
