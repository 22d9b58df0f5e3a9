//! An evaluation: examples → prompted inputs → model API → outcomes.
//!
//! Requests are cut when they leave, in a size that is learnt from the answers
//! ([`model_client::pace`]). While some are under way, the inputs of the next request are rendered,
//! and after them those of the evaluation that comes next: they are used if that evaluation is
//! asked, and dropped otherwise. Nothing is sent before the machine asks, so no query is spent on a
//! guess. Answers within an evaluation that fails are kept, because queries cost money.

use crate::error::DriveError;
use crate::platform::Platform;
use crate::state::StepTime;
use event_listener::Event as Signal;
use federation::round::client::{Evaluation, Event, Purpose};
use federation::round::workbench::Workbench;
use federation::task::Inputs;
use futures::future::{Either, select};
use model_client::asking::{Asking, Pieces};
use model_client::caller::CallError;
use model_client::transport::Transport as _;
use std::cell::{Cell, RefCell};
use std::pin::pin;
use std::sync::Arc;
use tuning::query::Queries;

/// Maximum bytes of images that are rendered at once for an evaluation that is not asked for yet.
const MOST_BYTES: usize = 256 << 20;
/// Maximum bytes of images that are rendered ahead request by request: only those that leave
/// together.
const MOST_BYTES_IN_PIECES: usize = 64 << 20;

/// The answers so far to an evaluation.
pub(crate) struct Partial {
    of: Evaluation,
    asking: Asking,
}

/// What is ready of an evaluation that is expected next.
pub(crate) struct Ahead {
    of: Arc<Evaluation>,
    /// All its images, if the platform renders them at once.
    whole: Option<Vec<u8>>,
    /// Its first requests.
    requests: Pieces<Queries>,
    /// Milliseconds that rendering took.
    milliseconds: f64,
}

/// The state of rendering ahead.
struct Preparing {
    ahead: RefCell<Ahead>,
    /// Raised when the renderer has nothing more to do for the open evaluation.
    free: Signal,
    /// Whether something is being rendered. It is waited for, because it would have to be rendered
    /// anyway.
    busy: Cell<bool>,
    /// Whether nothing more is to be begun.
    enough: Cell<bool>,
}

/// Carries out an evaluation.
///
/// # Errors
/// Why there are no answers. Those that came are kept for the next try.
pub(crate) async fn evaluate<P: Platform>(
    platform: &P,
    evaluation: &Evaluation,
) -> Result<Event, DriveError> {
    let me = platform.participant();
    let Some(bench) = me.bench() else {
        return Ok(Event::Start);
    };
    let ready = me.ahead.take().filter(|ahead| *ahead.of == *evaluation);
    let upcoming = me.upcoming(&bench).filter(|_| platform.prepares());
    let mut asking = match me.partial.take() {
        Some(partial) if partial.of == *evaluation => partial.asking,
        _ => Asking::new(evaluation.queries() as usize),
    };
    let preparing = upcoming.filter(|_| asking.is_more()).map(|of| Preparing {
        ahead: RefCell::new(Ahead {
            of: Arc::new(of),
            whole: None,
            requests: Pieces::default(),
            milliseconds: 0.0,
        }),
        free: Signal::new(),
        busy: Cell::new(false),
        enough: Cell::new(false),
    });
    let asked = {
        let next = preparing.as_ref();
        let ask = pin!(ask(platform, &bench, evaluation, ready, next, &mut asking));
        let free = next.map(|next| next.free.listen());
        let prepare = pin!(async {
            if let (Some(next), Some(free)) = (next, free) {
                free.await;
                prepare(platform, &bench, next).await;
            }
        });
        match select(ask, prepare).await {
            Either::Left((asked, prepare)) => {
                if let Some(next) = next.filter(|next| asked.is_ok() && next.busy.get()) {
                    next.enough.set(true);
                    prepare.await;
                }
                asked
            }
            Either::Right(((), ask)) => ask.await,
        }
    };
    *me.ahead.borrow_mut() = preparing.map(|next| next.ahead.into_inner());
    if let Err(error) = asked {
        asking.again();
        *me.partial.borrow_mut() = Some(Partial {
            of: evaluation.clone(),
            asking,
        });
        return Err(error.into());
    }
    let answers = asking.into_answers();
    match me.with_client(|client| bench.event(client, evaluation, &answers)) {
        Some(event) => Ok(event?),
        // The participant has left meanwhile, and the machine takes no more events.
        None => Ok(Event::Start),
    }
}

