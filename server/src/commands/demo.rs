//! `fed-bbpt demo`: the model API and the aggregator on two origins, a federation about
//! handwriting, and a few built-in owners. A visitor's tab can join as one more owner.

use super::join::{built_in, workbench};
use super::{block_on, interrupted, say};
use crate::CliError;
use crate::native::identity;
use crate::native::platform::{Leisure, Native};
use crate::native::state::Saved;
use crate::native::transport::{self, Aggregator};
use crate::task_source;
use aggregator::{AggregatorConfig, RealClock, Secret};
use clap::Args;
use federation::round::client::{Client, StopReason};
use federation::round::messages::{
    CreateFederation, FederationDetail, Invite, Metrics, RoundRecord,
};
use federation::round::phase::Phase;
use federation::task::Task;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use ground::hex::hex;
use model_api::ModelApiConfig;
use model_client::tally::Tally;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Accuracy below which the demonstration starts, and the accuracy that it must reach. It ends higher,
/// but four owners report rounded shares, so what is shown is a few points off either way.
const FROM: f64 = 0.20;
const TO: f64 = 0.70;
/// Number of examples of each built-in owner.
const EXAMPLES: usize = 160;
/// How long a phase of a secure sum waits for those who have not answered, in milliseconds.
const SUM_PATIENCE_MS: u32 = 10_000;
/// Pause of each owner after an update, while no visitor is there.
const LEISURE: Duration = Duration::from_secs(4);

/// The arguments of `fed-bbpt demo`.
#[derive(Args)]
pub struct DemoArgs {
    /// Folder of the built page (web/dist); without it there is no page to visit.
    #[arg(long, value_name = "FOLDER")]
    web: Option<PathBuf>,
    /// Number of built-in owners.
    #[arg(long, default_value_t = 4)]
    owners: u32,
    /// Run one federation to its end without a visitor, print a table, and exit 0 if accuracy rose from under
    /// 20% to over 70% (else 3).
    #[arg(long)]
    once: bool,
    /// The aggregator's port; 0 takes a free one.
    #[arg(long, default_value_t = 8700)]
    port: u16,
    /// The model API's port; 0 takes a free one.
    #[arg(long, default_value_t = 8701)]
    model_port: u16,
    /// Number of rounds, instead of the task's.
    #[arg(long)]
    rounds: Option<u32>,
    /// Replace a setting of the task: `federation.secure_sum=false` (repeatable; the value is JSON or a
    /// text).
    #[arg(long = "set", value_name = "PATH=VALUE")]
    overrides: Vec<String>,
}

/// Starts everything and runs until Ctrl-C, or with `--once` until the federation has finished.
pub fn run(args: &DemoArgs) -> Result<(), CliError> {
    let folder = private_folder().map_err(CliError::failed)?;
    let (page, url) = listen(args.port)?;
    let (model, model_url) = listen(args.model_port)?;
    let token = Secret::random().map_err(CliError::failed)?;
    let mut serve = AggregatorConfig::new(folder.path().join("demo.sqlite"), token.clone());
    serve.temporary = true;
    serve.web.clone_from(&args.web);
    let answer = ModelApiConfig {
        allow_origins: vec![url.clone()],
        ..ModelApiConfig::default()
    };
    block_on(async {
        let (stop, stopped) = watch::channel(false);
        let until = |mut stopped: watch::Receiver<bool>| async move {
            // An error means that the sender is gone, which asks for the same.
            let _ = stopped.wait_for(|s| *s).await;
        };
        let mut servers = JoinSet::new();
        let (first, second) = (until(stopped.clone()), until(stopped));
        servers.spawn(async move {
            aggregator::run(page, serve, Arc::new(RealClock), first)
                .await
                .map_err(CliError::failed)
        });
        servers.spawn(async move {
            model_api::run(model, answer, second)
                .await
                .map_err(CliError::failed)
        });
        let demo = Demo {
            args,
            url,
            model_url,
            token: token.reveal().to_owned(),
        };
        let outcome = tokio::select! {
            outcome = demo.run() => outcome,
            ended = servers.join_next() => Err(match ended {
                Some(Ok(Err(error))) => error,
                _ => CliError::failed("a server ended early"),
            }),
            () = interrupted() => Ok(()),
        };
        // The servers end in order; an error would change nothing here.
        let _ = stop.send(true);
        while servers.join_next().await.is_some() {}
        outcome
    })?
}

/// A folder for the demonstration's database, which on Unix only its owner can enter.
fn private_folder() -> std::io::Result<tempfile::TempDir> {
    let mut folder = tempfile::Builder::new();
    folder.prefix("fed-bbpt-demo-");
    #[cfg(unix)]
    folder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700));
    folder.tempdir()
}

/// A listener on the loopback interface, and its origin. The two servers have different ports, and
/// so different origins.
fn listen(port: u16) -> Result<(TcpListener, String), CliError> {
    let listener = TcpListener::bind(("127.0.0.1", port)).map_err(|e| {
        CliError::failed(format!(
            "cannot listen on port {port}: {e}; choose others with --port and --model-port"
        ))
    })?;
    let address = listener.local_addr().map_err(CliError::failed)?;
    Ok((listener, format!("http://{address}")))
}

struct Demo<'a> {
    args: &'a DemoArgs,
    url: String,
    model_url: String,
    token: String,
}

