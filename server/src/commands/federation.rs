//! `fed-bbpt federation`: the organiser's tasks without the page.

use super::{block_on, say, say_json, word};
use crate::CliError;
use crate::native::transport::aggregator;
use crate::task_source;
use clap::{Args, Subcommand};
use federation::round::messages::{CreateFederation, CreateInvite, Invite, InviteSummary};
use federation::task::Task;
use ground::fault::Faults;
use participant::api::ApiError;
use serde::Serialize;
use serde_json::json;
use std::time::{SystemTime, UNIX_EPOCH};

/// The arguments of `fed-bbpt federation`.
#[derive(Args)]
pub struct FederationArgs {
    /// Address of the aggregator.
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
    /// Create a federation from a task file or a built-in task.
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
        /// Replace a setting of the task: `model.url=http://host:8701` (repeatable).
        #[arg(long = "set", value_name = "PATH=VALUE")]
        set: Vec<String>,
    },
    /// List all federations.
    List,
    /// Show a federation.
    Show {
        /// The federation's id.
        id: String,
    },
    /// Make another invite.
    Invite {
        /// The federation's id.
        id: String,
        /// How long the invite is valid: 90s, 30m, 12h, 7d [default: for ever].
        #[arg(long, value_name = "TIME", value_parser = parse_span)]
        expires: Option<u64>,
        /// Maximum participants who may join with it [default: any number].
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
        uses: Option<u32>,
    },
    /// List a federation's invites: ids and states, never the secrets.
    Invites {
        /// The federation's id.
        id: String,
    },
    /// Revoke an invite. Participants who joined with it stay.
    Revoke {
        /// The federation's id.
        id: String,
        /// The invite's id, as `invites` lists it.
        invite: String,
    },
    /// Close a federation: the current round is completed, and nobody can join.
    Close {
        /// The federation's id.
        id: String,
    },
}

