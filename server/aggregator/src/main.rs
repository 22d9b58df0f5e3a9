//! The aggregator alone. `fed-bbpt serve` is the same as part of the whole command line.
//!
//! Exit codes: 0 after an orderly end, 1 when the server failed, 2 for wrong flags or settings.

use aggregator::{RealClock, ServeArgs, ServeError, interrupted, serve};
use clap::Parser;
use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::sync::Arc;

/// Runs the aggregator of Fed-BBPT.
#[derive(Parser)]
#[command(version)]
struct Flags {
    #[command(flatten)]
    serve: ServeArgs,
}

fn main() -> ExitCode {
    let flags = Flags::parse();
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_env_filter(aggregator::log_filter("warn,listener=info,aggregator=info"))
        .init();
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("aggregator-only: {error}");
            return ExitCode::from(1);
        }
    };
    let announce = |line: &str| {
        println!("{line}");
        // A pipe buffers, and the process that started us waits for this line. A closed pipe is its
        // choice.
        let _ = std::io::stdout().flush();
    };
    let outcome = runtime.block_on(serve(
        flags.serve,
        Arc::new(RealClock),
        announce,
        interrupted(),
    ));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("aggregator-only: {error}");
            ExitCode::from(if matches!(error, ServeError::Config(_)) {
                2
            } else {
                1
            })
        }
    }
}
