//! `fed-bbpt`: federated black-box prompt tuning from the command line.
//!
//! Exit codes are in [`EXIT_CODES`].

mod commands;
mod native;
mod propose;
mod simulate;
mod task_source;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use datasets as data;
use std::process::ExitCode;

/// The end of every command's help.
const EXIT_CODES: &str = "Exit codes:
  0  success, or an orderly end
  1  something failed on the way
  2  wrong flags, settings or files; nothing was started
  3  a goal was not reached (demo --once, candidates --propose), or the money of join is spent
  4  what was agreed to has changed, and join was not told to accept it (--accept-changes)";

/// Federated black-box prompt tuning.
#[derive(Parser)]
#[command(version, about, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Log more, on standard error.
    #[arg(long, short, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
}

#[derive(Subcommand)]
enum Command {
    /// Run the aggregator: federations, rounds, and the page that owners open.
    Serve(Box<aggregator::ServeArgs>),
    /// Run a model API over an image classifier or a text model in ONNX.
    ModelApi(Box<model_api::ModelApiArgs>),
    /// Proxy a model API that browsers cannot call; your key stays here.
    Relay(Box<commands::relay::RelayArgs>),
    /// Run everything at once on this machine, with built-in owners.
    Demo(commands::demo::DemoArgs),
    /// Take part in a federation without a browser.
    Join(commands::join::JoinArgs),
    /// Compare federated, local-only and centralised tuning in one process.
    Simulate(Box<simulate::SimulateArgs>),
    /// Show the papers' data sets as ready-made task files.
    Recipes(commands::recipes::RecipesArgs),
    /// Find words for text prompts in public text, or instructions: from a file, or proposed by an LLM.
    Candidates(commands::candidates::CandidatesArgs),
    /// Extract what soft prompts need from an open language model: its tokenizer and its table of
    /// input embeddings.
    Embeddings(commands::embeddings::EmbeddingsArgs),
    /// Download a federation's prompt generator.
    Export(commands::export::ExportArgs),
    /// Recompute and verify a federation's record.
    Audit(commands::audit::AuditArgs),
    /// Create, list, inspect and close federations.
    Federation(commands::federation::FederationArgs),
}

/// What the relay logs: its own messages, and none of the libraries below it.
const RELAY_LOG: &str = "off,relay=info";

/// How a command ended badly.
pub enum CliError {
    /// Something failed on the way: exit code 1.
    Failed(String),
    /// The flags, settings or files are wrong: exit code 2.
    Usage(String),
    /// Everything ran, but a goal was not reached: exit code 3.
    NotReached(String),
    /// Something that a data owner agreed to has changed: exit code 4.
    NotAgreed(String),
}

impl CliError {
    /// From any error that happened on the way.
    pub fn failed(error: impl std::fmt::Display) -> Self {
        Self::Failed(error.to_string())
    }

    /// What is said to the caller.
    pub fn message(&self) -> &str {
        let (Self::Failed(message)
        | Self::Usage(message)
        | Self::NotReached(message)
        | Self::NotAgreed(message)) = self;
        message
    }

    /// From any error that the caller can mend.
    pub fn usage(error: impl std::fmt::Display) -> Self {
        Self::Usage(error.to_string())
    }
}

fn main() -> ExitCode {
    let matches = Cli::command()
        .after_help(EXIT_CODES)
        .mut_subcommands(|command| command.after_help(EXIT_CODES))
        .get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let level = [
        match cli.command {
            Command::Demo(_) => "warn",
            Command::Relay(_) => RELAY_LOG,
            _ => "warn,listener=info,aggregator=info,model_api=info",
        },
        "info",
        "debug",
        "trace",
    ][usize::from(cli.verbose.min(3))];
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(commands::colours(&std::io::stderr()))
        .with_env_filter(match cli.command {
            // Fixed, because other crates' logs of a request may contain its address and with it
            // the token.
            Command::Relay(_) => tracing_subscriber::EnvFilter::new(RELAY_LOG),
            _ => aggregator::log_filter(level),
        })
        .init();
    // Fails only if a provider was installed before, and none was.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let outcome = match cli.command {
        Command::Serve(args) => commands::serve::serve(*args),
        Command::ModelApi(args) => commands::serve::model_api(*args),
        Command::Relay(args) => commands::relay::run(*args),
        Command::Demo(args) => commands::demo::run(&args),
        Command::Join(args) => commands::join::run(args),
        Command::Simulate(args) => commands::simulate::run(&args),
        Command::Recipes(args) => commands::recipes::run(&args),
        Command::Candidates(args) => commands::candidates::run(&args),
        Command::Embeddings(args) => commands::embeddings::run(&args),
        Command::Export(args) => commands::export::run(&args),
        Command::Audit(args) => commands::audit::run(&args),
        Command::Federation(args) => commands::federation::run(args),
    };
    let (code, text) = match outcome {
        Ok(()) => return ExitCode::SUCCESS,
        Err(CliError::Failed(text)) => (1, text),
        Err(CliError::Usage(text)) => (2, text),
        Err(CliError::NotReached(text)) => (3, text),
        Err(CliError::NotAgreed(text)) => (4, text),
    };
    eprintln!("fed-bbpt: {text}");
    ExitCode::from(code)
}
