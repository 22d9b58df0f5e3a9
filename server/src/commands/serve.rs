//! `fed-bbpt serve` and `fed-bbpt model-api`: the two servers, each on its own.

use super::{block_on, interrupted, say};
use crate::CliError;
use aggregator::{RealClock, ServeArgs, ServeError};
use model_api::ModelApiArgs;
use std::net::TcpListener;
use std::sync::Arc;

/// Runs the aggregator until Ctrl-C.
pub fn serve(args: ServeArgs) -> Result<(), CliError> {
    block_on(aggregator::serve(
        args,
        Arc::new(RealClock),
        say,
        interrupted(),
    ))?
    .map_err(|error| match error {
        ServeError::Config(faults) => CliError::usage(faults),
        other => CliError::failed(other),
    })
}

/// Runs the model API until Ctrl-C.
pub fn model_api(args: ModelApiArgs) -> Result<(), CliError> {
    let config = args.into_config().map_err(CliError::usage)?;
    let listener = TcpListener::bind(config.listen).map_err(|e| {
        CliError::failed(format!(
            "cannot listen on {}: {e}; choose another with --listen",
            config.listen
        ))
    })?;
    let address = listener.local_addr().map_err(CliError::failed)?;
    let names: Vec<&str> = config.models.iter().map(|model| &*model.name).collect();
    say(&format!(
        "model API for {} at http://{address}",
        names.join(", ")
    ));
    block_on(model_api::run(listener, config, interrupted()))?.map_err(CliError::failed)
}
