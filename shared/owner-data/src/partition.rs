//! Splits a data set among participants (for simulations and demos) and holds examples out for
//! measuring.
//!
//! Every split is a pure function of its seed, with the same result natively and in wasm.

use ground::order;
use std::fmt;
use std::str::FromStr;

use ground::rng::{Stream, purpose};

/// How examples are split among participants.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Partition {
    /// Shuffled and dealt out evenly.
    Iid,
    /// For each class, shares drawn from a symmetric Dirichlet distribution with this
    /// concentration: the smaller, the more the participants' classes differ. Source: M. Yurochkin
    /// et al., ICML 2019; T.-M. H. Hsu et al., arXiv:1909.06335.
    Dirichlet(f64),
    /// Sorted by class and cut into equal shards; the value is the number of shards for each
    /// participant. Source: H. B. McMahan et al., AISTATS 2017.
    Shards(usize),
}

/// Why a split is impossible, or its name not understood.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PartitionError {
    /// There are no participants to split among.
    #[error("a data set cannot be split among 0 participants: ask for at least 1")]
    NoParticipants,
    /// There are fewer examples than needed.
    #[error(
        "{examples} examples cannot be split among {participants} participants as {partition}: at least {needed} are needed"
    )]
    TooFew {
        /// Number of examples.
        examples: usize,
        /// Number of participants asked for.
        participants: usize,
        /// The rule of the split.
        partition: Partition,
        /// Minimum number of examples.
        needed: usize,
    },
    /// The text is not the name of a rule.
    #[error(
        "{0:?} is no way to split data: use iid, dirichlet:ALPHA with ALPHA above 0 (such as dirichlet:0.5), or shards:K with K from 1 on (such as shards:2)"
    )]
    Unknown(String),
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Iid => f.write_str("iid"),
            Self::Dirichlet(alpha) => write!(f, "dirichlet:{alpha}"),
            Self::Shards(count) => write!(f, "shards:{count}"),
        }
    }
}

impl FromStr for Partition {
    type Err = PartitionError;

    fn from_str(text: &str) -> Result<Self, PartitionError> {
        let (name, value) = text.trim().split_once(':').unwrap_or((text.trim(), ""));
        match name {
            "iid" if value.is_empty() && !text.contains(':') => Some(Self::Iid),
            "dirichlet" => value
                .parse()
                .ok()
                .filter(|alpha: &f64| alpha.is_finite() && *alpha > 0.0)
                .map(Self::Dirichlet),
            "shards" => value
                .parse()
                .ok()
                .filter(|&count| count > 0)
                .map(Self::Shards),
            _ => None,
        }
        .ok_or_else(|| PartitionError::Unknown(super::error::short(text)))
    }
}

/// Maximum number of draws of a Dirichlet split before its empty parts are filled.
const DRAWS: usize = 100;

impl Partition {
    /// Splits the examples 0..labels.len(), whose classes are `labels`, among `participants`. The
    /// parts hold each index exactly once, ascending, and none is empty.
    ///
    /// A Dirichlet split that leaves a participant with nothing is drawn again, up to 100 times; a
    /// part that is still empty (tiny α, many participants) gets one example of the participant
    /// with the most.
    ///
    /// # Errors
    /// [`PartitionError::NoParticipants`], and [`PartitionError::TooFew`] if there is not one
    /// example for every participant (or for every shard).
    pub fn split(
        self,
        labels: &[usize],
        participants: usize,
        seed: u64,
    ) -> Result<Vec<Vec<usize>>, PartitionError> {
        if participants == 0 {
            return Err(PartitionError::NoParticipants);
        }
        let per_head = if let Self::Shards(count) = self {
            count.max(1)
        } else {
            1
        };
        let needed = participants.saturating_mul(per_head);
        if labels.len() < needed {
            return Err(PartitionError::TooFew {
                examples: labels.len(),
                participants,
                partition: self,
                needed,
            });
        }
        let mut stream = Stream::new(seed, purpose::PARTITION);
        let mut parts = match self {
            Self::Iid => {
                let mut order: Vec<usize> = (0..labels.len()).collect();
                stream.shuffle(&mut order);
                even(&order, participants)
            }
            Self::Dirichlet(alpha) => by_dirichlet(labels, participants, alpha, &mut stream),
            Self::Shards(_) => by_shards(labels, participants, per_head, &mut stream),
        };
        parts.iter_mut().for_each(|part| part.sort_unstable());
        Ok(parts)
    }
}

/// Cuts into parts whose lengths differ by at most one.
fn even(order: &[usize], parts: usize) -> Vec<Vec<usize>> {
    let bound = |part: usize| (part as u64 * order.len() as u64 / parts as u64) as usize;
    (0..parts)
        .map(|part| order[bound(part)..bound(part + 1)].to_vec())
        .collect()
}

fn by_shards(
    labels: &[usize],
    participants: usize,
    per_head: usize,
    stream: &mut Stream,
) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..labels.len()).collect();
    // Shuffled first, so that it is random, too, which examples of a class share a shard.
    stream.shuffle(&mut order);
    let by_label = order::sorted(order.len(), &|a, b| labels[order[a]].cmp(&labels[order[b]]));
    let order: Vec<usize> = by_label.into_iter().map(|place| order[place]).collect();
    let mut shards = even(&order, participants * per_head);
    stream.shuffle(&mut shards);
    shards.chunks(per_head).map(<[_]>::concat).collect()
}