/// Runs the command.
pub fn run(args: FederationArgs) -> Result<(), CliError> {
    if let What::Check { task, set } = &args.what {
        let task = task_source::load(task, set).map_err(CliError::usage)?;
        let task = as_created(&task).map_err(CliError::usage)?;
        let secure = task.federation.secure;
        if args.json {
            return say_json(&json!({
                "name": task.name, "hash": task.hash(), "parameters": task.dim(),
                "smallest_sum": secure.map(|secure| secure.smallest_sum()),
            }));
        }
        say(&format!("{}: no faults; hash {}", task.name, task.hash()));
        say(&seen(&task));
        return Ok(());
    }
    block_on(async {
        let aggregator =
            aggregator(&args.server, args.admin_token.clone()).map_err(CliError::failed)?;
        match &args.what {
            What::Check { .. } => Ok(()),
            What::Create { task, set } => {
                let task = task_source::load(task, set).map_err(CliError::usage)?;
                let task = as_created(&task).map_err(CliError::usage)?;
                // Beside the link, which is the answer.
                eprintln!("{}", seen(&task));
                let body = CreateFederation {
                    task_toml: None,
                    task: Some(task.source().clone()),
                };
                show(&args, aggregator.create(&body).await, |i| {
                    link(&args.server, i)
                })
            }
            What::List => show(&args, aggregator.list().await, |list| {
                let line = |f: &federation::round::messages::FederationSummary| {
                    format!(
                        "{}  {}  {}/{} updates  {} live  {}",
                        f.id,
                        word(&f.status),
                        f.step,
                        f.steps,
                        f.live,
                        f.name
                    )
                };
                list.iter().map(line).collect::<Vec<_>>().join("\n")
            }),
            What::Show { id } => show(&args, aggregator.detail(id).await, |d| {
                let rounds = d.rounds.iter().map(|r| {
                    let share = f64::from(r.metrics.correct) / f64::from(r.metrics.total.max(1));
                    format!(
                        "round {:>4}  {}  {}/{} delivered  held-out accuracy {:.1}%",
                        r.round,
                        word(&r.phase),
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
            What::Invite { id, expires, uses } => {
                let wish = CreateInvite {
                    expires_in_seconds: *expires,
                    uses: *uses,
                };
                show(&args, aggregator.invite(id, &wish).await, |i| {
                    link(&args.server, i)
                })
            }
            What::Invites { id } => {
                let now = SystemTime::now()
                    .duration_since(UNIX_EPOCH)
                    .map_or(0, |d| d.as_millis() as u64);
                show(&args, aggregator.invites(id).await, |list| {
                    let lines: Vec<_> = list.iter().map(|i| standing(i, now)).collect();
                    lines.join("\n")
                })
            }
            What::Revoke { id, invite } => show(&args, aggregator.revoke(id, invite).await, |i| {
                format!("{} is revoked; {} had joined with it", i.id, i.used)
            }),
            What::Close { id } => show(&args, aggregator.close(id).await, |s| {
                format!("{} is {}", s.id, word(&s.status))
            }),
        }
    })?
}

/// The task of a federation that is created from `task`: with secure sums, unless it says that it has
/// none, and with the optimiser that suits it, unless it says something about that.
fn as_created(task: &Task) -> Result<Task, Faults> {
    let source = Task::tuned_by_default(task.source().clone());
    Task::from_value(Task::private_by_default(source))
}

/// What the organiser sees of updates, in a sentence.
fn seen(task: &Task) -> String {
    match task.federation.secure {
        Some(secure) => format!(
            "updates are summed under masks: the organiser sees only sums over {} participants or more",
            secure.smallest_sum()
        ),
        None => "no secure sums: the organiser sees each participant's update by itself".to_owned(),
    }
}

/// The invite as a link to the address at which, as the server says, people reach it, or else to
/// the address that was asked.
fn link(server: &str, invite: &Invite) -> String {
    let server = invite.public_url.as_deref().unwrap_or(server);
    format!(
        "{}/f/{}/#invite={}",
        server.trim_end_matches('/'),
        invite.federation,
        invite.invite
    )
}

/// A line about one invite.
fn standing(invite: &InviteSummary, now: u64) -> String {
    let used = match invite.uses {
        Some(uses) => format!("{} of {uses} uses", invite.used),
        None => format!("{} uses", invite.used),
    };
    let end = match invite.expires_at {
        Some(at) if at <= now => "expired".to_owned(),
        Some(at) => format!("expires in {}", span((at - now).div_ceil(1_000))),
        None => "does not expire".to_owned(),
    };
    let end = if invite.revoked { "revoked" } else { &end };
    format!("{}  {used}  {end}", invite.id)
}

/// Units of time, largest first, in seconds.
const UNITS: [(char, u64); 4] = [('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];

/// Reads a time such as `7d` as seconds.
fn parse_span(text: &str) -> Result<u64, String> {
    let parse = || {
        let unit = text.chars().last()?;
        let (_, seconds) = UNITS.into_iter().find(|(name, _)| *name == unit)?;
        let count: u64 = text.strip_suffix(unit)?.parse().ok()?;
        count.checked_mul(seconds).filter(|span| *span > 0)
    };
    parse().ok_or_else(|| "give a number and a unit: 90s, 30m, 12h or 7d".to_owned())
}

/// Seconds as text, such as `6d 23h`: the largest unit and the next.
fn span(seconds: u64) -> String {
    let mut parts = Vec::new();
    let mut rest = seconds;
    for (name, unit) in UNITS {
        if rest >= unit || !parts.is_empty() {
            parts.push((rest / unit, name));
            rest %= unit;
        }
    }
    let shown = parts.into_iter().take(2).filter(|(count, _)| *count > 0);
    let words: Vec<_> = shown
        .map(|(count, name)| format!("{count}{name}"))
        .collect();
    words.join(" ")
}

fn show<T: Serialize>(
    args: &FederationArgs,
    answer: Result<T, ApiError>,
    words: impl Fn(&T) -> String,
) -> Result<(), CliError> {
    let answer = answer.map_err(CliError::failed)?;
    if args.json {
        return say_json(&answer);
    }
    say(&words(&answer));
    Ok(())
}

#[cfg(test)]
mod tests;
