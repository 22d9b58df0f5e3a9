//! `fed-bbpt join`: takes part without a browser.

use super::{block_on, interrupted, model_key, say};
use crate::data;
use crate::native::identity::{self, IdentityError};
use crate::native::platform::{Native, OnStep};
use crate::native::state::{self, Saved};
use crate::native::transport::{HttpCaller, aggregator, model_api};
use crate::{CliError, data::LoadError};
use clap::Args;
use federation::agreement::{Agreement, Change};
use federation::record::Replay;
use federation::round::client::{Client, StopReason};
use federation::round::messages::FederationStatus;
use federation::round::workbench::{Labelled, Workbench};
use federation::task::{Inputs, Task};
use ground::hex::hex;
use ground::image::Image;
use indicatif::{ProgressBar, ProgressStyle};
use model_client::caller::CallError;
use model_client::transport::Transport as _;
use owner_data::handwriting;
use participant::Platform as _;
use secure_sum::identity::Identity;
use serde_json::json;
use std::io::IsTerminal as _;
use std::path::PathBuf;

/// The arguments of `fed-bbpt join`.
#[derive(Args, Clone)]
pub struct JoinArgs {
    /// The invite link: http://HOST/f/FEDERATION/#invite=SECRET
    link: String,
    /// Own data: a folder of images by class, a zip, or CSV or IDX files; for a federation of
    /// texts, tables of texts.
    #[arg(long, value_name = "PATH", required_unless_present = "builtin")]
    data: Option<PathBuf>,
    /// Take part as a built-in owner with this handwriting, instead of with own data.
    #[arg(long, value_name = "SEED", conflicts_with = "data")]
    builtin: Option<u64>,
    /// Number of examples of the built-in owner.
    #[arg(long, default_value_t = 200)]
    count: usize,
    /// File for the state, from which a later run continues.
    #[arg(long, value_name = "FILE", default_value = "fed-bbpt-participant.json")]
    state: PathBuf,
    /// File of the long-term key, 64 hexadecimal digits, which is made if it does not exist. With
    /// the same key you are the same participant again [default: beside the state file].
    #[arg(long, value_name = "FILE")]
    identity: Option<PathBuf>,
    /// Ask this model API instead of the task's; it must run the same model.
    #[arg(long)]
    model_url: Option<String>,
    /// API key for the model API.
    #[arg(long, env = "FED_BBPT_MODEL_KEY", hide_env_values = true)]
    model_key: Option<String>,
    /// Go on though something that was agreed to with this state file has changed, such as the
    /// model's address. Without it join asks on a terminal, and elsewhere ends with exit code 4.
    #[arg(long)]
    accept_changes: bool,
    /// Print a line of JSON for each update.
    #[arg(long)]
    json: bool,
}

/// The parts of an invite link: aggregator, federation and secret.
pub fn parse_link(link: &str) -> Option<(String, String, String)> {
    let (address, invite) = link.split_once("#invite=")?;
    let (base, rest) = address.split_once("/f/")?;
    let federation = rest.split('/').next()?;
    let fine = |s: &str| {
        !s.is_empty()
            && s.chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
    };
    (model_client::address::origin_of(base).is_some() && fine(federation) && fine(invite))
        .then(|| (base.to_owned(), federation.to_owned(), invite.to_owned()))
}

/// The examples of a built-in owner in the form that the task takes.
pub fn built_in(task: &Task, seed: u64, count: usize) -> Result<Vec<Labelled>, CliError> {
    let Inputs::Images(fit) = &task.inputs else {
        return Err(CliError::usage(
            "the built-in owners draw digits, but this federation works with texts; use --data",
        ));
    };
    handwriting::owner(seed, count, None)
        .into_iter()
        .map(|(grey, digit)| {
            let image = Image::from_grey(handwriting::SIZE, handwriting::SIZE, &grey).map_err(CliError::failed)?;
            let label = task
                .label_index(&digit.to_string())
                .ok_or_else(|| CliError::usage("the built-in owners write digits, but this federation's labels are others; use --data"))?;
            Ok(Labelled::image(fit.apply(&image).bytes().to_vec(), label))
        })
        .collect()
}

/// The examples, divided into those to train on and those held out.
pub fn workbench(
    task: Task,
    participant: u32,
    examples: Vec<Labelled>,
) -> Result<Workbench, CliError> {
    let (training, holdout) = data::hold_out(&task, participant, examples);
    if training.is_empty() {
        return Err(CliError::usage(
            "there is no example to train on; choose more data",
        ));
    }
    Workbench::new(task, participant, training, holdout).map_err(CliError::failed)
}

