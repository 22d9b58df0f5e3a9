//! The client as the Worker sees it: one object, made by [`Session::open`].

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use federation::round::client::{Client, Event};
use federation::round::messages::FederationDetail;
use federation::round::refusal::Refusal;
use federation::task::{Inputs, Task};
use ground::wire;
use model_client::address::origin_of;
use model_client::caller::{CallError, Caller};
use model_client::retry::back_off;
use model_client::transport::Transport as _;
use participant::Participant;
use participant::api::{Api, ApiError};
use serde_json::{Value, json};
use tuning::query::Queries;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::spawn_local;

use super::data::post_report;
use super::embeddings::embedder;
use super::examples::Examples;
use super::host::Host;
use super::notes::Notes;
use super::owner::{Opening, Owner};
use super::report::{self, Area, Trouble};
use super::saved::{Found, Membership, record};
use super::texts;
use super::timer::{now, sleep};
use super::transport::Web;
use super::troubles::{self, no_data};
use crate::renderer::{self, Workload};

/// One owner's client of one federation.
#[wasm_bindgen]
pub struct Session {
    owner: Rc<Owner>,
}

#[wasm_bindgen]
impl Session {
    /// Opens a federation and posts `opened`; if something prevents it, shows that and returns
    /// nothing.
    ///
    /// `opening` is the Worker's `open` message as JSON; `announced` is the aggregator's answer
    /// about the federation, if the Worker has it; the four records are what was saved before.
    pub async fn open(
        opening: String,
        announced: Option<String>,
        identity: Option<Vec<u8>>,
        membership: Option<Vec<u8>>,
        state: Option<Vec<u8>>,
        data: Option<Vec<u8>>,
        host: Host,
    ) -> Option<Session> {
        let Some(opening) = Opening::read(&opening) else {
            let text = "The page and its Worker do not understand each other. Reload the page.";
            report::trouble(
                &host,
                &Trouble::new(Area::Open, "bad_opening", "The page is out of date", text),
            );
            return None;
        };
        let api = Api::new(&opening.aggregator, None, Web { model: false });
        let detail = match announced.and_then(|text| api.announced(&text).ok()) {
            Some(detail) => detail,
            None => detail(&api, &opening.federation, &host).await?,
        };
        let found = Found::read(identity, membership, state, data, &detail.summary.task_hash);
        match Self::build(opening, api, &detail, found, host).await {
            Ok(session) => {
                session.show_opened(&detail);
                Some(session)
            }
            Err((host, trouble)) => {
                report::trouble(&host, &trouble);
                None
            }
        }
    }

    /// Asks the model API for its description and one harmless answer; posts `model-checked`.
    #[wasm_bindgen(js_name = checkModel)]
    pub fn check_model(&self, key: Option<String>) {
        let owner = Rc::clone(&self.owner);
        owner.me.model.set_key(key);
        spawn_local(async move {
            let started = now();
            let model = &owner.me.model;
            let checked = async {
                let description = model.describe().await?;
                // An input that reveals nothing about anyone.
                let harmless = match owner.task().inputs {
                    Inputs::Texts(_) => owner.harmless_text(),
                    Inputs::Images(_) => Queries::Images {
                        bytes: vec![128; owner.task().shape().bytes()],
                        count: 1,
                    },
                };
                let described = now();
                let scores = model.ask(model.purse(), harmless).await?;
                Ok::<_, CallError>((description, described, scores))
            };
            match checked.await {
                Ok((description, described, scores)) => {
                    owner.other_queries.set(owner.other_queries.get() + 1);
                    let name = match &description.platform[..] {
                        "" => owner.task().model.name.clone(),
                        platform => format!("{} ({platform})", owner.task().model.name),
                    };
                    report::post(
                        &owner.host,
                        &json!({
                            "type": "model-checked",
                            "name": name,
                            "milliseconds": now() - started,
                            "answerMs": now() - described,
                            "answer": owner.named(scores.row(0), &description.labels),
                            "maxBatch": description.max_batch,
                        }),
                    );
                }
                Err(error) => {
                    owner.trouble(&owner.model_trouble(&error).await);
                    if matches!(error, CallError::Budget { .. }) {
                        // The owner came back without money, so the others need not wait.
                        owner.me.give_up_lease().await;
                    }
                }
            }
        });
    }

    /// Starts because the owner agrees: joins unless that was done before, and trains.
    pub fn start(&self) {
        let owner = Rc::clone(&self.owner);
        spawn_local(async move {
            if owner.examples.borrow().is_none() {
                return owner.trouble(&no_data());
            }
            if owner.joining.replace(true) {
                return;
            }
            let joined = join(&owner).await.and_then(|()| owner.set_up());
            owner.joining.set(false);
            match joined {
                Ok(()) => {
                    owner.me.tell(Event::Resume);
                    owner.run().await;
                }
                Err(trouble) => owner.trouble(&trouble),
            }
        });
    }