fn by_dirichlet(
    labels: &[usize],
    participants: usize,
    alpha: f64,
    stream: &mut Stream,
) -> Vec<Vec<usize>> {
    let classes = by_class(labels);
    let mut parts = Vec::new();
    for _ in 0..DRAWS {
        parts = vec![Vec::new(); participants];
        for members in &classes {
            let mut members = members.clone();
            stream.shuffle(&mut members);
            let shares = dirichlet(alpha, participants, stream);
            let (mut start, mut sum) = (0, 0.0);
            for (part, share) in parts.iter_mut().zip(&shares) {
                sum += share;
                // The sum may differ from 1 by rounding; the last participant takes the rest below.
                let end = ((sum * members.len() as f64 + 0.5) as usize).clamp(start, members.len());
                part.extend(&members[start..end]);
                start = end;
            }
            if let Some(last) = parts.last_mut() {
                last.extend(&members[start..]);
            }
        }
        if parts.iter().all(|part| !part.is_empty()) {
            return parts;
        }
    }
    while let Some(empty) = parts.iter().position(Vec::is_empty) {
        let moved = parts
            .iter_mut()
            .max_by_key(|part| part.len())
            .and_then(Vec::pop);
        parts[empty].extend(moved);
    }
    parts
}

/// The indices of each class, in the order of the classes.
fn by_class(labels: &[usize]) -> Vec<Vec<usize>> {
    order::sorted(labels.len(), &|a, b| labels[a].cmp(&labels[b]))
        .chunk_by(|a, b| labels[*a] == labels[*b])
        .map(<[usize]>::to_vec)
        .collect()
}

/// Draws a point of the simplex from the symmetric Dirichlet distribution: `count` shares with sum
/// 1.
///
/// Shares are gamma variates over their sum. They are kept as logarithms, because with a small α
/// most of them are below the smallest f64.
pub(super) fn dirichlet(alpha: f64, count: usize, stream: &mut Stream) -> Vec<f64> {
    let logs: Vec<f64> = (0..count)
        .map(|_| log_gamma_variate(alpha, stream))
        .collect();
    let most = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = logs.iter().map(|log| libm::exp(log - most)).collect();
    let sum: f64 = weights.iter().sum();
    weights.iter().map(|weight| weight / sum).collect()
}

/// Logarithm of a gamma variate with shape `alpha` and scale 1. Source: G. Marsaglia and W. W.
/// Tsang, "A Simple Method for Generating Gamma Variables", ACM TOMS 26, 2000; for `alpha` < 1
/// their Γ(α) = Γ(α+1)·U^(1/α).
fn log_gamma_variate(alpha: f64, stream: &mut Stream) -> f64 {
    let (shape, boost) = match alpha < 1.0 {
        true => (alpha + 1.0, libm::log(open_uniform(stream)) / alpha),
        false => (alpha, 0.0),
    };
    let d = shape - 1.0 / 3.0;
    let c = 1.0 / (9.0 * d).sqrt();
    loop {
        let x = f64::from(stream.normal());
        let v = 1.0 + c * x;
        if v <= 0.0 {
            continue;
        }
        let v = v * v * v;
        if libm::log(open_uniform(stream)) < 0.5 * x * x + d - d * v + d * libm::log(v) {
            return libm::log(d * v) + boost;
        }
    }
}

/// Uniform in (0, 1), ends excluded: the midpoints of 2³² cells.
fn open_uniform(stream: &mut Stream) -> f64 {
    (f64::from(stream.next_u32()) + 0.5) / 4_294_967_296.0
}

/// Splits the examples 0..labels.len() into those for training and those held out, both ascending.
///
/// The split is stratified: each class gives about `fraction` of its examples (clamped to 0..1),
/// the whole about `fraction` of all. A class of at least two keeps one on each side unless
/// `fraction` is 0 or 1; a class with a single example is used for training.
#[must_use]
pub fn split_holdout(labels: &[usize], fraction: f64, seed: u64) -> (Vec<usize>, Vec<usize>) {
    // A fraction that is NaN holds nothing out.
    let fraction = if fraction > 1.0 {
        1.0
    } else if fraction > 0.0 {
        fraction
    } else {
        0.0
    };
    let mut stream = Stream::new(seed, purpose::HOLDOUT);
    let (mut train, mut held) = (Vec::new(), Vec::new());
    let mut seen = 0;
    for mut members in by_class(labels) {
        stream.shuffle(&mut members);
        seen += members.len();
        // What the classes so far should have given, minus what they gave, so that roundings do not
        // add up.
        let due = (seen as f64 * fraction + 0.5) as usize;
        let wish = due.saturating_sub(held.len());
        let (low, high) = match members.len() {
            n if fraction == 1.0 => (n, n),
            _ if fraction == 0.0 => (0, 0),
            1 => (0, 0),
            n => (1, n - 1),
        };
        let (out, stay) = members.split_at(wish.clamp(low, high));
        held.extend(out);
        train.extend(stay);
    }
    train.sort_unstable();
    held.sort_unstable();
    (train, held)
}

#[cfg(test)]
mod tests;