/// Joins or continues, and stays until the federation ends or Ctrl-C.
pub fn run(args: JoinArgs) -> Result<(), CliError> {
    block_on(async {
        tokio::select! {
            ended = take_part(&args) => ended,
            () = interrupted() => {
                say(&format!("stopped; the same command goes on from {}", args.state.display()));
                Ok(())
            }
        }
    })?
}

async fn take_part(args: &JoinArgs) -> Result<(), CliError> {
    let (base, federation, invite) = parse_link(&args.link).ok_or_else(|| {
        CliError::usage("the link must look like http://HOST/f/FEDERATION/#invite=SECRET")
    })?;
    let _lock = state::lock(&args.state).map_err(CliError::usage)?;
    let known = Saved::read(&args.state).map_err(CliError::usage)?;
    let beside = || args.state.with_extension("identity");
    let key = args.identity.clone().unwrap_or_else(beside);
    let (identity, _key_lock) = identity::load_or_create(&key).map_err(CliError::usage)?;
    let public = hex(&identity.public());
    let known = known.filter(|s| s.federation == federation);
    // Before anything is sent that an owner would not want to be sent: a token, a key, data.
    let known = match known {
        Some(saved) => Some(agree_again(args, saved, &base).await?),
        None => None,
    };
    let is_new = known.as_ref().is_none_or(|saved| saved.token.is_empty());
    let mut saved = match known {
        Some(saved) if !saved.identity.is_empty() && saved.identity != public => {
            return Err(CliError::usage(IdentityError::Another { path: key }));
        }
        Some(saved) if !is_new => saved,
        left => {
            let joined = aggregator(&base, None)
                .map_err(CliError::failed)?
                .join(&federation, &invite, &identity)
                .await
                .map_err(CliError::failed)?;
            let client = Client::new(joined.participant);
            Saved {
                aggregator: base.clone(),
                federation,
                token: joined.token,
                identity: public,
                task: joined.task,
                examples: 0,
                data: String::new(),
                agreed: None,
                tally: left.map(|left| left.tally).unwrap_or_default(),
                client,
                is_outdated: false,
            }
        }
    };
    if saved.is_outdated {
        say(&format!(
            "{} was written by another version of this program: this participant begins anew under its number, and its prompt and what it has sent follow from the federation's record",
            args.state.display()
        ));
    }
    let number = saved.client.participant();
    let paid = saved.tally;
    let (model, bench) = match begin(args, &mut saved, identity).await {
        Ok(ready) => ready,
        Err(error) => {
            if is_new && let Ok(member) = aggregator(&base, Some(saved.token.clone())) {
                // Others should not wait for a participant who could not begin. Without an answer
                // the lease runs out by itself.
                let _ = member.leave(&saved.federation).await;
                saved.token.clear();
            }
            if saved.tally != paid {
                // The queries that were made are paid for, so they are counted.
                saved.write(&args.state).map_err(CliError::failed)?;
            }
            return Err(error);
        }
    };
    let rounds = bench.task().federation.rounds;
    let masked = match bench.task().federation.secure {
        None => ", which sees each update by itself".to_owned(),
        Some(secure) => {
            let least = secure.smallest_sum();
            format!(" under masks, so that it learns only sums over {least} participants or more")
        }
    };
    let what = match bench.task().inputs {
        Inputs::Images(_) => "pictures",
        Inputs::Texts(_) => "texts",
    };
    let whereto = if model.transport().is_here() {
        format!(
            "stay here, where the model from {} runs",
            bench.task().model.url
        )
    } else if model.transport().sends_embeddings() {
        // Anyone with the model can turn them back into words.
        format!(
            "go to {} (as embeddings, which can be read like texts)",
            bench.task().model.url
        )
    } else {
        format!("go to {}", bench.task().model.url)
    };
    say(&format!(
        "participant {number}: {what} {whereto}, updates and counts to {base}{masked}; nothing else leaves this machine"
    ));
    let federation = &bench.task().federation;
    if rounds < federation.rounds_wanted {
        say(&format!(
            "{} queries each cover {rounds} of {} rounds: the federation has so many",
            federation.query_budget, federation.rounds_wanted
        ));
    }
    let aggregator = aggregator(&base, Some(saved.token.clone())).map_err(CliError::failed)?;
    let native = Native::new(
        bench,
        saved,
        Some(args.state.clone()),
        aggregator,
        model,
        reporter(args.json, rounds),
    );
    let reason = participant::run(&native).await.map_err(CliError::failed)?;
    let me = native.participant();
    let spent = native.spent();
    let [to_model, from_model, to_aggregator, from_aggregator] = me.bytes();
    say(&format!(
        "{}; model API: {to_model} B sent, {from_model} B received; aggregator: {to_aggregator} B sent, {from_aggregator} B received; {} inputs were ready before they were asked",
        words(reason),
        me.prepared()
    ));
    if let Some(spent) = spent {
        say(&spent);
    }
    if let Some(client) = me.client() {
        if let Some(choice) = client.choice() {
            say(&super::choice::words(&choice));
        }
        if let Some(prompt) = prompt(&client, me.task()) {
            say(&format!("prompt: {prompt}"));
        }
    }
    match reason {
        StopReason::Finished
        | StopReason::Closed
        | StopReason::Left
        | StopReason::BudgetSpent
        | StopReason::PrivacySpent => Ok(()),
        StopReason::MoneySpent => {
            let why = native.out_of_money();
            Err(CliError::NotReached(format!(
                "{}; this participant has left, so that the others do not wait for it",
                why.map_or_else(|| words(reason).to_owned(), |why| why.to_string())
            )))
        }
        StopReason::Unauthorized => Err(CliError::failed(
            "the aggregator does not know this participant any more; delete the state file and join again",
        )),
        StopReason::Inconsistent => {
            let why = me.with_client(|client| client.suspicion().map(str::to_owned));
            let why = why.flatten();
            Err(CliError::failed(format!(
                "the aggregator is not to be trusted: {}; nothing more was sent; tell the others who take part",
                why.as_deref().unwrap_or("it contradicts itself")
            )))
        }
    }
}