    /// Pauses; requests under way are cancelled.
    pub fn pause(&self) {
        self.tell(Event::Pause);
    }

    /// Continues after a pause.
    pub fn resume(&self) {
        if self.owner.running.get() {
            self.tell(Event::Resume)
        } else {
            self.start()
        }
    }

    /// Leaves the federation and deletes everything stored here.
    pub async fn leave(&self) {
        let owner = &self.owner;
        // The driver's own farewell would delay a new beginning.
        let farewell = Web { model: false };
        let farewell = Api::new(&owner.opening.aggregator, owner.me.api.token(), farewell);
        owner.me.api.set_token(None);
        // Nothing is saved from now on: the loop's last state must not outlive the deletion.
        owner.left.set(true);
        // Deleted first, so that nothing is left when the page says that the owner has left.
        let forgotten = owner.host.forget().await;
        self.tell(Event::Leave);
        *owner.membership.borrow_mut() = None;
        *owner.identity.borrow_mut() = None;
        *owner.examples.borrow_mut() = None;
        owner.me.model.set_key(None);
        if forgotten.is_err() {
            let text = "What this browser stored could not be deleted. Delete this site's data in the browser's settings.";
            owner.trouble(&Trouble::new(
                Area::Storage,
                "storage_failed",
                "Not everything is deleted",
                text,
            ));
        }
        if farewell.token().is_some() {
            // Without an answer the lease runs out by itself.
            let _ = farewell.leave(&owner.opening.federation).await;
        }
    }

    /// Looks at once, because the tab is visible again and timers slept.
    pub fn visible(&self) {
        self.owner.me.visible.notify(usize::MAX);
    }

    /// Posts held-out examples with the model's answers before and now.
    pub fn pictures(&self, count: usize) {
        let owner = Rc::clone(&self.owner);
        spawn_local(async move {
            let shown = match owner.task().inputs {
                Inputs::Texts(_) => owner.answered_texts(count).await,
                Inputs::Images(_) => owner.pictures(count).await,
            };
            if let Err(trouble) = shown {
                owner.trouble(&trouble);
            }
        });
    }
}

impl Session {
    /// The owner's client, for the [`Loader`](super::Loader).
    pub(super) fn owner(&self) -> Rc<Owner> {
        Rc::clone(&self.owner)
    }

    fn tell(&self, event: Event) {
        self.owner.me.tell(event);
        self.owner.progress(true);
    }

    async fn build(
        opening: Opening,
        api: Api<Web>,
        detail: &FederationDetail,
        found: Found,
        host: Host,
    ) -> Result<Session, (Host, Trouble)> {
        let parts = parts(&opening, detail.task.clone());
        let (task, model) = match parts {
            Ok(parts) => parts,
            Err(trouble) => return Err((host, trouble)),
        };
        let examples = found
            .data
            .and_then(|bytes| Examples::from_bytes(&task, &bytes))
            .map(Rc::new);
        let choice = renderer::Choice {
            name: "cpu",
            reason: String::new(),
            cpu_ms: None,
            webgpu_ms: None,
            adapter: None,
        };
        let owner = Owner {
            host,
            task_hash: detail.summary.task_hash.clone(),
            me: Participant::new(opening.federation.clone(), task, api, model),
            examples: RefCell::new(examples),
            identity: RefCell::new(found.identity),
            membership: RefCell::default(),
            gpu: RefCell::default(),
            choice: RefCell::new(choice),
            running: Cell::new(false),
            joining: Cell::new(false),
            other_queries: Cell::new(0),
            last_progress: Cell::new(0.0),
            storage_failed: Cell::new(false),
            left: Cell::new(false),
            opening,
        };
        if let Some(membership) = found.membership {
            match found.state {
                Some(state) => owner.restore(state),
                None => owner.me.set_client(Client::new(membership.participant)),
            }
            owner.me.api.set_token(Some(membership.token.clone()));
            *owner.membership.borrow_mut() = Some(membership);
        }
        // Texts have no such generator, and nothing is rendered.
        if let Ok(generator) = owner.task().generator() {
            let (candidates, images) = owner.largest_step();
            let work = Workload {
                generator: &*generator,
                shape: owner.task().shape(),
                candidates: &candidates,
                images,
            };
            let (gpu, choice) =
                renderer::choose(owner.opening.backend, &owner.opening.gpu, &work, now).await;
            *owner.gpu.borrow_mut() = gpu.map(Rc::new);
            *owner.choice.borrow_mut() = choice;
        }
        Ok(Session {
            owner: Rc::new(owner),
        })
    }