impl Demo<'_> {
    /// Runs one federation after another, so that the page always has work.
    async fn run(&self) -> Result<(), CliError> {
        let organiser =
            transport::aggregator(&self.url, Some(self.token.clone())).map_err(CliError::failed)?;
        say(&format!("model API  {}", self.model_url));
        say(&format!("aggregator {}", self.url));
        loop {
            let begun = Instant::now();
            let (task, invite) = self.create(&organiser).await?;
            // Concurrently on this task, because they mostly wait for the model.
            let mut owners = FuturesUnordered::new();
            for number in 0..self.args.owners {
                let owner = self.owner(&task, &invite, u64::from(number) + 1).await?;
                owners.push(own(owner));
            }
            if self.args.web.is_some() {
                say(&format!(
                    "take part  {}/f/{}/#invite={}",
                    self.url, invite.federation, invite.invite
                ));
                say(&format!("watch      {}/?f={}", self.url, invite.federation));
                say(&format!(
                    "server     {}/?f={}#server-view   what it can and cannot see",
                    self.url, invite.federation
                ));
                say(&format!(
                    "organise   {}/organiser   token {}",
                    self.url, self.token
                ));
            }
            while let Some(ended) = owners.next().await {
                ended?;
            }
            let detail = organiser
                .detail(&invite.federation)
                .await
                .map_err(CliError::failed)?;
            let (first, last) = table(&detail, begun.elapsed());
            if self.args.once {
                return if first < FROM && last > TO {
                    Ok(())
                } else {
                    Err(CliError::NotReached(format!(
                        "accuracy went from {:.1}% to {:.1}%; it should rise from under 20% to over 70%",
                        100.0 * first,
                        100.0 * last
                    )))
                };
            }
        }
    }

    async fn create(&self, organiser: &Aggregator) -> Result<(Task, Invite), CliError> {
        let mut set = vec![format!("model.url={}", self.model_url)];
        set.extend(self.args.rounds.map(|r| format!("federation.rounds={r}")));
        // A visitor who closes the page in the middle of a sum is not waited for long.
        for phase in ["keys", "shares", "masked", "confirm", "unmask"] {
            let of = format!("federation.secure_sum.{phase}");
            set.push(format!("{of}.time_min_ms={SUM_PATIENCE_MS}"));
            set.push(format!("{of}.time_max_ms={}", 3 * SUM_PATIENCE_MS));
        }
        set.extend(self.args.overrides.iter().cloned());
        let task = task_source::load("handwriting", &set).map_err(CliError::usage)?;
        let body = CreateFederation {
            task_toml: None,
            task: Some(task.source().clone()),
        };
        // The aggregator may still be starting.
        let mut tries = 0;
        loop {
            match organiser.create(&body).await {
                Ok(invite) => return Ok((task, invite)),
                Err(error) if tries == 50 => return Err(CliError::failed(error)),
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
            tries += 1;
        }
    }

    async fn owner(&self, task: &Task, invite: &Invite, seed: u64) -> Result<Native, CliError> {
        let aggregator = transport::aggregator(&self.url, None).map_err(CliError::failed)?;
        let identity = identity::fresh().map_err(CliError::failed)?;
        let public = hex(&identity.public());
        let joined = aggregator
            .join(&invite.federation, &invite.invite, &identity)
            .await
            .map_err(CliError::failed)?;
        let bench = workbench(
            task.clone(),
            joined.participant,
            built_in(task, seed, EXAMPLES)?,
        )?
        .with_secrets(identity::secrets(identity));
        let saved = Saved {
            aggregator: self.url.clone(),
            federation: invite.federation.clone(),
            token: joined.token.clone(),
            identity: public,
            task: joined.task,
            examples: EXAMPLES,
            data: String::new(),
            agreed: None,
            tally: Tally::default(),
            client: Client::new(joined.participant),
            is_outdated: false,
        };
        let model = transport::model_api(task, None, None).map_err(CliError::failed)?;
        aggregator.set_token(Some(joined.token));
        let owner = Native::new(bench, saved, None, aggregator, model, Box::new(|_| {}));
        let leisure = Leisure {
            owners: self.args.owners,
            pause: LEISURE,
        };
        Ok(if self.args.once {
            owner
        } else {
            owner.at_leisure(leisure)
        })
    }
}

async fn own(owner: Native) -> Result<StopReason, CliError> {
    participant::run(&owner).await.map_err(CliError::failed)
}

/// Prints how the federation went; returns its first and its last accuracy.
fn table(detail: &FederationDetail, took: Duration) -> (f64, f64) {
    let accuracy = |m: &Metrics| f64::from(m.correct) / f64::from(m.total.max(1));
    let done: Vec<&RoundRecord> = detail
        .rounds
        .iter()
        .filter(|r| r.phase == Phase::Done)
        .collect();
    say("");
    say(&format!(
        "{:>7} {:>8} {:>10} {:>12} {:>10}",
        "update", "cohort", "accuracy", "queries", "KB up"
    ));
    let (mut queries, mut bytes) = (0u64, 0u64);
    for (i, record) in done.iter().enumerate() {
        queries += u64::from(record.metrics.queries);
        bytes += record.bytes_up;
        if i % 10 == 0 || i + 1 == done.len() {
            say(&format!(
                "{:>7} {:>8} {:>9.1}% {:>12} {:>10}",
                record.step,
                record.delivered,
                100.0 * accuracy(&record.metrics),
                queries,
                bytes / 1000
            ));
        }
    }
    let ends = [done.first(), done.last()].map(|r| r.map_or(0.0, |r| accuracy(&r.metrics)));
    let aborted = detail.rounds.len() - done.len();
    say(&format!(
        "held-out accuracy {:.1}% → {:.1}% after {} updates ({aborted} rounds aborted), {:.0} s",
        100.0 * ends[0],
        100.0 * ends[1],
        done.len(),
        took.as_secs_f64()
    ));
    (ends[0], ends[1])
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn only_the_owner_can_enter_the_folder() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = private_folder().unwrap();
        let mode = std::fs::metadata(folder.path())
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o700);
    }
}
