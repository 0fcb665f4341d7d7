//! `docs/configuration.schema.json` is made from the declarations by which the filter reads its configuration, and `make docs` writes it:
//! members, types and defaults from `json_struct!` and `json_enum!`, descriptions from the comments at the declarations, and bounds from the
//! tables that the reader checks. What the reader checks besides, as far as a schema can say it, is in [`demands`].

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use dcr_json::schema::Definitions;
use dcr_json::{FromJson, Shown};
use dcr_policy::catalogue::{RULES, Waivability};
use dcr_policy::profile::Profile;
use serde_json::{Map, Value, json};
use syn::{Attribute, Expr, ExprLit, Fields, Item, Lit, Meta};

use super::document::Document;
use super::{MOST_CACHED_BYTES, SIZES, TIMES};

const FILE: &str = "docs/configuration.schema.json";

/// Where the types of the document are declared.
const SOURCES: [&str; 8] = [
    "src/config.rs",
    "src/config/caching.rs",
    "src/config/document.rs",
    "crates/policy/src/dialect.rs",
    "crates/policy/src/error_code.rs",
    "crates/policy/src/mode.rs",
    "crates/policy/src/profile.rs",
    "crates/policy/src/settings.rs",
];

/// The bounds of durations that depend on the profile, as a text.
const OTHER_TIMES: [(&str, &str); 3] = [
    ("directories[].statements.max_age", "From 1s to 365d."),
    ("registration.max_lifetime", "From 1m to 365d; to 36500d in a profile that forgets a `jti` earlier."),
    ("access_token.lifetime", "From 10s to 1d; the profile may have narrower bounds."),
];

/// The schema of the configuration.
pub(crate) fn schema() -> Value {
    let mut types = Definitions::new();
    Document::schema(&mut types);
    types.append(&mut types_of_profiles());
    describe(&mut types);
    let mut root = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "The configuration of dcr-gate",
    });
    let document = types.shift_remove("Document").unwrap();
    let root_members = root.as_object_mut().unwrap();
    root_members.extend(document.as_object().unwrap().clone());
    root_members.insert("$defs".to_owned(), types.into());
    for (path, more) in demands() {
        let place = place(&mut root, path).unwrap_or_else(|| panic!("no member {path}"));
        for (name, value) in more.as_object().unwrap() {
            place.insert(name.clone(), value.clone());
        }
        if place.contains_key("minItems") {
            // The reader has a sentence of its own for a list that is missing.
            place.shift_remove("default");
        }
    }
    for (path, bounds) in durations() {
        let description = place(&mut root, path).unwrap_or_else(|| panic!("no member {path}"));
        let description = description.get_mut("description").unwrap();
        *description = format!("{} {bounds}", description.as_str().unwrap()).into();
    }
    root
}

/// The types of a profile. Everything in it may be missing, because it can come from the profile that is extended.
fn types_of_profiles() -> Definitions {
    let mut types = Definitions::new();
    Profile::schema(&mut types);
    for (_, schema) in types.iter_mut().filter(|(name, _)| *name != "CertificateForm") {
        schema.as_object_mut().unwrap().shift_remove("required");
    }
    types["Profile"]["properties"]["extends"] = json!({ "enum": names() });
    types
}