    fn show_opened(&self, detail: &FederationDetail) {
        let owner = &self.owner;
        let participant = owner
            .membership
            .borrow()
            .as_ref()
            .map(|membership| membership.participant);
        let examples = owner.examples.borrow().clone();
        let mut message = json!({
            "type": "opened",
            "summary": detail.summary,
            "task": owner.task().source(),
            "labels": owner.task().labels,
            "modelUrl": owner.task().model.url,
            "modelOrigin": origin_of(&owner.task().model.url),
            "backend": *owner.choice.borrow(),
            "resumable": participant.is_some() && examples.is_some(),
            "participant": participant,
            "trainingQueries": owner.task().training_queries().unwrap_or(0),
            "bytesPerQuery": owner.task().input_bytes(),
            "bytesPerUpdate": update_bytes(owner.task()),
            "sum": owner.task().federation.secure.map(|secure| json!({
                "people": secure.smallest_sum(),
                "cohort": secure.policy.cohort_min,
                "groups": secure.policy.groups,
            })),
            "noise": owner.task().federation.privacy.map(|privacy| json!({
                "epsilon": privacy.epsilon,
                "delta": privacy.delta,
                "examples": owner.task().federation.hides_examples(),
            })),
        });
        if let Inputs::Texts(text) = &owner.task().inputs {
            message["text"] = texts::described(text);
        }
        report::post(&owner.host, &message);
        if let Some(examples) = examples {
            post_report(owner, &examples, &Notes::default());
        }
        owner.progress(true);
    }
}

/// Number of bytes that a participant sends in a round: θ's change with its envelope, and under
/// masks also keys, and an envelope and a share for each of the others in the smallest cohort.
fn update_bytes(task: &Task) -> usize {
    match (task.contribution(), task.federation.secure) {
        (Some(contribution), Some(secure)) => {
            contribution.layout().bytes() + 300 + 130 * secure.policy.cohort_min as usize
        }
        _ => 4 * task.update_length() + 100,
    }
}

fn parts(opening: &Opening, source: Value) -> Result<(Task, Caller<Web>), Trouble> {
    let bad = |text: String| {
        Trouble::new(
            Area::Open,
            "bad_task",
            "This federation cannot be opened",
            format!(
                "Its task is not one that this page can carry out: {text}. Tell the organiser, or reload the page if it is an old one."
            ),
        )
    };
    let task = Task::from_value(source).map_err(|faults| bad(faults.to_string()))?;
    let task = match &opening.model_url {
        None => task,
        Some(url) => task.with_model_url(url).map_err(|faults| {
            Trouble::new(
                Area::Model,
                "bad_model_url",
                "The address of your model API cannot be used",
                faults.to_string(),
            )
        })?,
    };
    if task.federation.secure.is_some_and(|secure| !secure.masks) {
        return Err(bad(
            "its sums have no masks, which is for simulations only".to_owned()
        ));
    }
    let model = participant::caller(&task, embedder(&task), Web { model: true })
        .map_err(|error| bad(error.to_string()))?;
    Ok((task, model))
}

/// The federation's details, waited for as long as it takes; `None` if there is no such federation.
async fn detail(api: &Api<Web>, federation: &str, host: &Host) -> Option<FederationDetail> {
    for tries in 1.. {
        match api.detail(federation).await {
            Ok(detail) => return Some(detail),
            Err(ApiError::Refused { refusal, words }) if refusal != Refusal::RateLimited => {
                let title = "This federation cannot be opened";
                report::trouble(
                    host,
                    &Trouble::new(Area::Open, refusal.code(), title, words),
                );
                return None;
            }
            Err(error) => {
                if tries == 2 {
                    report::trouble(host, &troubles::outage(&error, Area::Open));
                }
                sleep(back_off(tries, api.transport().uniform())).await;
            }
        }
    }
    None
}

/// Joins with the invite, unless the owner is a member already.
async fn join(owner: &Rc<Owner>) -> Result<(), Trouble> {
    if owner.membership.borrow().is_some() {
        return Ok(());
    }
    let Some(invite) = owner
        .opening
        .invite
        .clone()
        .filter(|invite| !invite.is_empty())
    else {
        let text = "Open the link that the organiser sent you: it ends with #invite= and a code. An invite is needed to take part.";
        return Err(Trouble::new(
            Area::Open,
            "no_invite",
            "This link holds no invite",
            text,
        ));
    };
    let identity = owner.identity().await?;
    let joined = owner
        .me
        .api
        .join(&owner.opening.federation, &invite, &identity);
    let joined = joined.await.map_err(|error| match error {
        ApiError::Refused { refusal, words } if refusal != Refusal::RateLimited => {
            Trouble::new(Area::Open, refusal.code(), "You could not join", words)
        }
        error => {
            let why = format!("{}. Press start again", troubles::words(&error));
            troubles::outage_because(&why, Area::Open)
        }
    })?;
    owner.left.set(false);
    owner.me.set_bench(None);
    owner.me.api.set_token(Some(joined.token.clone()));
    let membership = Membership {
        participant: joined.participant,
        token: joined.token,
        task_hash: owner.task_hash.clone(),
    };
    owner
        .save(record::MEMBERSHIP, &wire::encode(&membership))
        .await;
    *owner.membership.borrow_mut() = Some(membership);
    owner.me.set_client(Client::new(joined.participant));
    Ok(())
}
