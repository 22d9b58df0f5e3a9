//! `fed-bbpt simulate`: the command around [`crate::simulate`].

use crate::CliError;
use crate::simulate::{self, SimulateArgs, SimulateError};

/// Runs the simulation and prints what it found.
pub fn run(args: &SimulateArgs) -> Result<(), CliError> {
    if !args.seeds.is_empty() {
        let found = simulate::several(args).map_err(cli_error)?;
        let json = || serde_json::to_string_pretty(&found).map_err(CliError::failed);
        println!(
            "{}",
            match (args.json, args.markdown) {
                (true, _) => json()?,
                (false, true) => simulate::markdown(&found),
                (false, false) => simulate::lines(&found),
            }
        );
        return Ok(());
    }
    let report = simulate::run(args).map_err(cli_error)?;
    let json = serde_json::to_string_pretty(&report).map_err(CliError::failed)?;
    if let Some(path) = &args.report {
        std::fs::write(path, &json).map_err(|cause| {
            CliError::failed(SimulateError::Write {
                path: path.clone(),
                cause,
            })
        })?;
    }
    if args.json {
        println!("{json}");
    } else {
        println!("{}", simulate::table(&report));
    }
    Ok(())
}

fn cli_error(error: SimulateError) -> CliError {
    match error {
        SimulateError::Task(_)
        | SimulateError::NoTest { .. }
        | SimulateError::TooFewShots { .. }
        | SimulateError::SameSplit(_)
        | SimulateError::Partition(_)
        | SimulateError::TooFew { .. }
        | SimulateError::MaskedAttack
        | SimulateError::NoInstructions
        | SimulateError::Data(_) => CliError::usage(error),
        other => CliError::failed(other),
    }
}
