//! `fed-bbpt simulate`: the command around [`crate::simulate`].

use crate::Failure;
use crate::simulate::{self, SimulateArgs, SimulateError};

/// Runs the simulation and prints what it found.
pub fn run(args: &SimulateArgs) -> Result<(), Failure> {
    if !args.seeds.is_empty() {
        let found = simulate::several(args).map_err(failure)?;
        let json = || serde_json::to_string_pretty(&found).map_err(Failure::failed);
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
    let report = simulate::run(args).map_err(failure)?;
    let json = serde_json::to_string_pretty(&report).map_err(Failure::failed)?;
    if let Some(path) = &args.report {
        std::fs::write(path, &json).map_err(|cause| {
            Failure::failed(SimulateError::Write {
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

fn failure(error: SimulateError) -> Failure {
    match error {
        SimulateError::Task(_)
        | SimulateError::NoTest { .. }
        | SimulateError::TooFewShots { .. }
        | SimulateError::SameSplit(_)
        | SimulateError::Partition(_)
        | SimulateError::TooFew { .. }
        | SimulateError::MaskedAttack
        | SimulateError::NoInstructions
        | SimulateError::Data(_) => Failure::usage(error),
        other => Failure::failed(other),
    }
}