/// Returns the state of a participant who comes back, once it is certain that the terms are those
/// that were agreed to, or that the changes are accepted. Where the task or the aggregator is another
/// one, the state is that of somebody who has yet to join.
async fn agree_again(args: &JoinArgs, mut saved: Saved, base: &str) -> Result<Saved, CliError> {
    let mut task = Task::from_value(saved.task.clone()).map_err(CliError::failed)?;
    let before = saved.agreed.clone();
    let mut before = before.unwrap_or_else(|| Agreement::of(&task, &saved.aggregator));
    let announced = aggregator(base, None).map_err(CliError::failed)?;
    // An aggregator that does not answer announces nothing new; the task that is known stays in use.
    if let Ok(detail) = announced.detail(&saved.federation).await
        && detail.summary.task_hash != task.hash()
    {
        task = Task::from_value(detail.task).map_err(CliError::failed)?;
    }
    if let Some(url) = &args.model_url {
        task = task.with_model_url(url).map_err(CliError::usage)?;
        // Who names an address agrees to it.
        before.model.clone_from(&task.model.url);
    }
    let now = Agreement::of(&task, base);
    let changes = before.changes(&now);
    if !changes.is_empty() && !args.accept_changes {
        ask_again(&changes)?;
    }
    if now.task != before.task || now.aggregator != before.aggregator {
        saved.token.clear();
    }
    Ok(saved)
}

/// Shows what has changed and asks whether to go on; an error unless the answer is yes.
fn ask_again(changes: &[Change]) -> Result<(), CliError> {
    let lines = changes.iter().map(|change| {
        format!(
            "  {}: {} before, {} now",
            change.what, change.before, change.now
        )
    });
    let told = format!(
        "this is not what was agreed to with this state file:\n{}",
        lines.collect::<Vec<_>>().join("\n")
    );
    if std::io::stdin().is_terminal() {
        eprint!("{told}\nGo on with these terms? [y/N] ");
        let mut answer = String::new();
        let read = std::io::stdin().read_line(&mut answer);
        if read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes") {
            return Ok(());
        }
        return Err(CliError::NotAgreed("nothing was sent".to_owned()));
    }
    Err(CliError::NotAgreed(format!(
        "{told}\nnothing was sent; --accept-changes goes on with these terms"
    )))
}

