//! `fed-bbpt federation`: what an organiser does without the page.

use super::{block_on, say};
use crate::Failure;
use crate::participant::aggregator::{Aggregator, ApiError};
use crate::task_source;
use clap::{Args, Subcommand};
use serde::Serialize;
use shared::round::messages::{CreateFederation, Invite};

/// What `fed-bbpt federation` takes.
#[derive(Args)]
pub struct FederationArgs {
    /// The aggregator.
    #[arg(long, default_value = "http://127.0.0.1:8700", global = true)]
    server: String,
    /// The organiser's token.
    #[arg(
        long,
        env = "FED_BBPT_ADMIN_TOKEN",
        hide_env_values = true,
        global = true
    )]
    admin_token: Option<String>,
    /// Answer in JSON.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Create one from a task file, or from a built-in task.
    Create {
        /// TOML file or built-in name.
        task: String,
        /// Replace a setting of the task: `model.url=http://host:8701` (repeatable).
        #[arg(long = "set", value_name = "PATH=VALUE")]
        set: Vec<String>,
    },
    /// Check a task file without a server.
    Check {
        /// TOML file or built-in name.
        task: String,
    },
    /// List all.
    List,
    /// Show one.
    Show {
        /// Its id.
        id: String,
    },
    /// Make one more invite.
    Invite {
        /// Its id.
        id: String,
    },
    /// Close one: the round under way ends, nobody can join.
    Close {
        /// Its id.
        id: String,
    },
}

/// Does it.
pub fn run(args: FederationArgs) -> Result<(), Failure> {
    if let What::Check { task } = &args.what {
        let task = task_source::load(task, &[]).map_err(Failure::usage)?;
        say(&format!("{}: no faults; hash {}", task.name, task.hash()));
        return Ok(());
    }
    block_on(async {
        let aggregator =
            Aggregator::new(&args.server, args.admin_token.clone()).map_err(Failure::failed)?;
        match &args.what {
            What::Check { .. } => Ok(()),
            What::Create { task, set } => {
                let task = task_source::load(task, set).map_err(Failure::usage)?;
                let body = CreateFederation {
                    task_toml: None,
                    task: Some(task.source().clone()),
                };
                show(&args, aggregator.create(&body).await, |i| {
                    link(&args.server, i)
                })
            }
            What::List => show(&args, aggregator.list().await, |list| {
                let line = |f: &shared::round::messages::FederationSummary| {
                    format!(
                        "{}  {:?}  {}/{} updates  {} live  {}",
                        f.id, f.status, f.step, f.steps, f.live, f.name
                    )
                };
                list.iter().map(line).collect::<Vec<_>>().join("\n")
            }),
            What::Show { id } => show(&args, aggregator.detail(id).await, |d| {
                let rounds = d.rounds.iter().map(|r| {
                    let share = f64::from(r.metrics.correct) / f64::from(r.metrics.total.max(1));
                    format!(
                        "round {:>4}  {:?}  {}/{} delivered  held-out accuracy {:.1}%",
                        r.round,
                        r.phase,
                        r.delivered,
                        r.cohort,
                        100.0 * share
                    )
                });
                std::iter::once(d.summary.name.clone())
                    .chain(rounds)
                    .collect::<Vec<_>>()
                    .join("\n")
            }),
            What::Invite { id } => show(&args, aggregator.invite(id).await, |i| {
                link(&args.server, i)
            }),
            What::Close { id } => show(&args, aggregator.close(id).await, |s| {
                format!("{} is {:?}", s.id, s.status)
            }),
        }
    })?
}

fn link(server: &str, invite: &Invite) -> String {
    format!(
        "{}/f/{}/#invite={}",
        server.trim_end_matches('/'),
        invite.federation,
        invite.invite
    )
}

fn show<T: Serialize>(
    args: &FederationArgs,
    answer: Result<T, ApiError>,
    words: impl Fn(&T) -> String,
) -> Result<(), Failure> {
    let answer = answer.map_err(Failure::failed)?;
    let json = || serde_json::to_string_pretty(&answer).map_err(Failure::failed);
    say(&if args.json { json()? } else { words(&answer) });
    Ok(())
}
