//! The OpenAPI document, made from [`super::ENDPOINTS`] and from the types that handlers take and
//! return.
//! return.

use super::{Caller, Endpoint};
use federation::round::messages::Problem;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

/// Makes the schema of a body; the types to which it refers go into the generator.
pub(crate) type Shape = fn(&mut SchemaGenerator) -> Schema;

/// The schema of a type in JSON.
pub(super) fn of<T: JsonSchema>(all: &mut SchemaGenerator) -> Schema {
    all.subschema_for::<T>()
}

/// The schema of bytes, which the endpoint's summary describes.
pub(super) fn bytes(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "format": "binary" })
}

pub(super) fn update(_: &mut SchemaGenerator) -> Schema {
    postcard("Update")
}

pub(super) fn sum_message(_: &mut SchemaGenerator) -> Schema {
    postcard("SumMessage")
}

pub(super) fn sum_input(_: &mut SchemaGenerator) -> Schema {
    postcard("SumInput")
}

fn postcard(name: &str) -> Schema {
    let description = format!(
        "Binary: one version byte, then postcard of {name} in shared/federation/src/round/messages.rs."
    );
    json_schema!({ "type": "string", "format": "binary", "description": description })
}

/// The OpenAPI document of these endpoints.
pub(super) fn document(endpoints: &[Endpoint]) -> Value {
    let settings = SchemaSettings::draft2020_12()
        .with(|settings| settings.definitions_path = "/components/schemas".into());
    // Something with a default may be missing in a request, but never is in an answer.
    let mut taken = settings.clone().for_deserialize().into_generator();
    let mut given = settings.for_serialize().into_generator();
    let mut paths = Map::new();
    for endpoint in endpoints {
        let methods = paths.entry(endpoint.path).or_insert_with(|| json!({}));
        methods[endpoint.method] = operation(endpoint, &mut taken, &mut given);
    }
    let mut schemas = taken.take_definitions(true);
    schemas.extend(given.take_definitions(true));
    let bearer = |what: &str| json!({ "type": "http", "scheme": "bearer", "description": what });
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Fed-BBPT aggregator",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Federations, participants and rounds. Errors are problem documents with a stable code.",
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "organiser": bearer("The organiser's token."),
                "participant": bearer("The token from joining."),
            },
        },
    })
}

fn operation(
    endpoint: &Endpoint,
    taken: &mut SchemaGenerator,
    given: &mut SchemaGenerator,
) -> Value {
    let (status, kind, shape) = endpoint.response;
    let mut answer = json!({ "description": "Done." });
    if !kind.is_empty() {
        answer["content"] = json!({ kind: { "schema": shape(given) } });
    }
    let in_path = endpoint
        .path
        .split('/')
        .filter_map(|s| s.strip_prefix('{')?.strip_suffix('}'))
        .map(|name| parameter(name, "path", "In the address."));
    let in_query = endpoint
        .query
        .iter()
        .map(|(name, meaning)| parameter(name, "query", meaning));
    let parameters: Vec<Value> = in_path.chain(in_query).collect();
    let mut operation = json!({
        "summary": endpoint.summary,
        "parameters": parameters,
        "responses": {
            status.to_string(): answer,
            "default": {
                "description": "Refused; the problem's code says why.",
                "content": { "application/problem+json": { "schema": of::<Problem>(given) } },
            },
        },
    });
    if let Some((kind, shape)) = endpoint.request {
        operation["requestBody"] =
            json!({ "required": true, "content": { kind: { "schema": shape(taken) } } });
    }
    let scheme = match endpoint.caller {
        Caller::Anybody => return operation,
        Caller::Organiser => "organiser",
        Caller::Participant => "participant",
    };
    operation["security"] = json!([{ scheme: [] }]);
    operation
}

fn parameter(name: &str, place: &str, meaning: &str) -> Value {
    let number = matches!(name, "round" | "after" | "wait_ms" | "from");
    json!({
        "name": name,
        "in": place,
        "required": place == "path",
        "description": meaning,
        "schema": { "type": if number { "integer" } else { "string" } },
    })
}