/// Reads the examples and tries the model. What that costs is counted in the state's tally, even if
/// it fails.
async fn begin(
    args: &JoinArgs,
    saved: &mut Saved,
    identity: Identity,
) -> Result<(HttpCaller, Workbench), CliError> {
    let mut task = Task::from_value(saved.task.clone()).map_err(CliError::failed)?;
    if let Some(url) = &args.model_url {
        task = task.with_model_url(url).map_err(CliError::usage)?;
    }
    saved.agreed = Some(Agreement::of(&task, &saved.aggregator));
    let examples = match (&args.data, args.builtin) {
        (Some(path), _) => {
            let loaded = data::load(path, &task).map_err(|e: LoadError| CliError::usage(e))?;
            loaded
                .notes
                .iter()
                .take(20)
                .for_each(|note| eprintln!("{note}"));
            loaded.examples
        }
        (None, seed) => built_in(&task, seed.unwrap_or(0), args.count)?,
    };
    saved
        .bind(&examples, &args.state)
        .map_err(CliError::usage)?;
    let models = args.state.with_file_name("fed-bbpt-models");
    let model = model_api(&task, model_key(args.model_key.clone()), Some(models))
        .map_err(CliError::usage)?;
    model.purse().resume(saved.tally);
    let described = model.describe().await;
    saved.tally = model.purse().tally();
    match described {
        // It does not cover the federation's queries either, so the driver will leave.
        Ok(_) | Err(CallError::Budget { .. }) => {}
        Err(error) => return Err(CliError::failed(error)),
    }
    let bench = workbench(task, saved.client.participant(), examples)?;
    Ok((model, bench.with_secrets(identity::secrets(identity))))
}

/// The prompt of the θ that is to be kept, or of the last θ if none is to be kept; `None` for a
/// task of images.
fn prompt(client: &Client, task: &Task) -> Option<String> {
    let kept = client.record().and_then(Replay::kept);
    let found = task.prompt(kept.or(client.theta())?)?;
    Some(task.inputs.texts()?.shown(&found))
}

fn words(reason: StopReason) -> &'static str {
    match reason {
        StopReason::Finished => "all rounds are done",
        StopReason::Closed => "the organiser closed the federation",
        StopReason::Left => "left",
        StopReason::BudgetSpent => "left, for the query budget is spent",
        StopReason::MoneySpent => "left, for the money for the model API is spent",
        StopReason::Unauthorized => "no longer known to the aggregator",
        StopReason::Inconsistent => "stopped by a contradiction",
        StopReason::PrivacySpent => "another update would spend more privacy than the task allows",
    }
}

/// Reports each new θ: by a progress bar on a terminal, by plain lines elsewhere, or as JSON if
/// that was asked for.
fn reporter(json: bool, rounds: u32) -> OnStep {
    let bar = (!json && std::io::stderr().is_terminal()).then(|| {
        let style = ProgressStyle::with_template("{bar:30} update {pos}/{len} {msg}");
        let bar = ProgressBar::new(u64::from(rounds));
        style.map_or(bar.clone(), |style| bar.with_style(style))
    });
    let (mut seen, mut waited) = (None, None);
    Box::new(move |me| {
        let Some(client) = me.client() else { return };
        let Some(view) = client.view() else { return };
        let now = (view.step, client.curve().len(), client.delivered());
        if let Some(a) = me.awaited().filter(|a| a.here < a.needed && !json) {
            let text = format!("waiting for others: {} of {} are there", a.here, a.needed);
            match &bar {
                Some(bar) => bar.set_message(text),
                // Once a round: if all is well the wait is short.
                None if waited != Some(view.round) => say(&text),
                None => {}
            }
            waited = Some(view.round);
        }
        if seen == Some(now) {
            return;
        }
        seen = Some(now);
        let privacy = client.privacy(me.task());
        let accuracy = client.curve().last().map_or(0.0, |p| p.accuracy);
        let before = client.before().map(|b| b.accuracy());
        if json {
            say(&json!({ "update": view.step, "round": view.round, "finished": view.status == FederationStatus::Finished,
                "own_accuracy": accuracy, "own_accuracy_before": before, "queries": client.spent(), "delivered": client.delivered(), "epsilon": privacy.map(|p| p.epsilon), "choice": client.choice() }).to_string());
        } else {
            let epsilon = privacy.map_or_else(String::new, |p| {
                format!(", own ε {:.2} of {:.2}", p.epsilon, p.limit)
            });
            let text = format!(
                "own held-out accuracy {:.0}%, {} queries, {} live{epsilon}",
                100.0 * accuracy,
                client.spent(),
                view.live
            );
            match &bar {
                Some(bar) => {
                    bar.set_position(u64::from(view.step));
                    bar.set_message(text);
                }
                None => say(&format!("update {}/{rounds}: {text}", view.step)),
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links() {
        let parts = parse_link("http://127.0.0.1:8700/f/abc-1/#invite=0aF").unwrap();
        assert_eq!(
            parts,
            ("http://127.0.0.1:8700".into(), "abc-1".into(), "0aF".into())
        );
        for bad in [
            "",
            "http://h/f/x",
            "http://h/f/x/#invite=",
            "ftp://h/f/x/#invite=1",
            "http://h/f/../#invite=1",
        ] {
            assert_eq!(parse_link(bad), None, "{bad}");
        }
    }
}