/// What the reader checks besides types and names.
fn demands() -> Vec<(&'static str, Value)> {
    let names = names();
    let mut whole = Definitions::new();
    Profile::schema(&mut whole);
    let own = json!({
        "$ref": "#/$defs/Profile",
        "anyOf": [{ "required": ["extends"] }, { "required": whole["Profile"]["required"] }],
    });
    let dialects = names.iter().map(|name| json!(name)).chain([Value::Null]);
    let host = "(\\[[0-9a-fA-F:.]+\\]|[A-Za-z0-9.-]+)(:[0-9]{1,5})?";
    let path = json!({ "pattern": "^(/[A-Za-z0-9._~-]+)+$" });
    let cluster = json!({ "minLength": 1, "examples": ["cluster"] });
    let listed = json!({ "minItems": 1 });
    let audiences = json!({ "minItems": 1, "items": { "type": "string", "minLength": 1 } });
    let authority = json!({ "pattern": format!("^{host}$"), "examples": ["keystore.example"] });
    let more = [
        ("profile", json!({ "anyOf": [{ "enum": names }, own], "examples": [names[0]] })),
        ("danger_profile_values", json!({ "$ref": "#/$defs/Profile", "properties": { "extends": false } })),
        (
            "issuer",
            json!({ "pattern": format!("^https://{host}(/[A-Za-z0-9._~-]+)*$"), "examples": ["https://bank.example"] }),
        ),
        ("gateway_url", json!({ "pattern": format!("^https://{host}$") })),
        ("mode", json!({ "enum": ["enforce", "shadow"] })),
        ("danger_rules", json!({ "properties": rules(), "additionalProperties": false })),
        ("paths.registration", path.clone()),
        ("paths.token", path.clone()),
        ("paths.distinguished_name", path),
        ("directories", listed.clone()),
        ("directories[]", json!({ "required": ["issuer", "jwks_uri", "cluster", "software_key_sets"] })),
        ("directories[].issuer", json!({ "minLength": 1, "examples": ["OpenBanking Ltd"] })),
        (
            "directories[].jwks_uri",
            json!({
                "pattern": format!("^https://{host}/[^#]*$"),
                "maxLength": 2048,
                "examples": ["https://keystore.example/openbanking.jwks"],
            }),
        ),
        ("directories[].cluster", cluster.clone()),
        ("directories[].software_key_sets", listed),
        ("directories[].software_key_sets[].host", authority.clone()),
        ("directories[].software_key_sets[].cluster", cluster.clone()),
        (
            "directories[].certificate_issuers[]",
            json!({
                "anyOf": [{ "required": ["name"] }, { "required": ["authority_key_identifier"] }],
                "examples": [{ "authority_key_identifier": "00" }],
            }),
        ),
        ("directories[].certificate_issuers[].name", json!({ "examples": ["CN=authority"] })),
        (
            "directories[].certificate_issuers[].authority_key_identifier",
            json!({ "pattern": "^[0-9a-fA-F]{2}(:?[0-9a-fA-F]{2})*$", "examples": ["00"] }),
        ),
        ("directories[].dialect", json!({ "enum": dialects.collect::<Vec<_>>() })),
        ("store.cluster", cluster),
        ("store.authority", authority),
        ("jwks.cached_bytes", json!({ "maximum": MOST_CACHED_BYTES })),
        (
            "certificate",
            json!({
                "if": { "properties": { "source": { "const": "forwarded" } }, "required": ["source"] },
                "else": { "properties": { "trusted_proxies": { "maxItems": 0 } } },
            }),
        ),
        ("certificate.source", json!({ "examples": ["forwarded"] })),
        ("certificate.trusted_proxies[]", json!({ "pattern": "^[0-9a-fA-F]{64}$", "examples": ["0".repeat(64)] })),
        ("registration.audiences", audiences.clone()),
        ("client_assertion.audiences", audiences),
        (
            "discovery",
            json!({ "propertyNames": { "not": { "enum": ["issuer", "registration_endpoint", "token_endpoint"] } } }),
        ),
    ];
    let sizes = SIZES.iter().map(|(path, _, least, most)| (*path, json!({ "minimum": least, "maximum": most })));
    more.into_iter().chain(sizes).collect()
}

fn names() -> Vec<&'static str> {
    Profile::names().collect()
}

/// The members of `danger_rules`. A binding rule can only be enforced.
fn rules() -> Map<String, Value> {
    let mut members = Map::new();
    for rule in RULES {
        let is_waivable = RULES.iter().any(|row| row.id == rule.id && row.waivability == Waivability::Waivable);
        let modes = if is_waivable { json!(["off", "shadow", "enforce", false]) } else { json!(["enforce"]) };
        members.insert(rule.id.to_owned(), json!({ "description": rule.sentence, "enum": modes }));
    }
    members
}

fn durations() -> Vec<(&'static str, String)> {
    let of_table =
        TIMES.iter().map(|(path, _, least, most)| (*path, format!("From {} to {}.", Shown(*least), Shown(*most))));
    of_table.chain(OTHER_TIMES.map(|(path, text)| (path, text.to_owned()))).collect()
}

/// The schema of the member at a path such as `directories[].cluster`. Demands on a type with a name are of all its members.
fn place<'a>(root: &'a mut Value, path: &str) -> Option<&'a mut Map<String, Value>> {
    let mut pointer = String::new();
    for step in path.split('.') {
        let (name, is_element) = step.strip_suffix("[]").map_or((step, false), |name| (name, true));
        pointer = format!("{}/properties/{name}", followed(root, pointer)?);
        if is_element {
            pointer = followed(root, pointer)? + "/items";
            pointer = followed(root, pointer)?;
        }
    }
    root.pointer_mut(&pointer)?.as_object_mut()
}

