//! The OpenAPI document, written from [`ENDPOINTS`].

use super::{Caller, ENDPOINTS, Endpoint};
use serde_json::json;
use utoipa::openapi::path::{
    HttpMethod, Operation, OperationBuilder, Parameter, ParameterBuilder, ParameterIn,
};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    ComponentsBuilder, Content, InfoBuilder, ObjectBuilder, OpenApi, OpenApiBuilder, Paths, Ref,
    RefOr, Required, ResponseBuilder, Schema, Type, schema,
};

/// The document.
pub(super) fn document() -> OpenApi {
    let mut paths = Paths::new();
    for endpoint in ENDPOINTS {
        let method = match endpoint.method {
            "post" => HttpMethod::Post,
            "delete" => HttpMethod::Delete,
            _ => HttpMethod::Get,
        };
        paths.add_path_operation(endpoint.path, vec![method], operation(endpoint));
    }
    let bearer = |what: &str| {
        SecurityScheme::Http(
            HttpBuilder::new()
                .scheme(HttpAuthScheme::Bearer)
                .description(Some(what.to_owned()))
                .build(),
        )
    };
    let mut components = ComponentsBuilder::new()
        .security_scheme("organiser", bearer("The organiser's token."))
        .security_scheme("participant", bearer("The token from joining."))
        .schema("Problem", problem());
    for name in [
        "FederationSummary",
        "FederationDetail",
        "RoundView",
        "Progress",
        "Invite",
        "InviteSummary",
        "Joined",
        "Health",
    ] {
        components = components.schema(
            name,
            object(&format!(
                "See {name} in shared/federation/src/round/messages.rs."
            )),
        );
    }
    components = components
        .schema("CreateFederation", fields("Either the task file's text or the task as JSON.", &[], &[("task_toml", Type::String), ("task", Type::Object)]))
        .schema("CreateInvite", fields("May be left out: then the invite is for anybody and for ever.", &[], &[("expires_in_seconds", Type::Integer), ("uses", Type::Integer)]))
        .schema("JoinRequest", fields("An invite, and perhaps an identity that signs join_statement in shared/federation/src/round/messages.rs.", &["invite"], &[("invite", Type::String), ("identity", Type::String), ("proof", Type::String)]))
        .schema("Enrolment", fields("The θ that the update starts from.", &["theta"], &[("theta", Type::String)]))
        .schema("Update", binary("Update"))
        .schema("SumMessage", binary("SumMessage"))
        .schema("SumInput", binary("SumInput"));
    OpenApiBuilder::new()
        .info(
            InfoBuilder::new()
                .title("Fed-BBPT aggregator")
                .version(env!("CARGO_PKG_VERSION"))
                .description(Some(
                    "Federations, participants and rounds. Errors are problem documents with a stable code.",
                ))
                .build(),
        )
        .paths(paths)
        .components(Some(components.build()))
        .build()
}

fn operation(endpoint: &Endpoint) -> Operation {
    let (status, kind, name) = endpoint.response;
    let mut answer = ResponseBuilder::new().description("Done.");
    if !kind.is_empty() {
        answer = answer.content(kind, Content::new(Some(schema_of(name))));
    }
    let problem = ResponseBuilder::new()
        .description("Refused; the problem's code says why.")
        .content(
            "application/problem+json",
            Content::new(Some(schema_of("Problem"))),
        );
    let mut operation = OperationBuilder::new()
        .summary(Some(endpoint.summary))
        .response(status.to_string(), answer.build())
        .response("default", problem.build());
    for segment in endpoint
        .path
        .split('/')
        .filter_map(|s| s.strip_prefix('{')?.strip_suffix('}'))
    {
        operation = operation.parameter(parameter(segment, ParameterIn::Path, "In the address."));
    }
    for (name, meaning) in endpoint.query {
        operation = operation.parameter(parameter(name, ParameterIn::Query, meaning));
    }
    if let Some((kind, name)) = endpoint.request {
        let body = RequestBodyBuilder::new()
            .content(kind, Content::new(Some(schema_of(name))))
            .required(Some(Required::True))
            .build();
        operation = operation.request_body(Some(body));
    }
    let scheme = match endpoint.caller {
        Caller::Anybody => return operation.build(),
        Caller::Organiser => "organiser",
        Caller::Participant => "participant",
    };
    operation
        .security(SecurityRequirement::new(scheme, Vec::<String>::new()))
        .build()
}

fn parameter(name: &str, place: ParameterIn, meaning: &str) -> Parameter {
    let required = if place == ParameterIn::Path {
        Required::True
    } else {
        Required::False
    };
    let number = matches!(name, "round" | "after" | "wait_ms" | "from");
    let kind = if number { Type::Integer } else { Type::String };
    ParameterBuilder::new()
        .name(name)
        .parameter_in(place)
        .required(required)
        .description(Some(meaning))
        .schema(Some(ObjectBuilder::new().schema_type(kind).build()))
        .build()
}

fn schema_of(name: &str) -> RefOr<Schema> {
    let text = ObjectBuilder::new().schema_type(Type::String);
    match name.strip_suffix("[]") {
        Some(member) => {
            let array = schema::ArrayBuilder::new().items(Ref::from_schema_name(member));
            RefOr::T(Schema::Array(array.build()))
        }
        None => match name {
            "object" => object("JSON."),
            "text" => RefOr::T(Schema::Object(text.build())),
            "binary" => RefOr::T(Schema::Object(
                text.format(Some(schema::SchemaFormat::KnownFormat(
                    schema::KnownFormat::Binary,
                )))
                .build(),
            )),
            _ => RefOr::Ref(Ref::from_schema_name(name)),
        },
    }
}

fn binary(name: &str) -> RefOr<Schema> {
    object(&format!(
        "Binary: one version byte, then postcard of {name} in shared/federation/src/round/messages.rs."
    ))
}

fn object(description: &str) -> RefOr<Schema> {
    fields(description, &[], &[])
}

fn fields(description: &str, required: &[&str], members: &[(&str, Type)]) -> RefOr<Schema> {
    let mut object = ObjectBuilder::new().description(Some(description.to_owned()));
    for (name, kind) in members {
        object = object.property(
            *name,
            ObjectBuilder::new().schema_type(kind.clone()).build(),
        );
    }
    for name in required {
        object = object.required(*name);
    }
    RefOr::T(Schema::Object(object.build()))
}

fn problem() -> RefOr<Schema> {
    let members = [
        ("type", Type::String),
        ("status", Type::Integer),
        ("code", Type::String),
        ("title", Type::String),
        ("detail", Type::String),
        ("faults", Type::Array),
    ];
    let required = ["type", "status", "code", "title"];
    let mut schema = fields("RFC 9457.", &required, &members);
    if let RefOr::T(Schema::Object(object)) = &mut schema {
        object.examples = vec![json!({
            "type": "about:blank", "status": 409, "code": "wrong_round",
            "title": "this message belongs to another round; ask for the current one",
        })];
    }
    schema
}