/// Asks the model about the inputs that are not answered yet.
async fn ask<P: Platform>(
    platform: &P,
    bench: &Workbench,
    evaluation: &Evaluation,
    ready: Option<Ahead>,
    next: Option<&Preparing>,
    asking: &mut Asking,
) -> Result<(), CallError> {
    let me = platform.participant();
    let (model, clock) = (&me.model, me.api.transport());
    let free = || {
        if let Some(next) = next {
            next.free.notify(usize::MAX);
        }
    };
    let started = clock.now_ms();
    let (whole, mut ready, before_ms) = match ready {
        Some(ahead) => (ahead.whole, ahead.requests, ahead.milliseconds),
        None => (None, Pieces::default(), 0.0),
    };
    let whole = match whole {
        Some(whole) => {
            let more = u64::from(evaluation.queries());
            me.prepared.set(me.prepared.get() + more);
            Some(whole)
        }
        None if platform.renders_all() => platform.render_all(bench, evaluation).await,
        None => None,
    };
    if whole.is_some() {
        free();
    }
    let mut render_ms = clock.now_ms() - started;
    let size = bench.task().shape().bytes();
    let cut = |asking: &mut Asking| {
        let (request, piece) = ready.cut(asking, model.batch(), |all| model.cut(all))?;
        let before = clock.now_ms();
        let queries = match (&whole, piece) {
            (Some(whole), _) => Queries::Images {
                bytes: whole[request.start * size..request.end * size].to_vec(),
                count: request.len(),
            },
            (None, Some(piece)) => {
                me.prepared.set(me.prepared.get() + piece.count() as u64);
                piece
            }
            (None, None) => bench.queries(evaluation, request.clone()),
        };
        render_ms += clock.now_ms() - before;
        if !asking.is_more() {
            free();
        }
        Some((request, queries))
    };
    let answered = || platform.show(false);
    model
        .ask_missing(model.purse(), asking, cut, answered)
        .await?;
    if evaluation.purpose == Purpose::Step {
        // Wording texts takes no time that anyone could see.
        let rendered = matches!(bench.task().inputs, Inputs::Images(_));
        me.step_time.set(StepTime {
            // All time spent on rendering for this step, whenever it was, with the time that was
            // spent waiting for it.
            render_ms: rendered.then_some(before_ms + render_ms),
            ask_ms: Some(clock.now_ms() - started - render_ms),
        });
    }
    Ok(())
}

/// Renders ahead: the whole evaluation if the platform can, otherwise as many requests as are under
/// way at once.
async fn prepare<P: Platform>(platform: &P, bench: &Arc<Workbench>, next: &Preparing) {
    let me = platform.participant();
    let clock = me.api.transport();
    let of = Arc::clone(&next.ahead.borrow().of);
    if platform.renders_all() {
        let bytes = of.queries() as usize * bench.task().shape().bytes();
        if bytes <= MOST_BYTES {
            let before = clock.now_ms();
            next.busy.set(true);
            let whole = platform.render_all(bench, &of).await;
            next.busy.set(false);
            let mut ahead = next.ahead.borrow_mut();
            ahead.whole = whole;
            ahead.milliseconds = clock.now_ms() - before;
        }
        return;
    }
    let most = me.model.size_of(of.queries() as usize);
    let mut left = MOST_BYTES_IN_PIECES;
    for (number, request) in Workbench::requests(&of, most)
        .into_iter()
        .take(me.model.window())
        .enumerate()
    {
        if number > 0 {
            // Answers take precedence.
            clock.sleep(0.0).await;
        }
        let before = clock.now_ms();
        next.busy.set(true);
        let queries = platform.render(bench, &of, request.clone()).await;
        next.busy.set(false);
        let Some(queries) = queries else { return };
        if let Queries::Images { bytes, .. } = &queries {
            left = left.saturating_sub(bytes.len());
        }
        let mut ahead = next.ahead.borrow_mut();
        ahead.requests.0.push((request, queries));
        ahead.milliseconds += clock.now_ms() - before;
        if left == 0 || next.enough.get() {
            return;
        }
    }
}