/// The place to which a schema refers, or its own place.
fn followed(root: &Value, pointer: String) -> Option<String> {
    let schema = root.pointer(&pointer)?;
    let or_null = format!("{pointer}/anyOf/0");
    let (inner, place) = match root.pointer(&or_null).filter(|_| schema.get("properties").is_none()) {
        Some(inner) => (inner, or_null),
        None => (schema, pointer),
    };
    Some(inner.get("$ref").and_then(Value::as_str).map_or(place, |place| place.trim_start_matches('#').to_owned()))
}

/// Adds the comments of the declarations to the schemas of their types.
fn describe(types: &mut Definitions) {
    let comments = comments();
    let type_of = |schema: &Value| {
        let schema = schema.get("anyOf").and_then(|any| any.get(0)).unwrap_or(schema);
        schema.get("$ref")?.as_str()?.strip_prefix("#/$defs/").map(str::to_owned)
    };
    for (name, schema) in types.iter_mut() {
        let Some(comment) = comments.get(name) else { panic!("no declaration of {name} in SOURCES") };
        let mut description = comment.text.clone();
        if let Some(names) = schema.get("enum").and_then(Value::as_array) {
            assert_eq!(names.len(), comment.members.len(), "json_enum! lists the variants of {name} in their order");
            for (name, variant) in names.iter().zip(&comment.members) {
                description += &format!("\n\n`{}`: {}", name.as_str().unwrap(), variant.1);
            }
        }
        let described = |member: &str| comment.members.iter().find(|(name, _)| name == member).map(|(_, text)| text);
        for (member, schema) in schema.get_mut("properties").and_then(Value::as_object_mut).into_iter().flatten() {
            if member == "extends" {
                schema["description"] = "The built-in profile that has the other values.".into();
                continue;
            }
            let of_type = || comments.get(&type_of(schema)?).map(|comment| &comment.text);
            let text = described(member).filter(|text| !text.is_empty()).or_else(of_type);
            let text = text.unwrap_or_else(|| panic!("{name}.{member} has no comment")).clone();
            schema.as_object_mut().unwrap().insert("description".to_owned(), text.into());
        }
        schema.as_object_mut().unwrap().insert("description".to_owned(), description.into());
    }
}

/// The comment at a type, and those at its members, in their order.
struct Comment {
    text: String,
    members: Vec<(String, String)>,
}

fn comments() -> BTreeMap<String, Comment> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut comments = BTreeMap::new();
    for source in SOURCES {
        let file = syn::parse_file(&fs::read_to_string(folder.join(source)).unwrap()).unwrap();
        for item in file.items {
            let (name, attributes, members) = match item {
                Item::Struct(item) => match item.fields {
                    Fields::Named(fields) => {
                        let member =
                            |field: &syn::Field| (field.ident.as_ref().unwrap().to_string(), text(&field.attrs));
                        (item.ident, item.attrs, fields.named.iter().map(member).collect())
                    }
                    _ => continue,
                },
                Item::Enum(item) => {
                    let variant = |variant: &syn::Variant| (variant.ident.to_string(), text(&variant.attrs));
                    (item.ident, item.attrs, item.variants.iter().map(variant).collect())
                }
                _ => continue,
            };
            comments.insert(name.to_string(), Comment { text: text(&attributes), members });
        }
    }
    comments
}

/// The comment among attributes: its lines joined, paragraphs apart. What is `None` in Rust is null in a document.
fn text(attributes: &[Attribute]) -> String {
    let mut text = String::new();
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("doc")) {
        let Meta::NameValue(pair) = &attribute.meta else { continue };
        let Expr::Lit(ExprLit { lit: Lit::Str(line), .. }) = &pair.value else { continue };
        match line.value().trim() {
            "" => text.push_str("\n\n"),
            line => {
                if !text.is_empty() && !text.ends_with('\n') {
                    text.push(' ');
                }
                text.push_str(line);
            }
        }
    }
    text.replace("`None`", "`null`")
}

#[test]
fn the_schema_in_the_documents_is_up_to_date() {
    let (schema, file) = (schema(), Path::new(env!("CARGO_MANIFEST_DIR")).join(FILE));
    assert!(jsonschema::draft202012::meta::is_valid(&schema));
    let text = format!("{schema:#}\n");
    if std::env::var_os("DCR_WRITE_DOCS").is_some() {
        fs::write(&file, &text).unwrap();
    }
    let written = fs::read_to_string(&file).unwrap_or_default();
    assert!(written == text, "{FILE} is out of date: run `make docs`");
}
