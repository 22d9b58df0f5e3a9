//! Checks `shared/vectors/secure_sum.json`, which another implementation wrote (`secure_sum.py`),
//! with the same code natively and inside wasm. Only tests call it.

use super::encoding::{FixedPoint, Layout, Ring, RingVector};
use super::graph::{Graph, holders};
use super::identity::{self, Identity};
use super::keystream::Keystream;
use super::messages::{
    Confirmation, Confirmations, Inbox, Masked, Member, Roster, Shares, Survivors, Unmask,
};
use super::opening;
use super::participant::{Participant, Suspicion};
use super::{Bytes32, Context, SumPolicy, shamir};
use ground::wire::{decode, encode};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;

type Checked = Result<(), String>;

/// Checks the file; returns the number of its cases.
///
/// # Errors
/// Says what differs, or that the file is not understood.
pub fn check(json: &str) -> Result<usize, String> {
    let file: Value = serde_json::from_str(json).map_err(|error| error.to_string())?;
    let sums = array(&file["sums"])?;
    let seven = sums.first().ok_or("there is no sum")?;
    let seven = Stage::read(seven)?;
    let mut cases = 0;
    let mut all = |part: &str, check: &dyn Fn(&Value) -> Checked| -> Checked {
        let list = array(&file[part])?;
        // A part without a case would prove nothing.
        if list.is_empty() {
            return Err(format!("{part} holds no case"));
        }
        for (number, case) in list.iter().enumerate() {
            check(case).map_err(|what| format!("{part}, case {number}: {what}"))?;
        }
        cases += list.len();
        Ok(())
    };
    all("keystreams", &keystream)?;
    all("shamir", &sharing)?;
    all("shamir_refused", &sharing_refused)?;
    all("signatures_refused", &signature_refused)?;
    all("fixed_points", &fixed_point)?;
    all("sums", &|case| Stage::read(case)?.whole(case))?;
    all("refused_by_participant", &|case| seven.suspicion(case))?;
    all("refused_by_aggregator", &|case| seven.not_taken(case))?;
    Ok(cases)
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, got: &T, expected: &T) -> Checked {
    if got == expected {
        return Ok(());
    }
    let shorten = |value: &T| format!("{value:?}").chars().take(160).collect::<String>();
    Err(format!(
        "{what} is {} instead of {}",
        shorten(got),
        shorten(expected)
    ))
}

fn array(value: &Value) -> Result<&Vec<Value>, String> {
    value
        .as_array()
        .ok_or_else(|| format!("{value} is no list"))
}

fn number(value: &Value) -> Result<u64, String> {
    value
        .as_u64()
        .ok_or_else(|| format!("{value} is no whole number"))
}

fn float(value: &Value) -> Result<f64, String> {
    value
        .as_f64()
        .ok_or_else(|| format!("{value} is no number"))
}

fn text(value: &Value) -> Result<&str, String> {
    value.as_str().ok_or_else(|| format!("{value} is no text"))
}

fn numbers(value: &Value) -> Result<Vec<u32>, String> {
    let small = |value| Ok(number(value)? as u32);
    array(value)?.iter().map(small).collect()
}

fn integers(value: &Value) -> Result<Vec<i64>, String> {
    let integer = |value: &Value| {
        value
            .as_i64()
            .ok_or_else(|| format!("{value} is no integer"))
    };
    array(value)?.iter().map(integer).collect()
}

fn unhex(value: &Value) -> Result<Vec<u8>, String> {
    ground::hex::unhex_all(text(value)?).ok_or_else(|| "not hexadecimal".to_owned())
}

fn bytes<const N: usize>(value: &Value) -> Result<[u8; N], String> {
    let bytes = unhex(value)?;
    bytes
        .try_into()
        .map_err(|_| format!("{value} has another length"))
}

fn message<T: serde::de::DeserializeOwned>(value: &Value) -> Result<T, String> {
    decode(&unhex(value)?).map_err(|error| error.to_string())
}

fn keystream(case: &Value) -> Checked {
    let expected = unhex(&case["bytes"])?;
    let mut got = vec![0; expected.len()];
    Keystream::new(&bytes(&case["key"])?, &unhex(&case["label"])?).fill(&mut got);
    same("the stream", &got, &expected)
}

fn sharing(case: &Value) -> Checked {
    let secret: Bytes32 = bytes(&case["secret"])?;
    let (t, n) = (number(&case["t"])? as u8, number(&case["n"])? as u8);
    let mut stream = Keystream::new(&bytes(&case["key"])?, &unhex(&case["label"])?);
    let shares = shamir::split(&secret, t, n, &mut stream).map_err(|error| error.to_string())?;
    for (share, expected) in shares.iter().zip(array(&case["first"])?) {
        same("a share", share, &bytes(expected)?)?;
    }
    same(
        "the last share",
        shares.last().unwrap_or(&[0; 32]),
        &bytes(&case["last"])?,
    )?;
    let all: Bytes32 = Sha256::digest(shares.concat()).into();
    same("the shares' hash", &all, &bytes(&case["all"])?)?;
    let numbered: Vec<(u8, Bytes32)> = (1..=u8::MAX).zip(shares).collect();
    // The last t of them, and all.
    let enough = numbered.get(usize::from(n - t)..).unwrap_or_default();
    for some in [enough, &numbered] {
        same("the secret", &shamir::combine(some, t), &Ok(secret))?;
    }
    Ok(())
}

fn sharing_refused(case: &Value) -> Checked {
    let share = |pair: &Value| Ok((number(&pair[0])? as u8, bytes(&pair[1])?));
    let shares: Result<Vec<(u8, Bytes32)>, String> =
        array(&case["shares"])?.iter().map(share).collect();
    let got = shamir::combine(&shares?, number(&case["t"])? as u8);
    got.map_or(Ok(()), |_| Err("it was taken".to_owned()))
}

fn signature_refused(case: &Value) -> Checked {
    let (public, signature) = (bytes(&case["public"])?, bytes(&case["signature"])?);
    let verifies = identity::verify(&public, &unhex(&case["message"])?, &signature);
    same("that it verifies", &verifies, &false)
}

fn ring(value: &Value) -> Result<Ring, String> {
    match text(value)? {
        "u32" => Ok(Ring::U32),
        "u64" => Ok(Ring::U64),
        other => Err(format!("no ring is called {other}")),
    }
}

fn fixed_point(case: &Value) -> Checked {
    let clip = float(&case["clip"])? as f32;
    let (cohort, noise) = (
        number(&case["cohort_max"])? as u32,
        number(&case["noise_bound"])?,
    );
    let chosen = FixedPoint::choose(cohort, clip, noise).ok();
    let expected = &case["chosen"];
    if expected.is_null() {
        return same("the choice", &chosen, &None);
    }
    let expected = FixedPoint {
        ring: ring(&expected["ring"])?,
        bits: number(&expected["bits"])? as u32,
        clip,
    };
    same("the choice", &chosen, &Some(expected))?;
    let mut stream = Keystream::new(&bytes(&case["key"])?, &unhex(&case["label"])?);
    let expected_integers = integers(&case["integers"])?;
    for (value, integer) in array(&case["values"])?.iter().zip(expected_integers) {
        let got = expected.quantise(float(value)?, &mut stream);
        same("an integer", &got, &Ok(integer))?;
    }
    Ok(())
}

/// One sum of the file.
struct Stage {
    context: Context,
    policy: SumPolicy,
    layout: Layout,
    roster: Roster,
    senders: Vec<u32>,
    told: Survivors,
    survivors: Vec<u32>,
    confirmations: Confirmations,
    actors: Vec<Actor>,
}

struct Actor {
    number: u32,
    seed: Bytes32,
    identity: Identity,
    vector: Vec<i64>,
    inbox: Option<Inbox>,
}

impl Stage {
    fn read(case: &Value) -> Result<Self, String> {
        let (context, policy, layout) = (&case["context"], &case["policy"], &case["layout"]);
        let actor = |one: &Value| {
            let inbox = &one["inbox"];
            Ok(Actor {
                number: number(&one["participant"])? as u32,
                seed: bytes(&one["seed"])?,
                identity: Identity::from_seed(bytes(&one["identity_seed"])?),
                vector: integers(&one["vector"])?,
                inbox: if inbox.is_null() {
                    None
                } else {
                    Some(message(inbox)?)
                },
            })
        };
        let actors: Result<Vec<Actor>, String> =
            array(&case["participants"])?.iter().map(actor).collect();
        let told: Survivors = message(&case["survivors"])?;
        Ok(Self {
            context: Context {
                federation: text(&context["federation"])?.to_owned(),
                task: bytes(&context["task"])?,
                round: number(&context["round"])? as u32,
                theta: bytes(&context["theta"])?,
                record: bytes(&context["record"])?,
            },
            policy: SumPolicy {
                cohort_min: number(&policy["cohort_min"])? as u32,
                threshold: float(&policy["threshold"])? as f32,
                degree: number(&policy["degree"])? as u32,
                groups: number(&policy["groups"])? as u32,
            },
            layout: Layout {
                ring: ring(&layout["ring"])?,
                entries: number(&layout["entries"])? as usize,
                tail: number(&layout["tail"])? as usize,
            },
            roster: message(&case["roster"])?,
            senders: numbers(&case["senders"])?,
            survivors: told.participants(),
            told,
            confirmations: message(&case["confirmations"])?,
            actors: actors?,
        })
    }

    /// Lets all participants and the aggregator do their parts, and compares every message.
    fn whole(&self, case: &Value) -> Checked {
        same(
            "the context",
            &self.context.digest(),
            &bytes(&case["digest"])?,
        )?;
        same(
            "the roster",
            &encode(&self.roster),
            &unhex(&case["roster"])?,
        )?;
        same(
            "its hash",
            &self.roster.hash(),
            &bytes(&case["roster_hash"])?,
        )?;
        let graph = Graph::new(&self.roster, &self.policy);
        let groups: Result<Vec<Vec<u32>>, String> =
            array(&case["groups"])?.iter().map(numbers).collect();
        same("the groups", &graph.groups().to_vec(), &groups?)?;
        let group_of = opening::group_of(&self.roster, &self.policy);
        let mut sums = vec![RingVector::zero(self.layout); graph.groups().len()];
        let mut unmasks = Vec::new();
        let mut dealt = BTreeMap::new();
        for (actor, one) in self.actors.iter().zip(array(&case["participants"])?) {
            let me = actor.number;
            let member = self.member(actor)?;
            self.keys(actor, member, &one["keys"])?;
            let of = graph.groups().get(group_of.get(&me).copied().unwrap_or(0));
            let holding = of.map(|group| holders(group, me, &self.policy));
            same("the holders", &holding, &Some(numbers(&one["holders"])?))?;
            let mut participant = self.participant(actor);
            let shares = self.shares(actor, &mut participant).map_err(words)?;
            let dealing = self.senders.binary_search(&me).is_ok();
            if dealing {
                let taken =
                    opening::check_shares(&self.context, &self.policy, &self.roster, me, &shares);
                same("that the shares are taken", &taken, &true)?;
                same("the shares", &encode(&shares), &unhex(&one["shares"])?)?;
                dealt.insert(me, shares);
            }
            if self.survivors.binary_search(&me).is_err() {
                continue;
            }
            let masked = self.masked(actor, &mut participant).map_err(words)?;
            same(
                "the masked vector",
                &encode(&masked),
                &unhex(&one["masked"])?,
            )?;
            same(
                "that it is taken",
                &self.takes_masked(member, &masked),
                &true,
            )?;
            let vector = RingVector::from_bytes(self.layout, &masked.vector);
            let sum = group_of.get(&me).and_then(|group| sums.get_mut(*group));
            let added = sum.zip(vector.ok()).map(|(sum, vector)| sum.add(&vector));
            same("that it adds up", &added, &Some(Ok(())))?;
            if one["confirmation"].is_null() {
                continue;
            }
            let confirmation = self.confirm(actor, &mut participant).map_err(words)?;
            let written = unhex(&one["confirmation"])?;
            same("the confirmation", &encode(&confirmation), &written)?;
            let taken = self.takes_confirmation(me, &confirmation);
            same("that it is taken", &taken, &true)?;
            if one["unmask"].is_null() {
                continue;
            }
            let unmask = self.unmask(&mut participant).map_err(words)?;
            same(
                "the shares given away",
                &encode(&unmask),
                &unhex(&one["unmask"])?,
            )?;
            same(
                "that they are taken",
                &self.takes_unmask(me, &unmask),
                &true,
            )?;
            unmasks.push((me, unmask));
        }
        for actor in &self.actors {
            if let Some(inbox) = &actor.inbox {
                let forwarded = opening::inbox(&self.senders, &dealt, actor.number);
                same("the inbox", &forwarded, inbox)?;
            }
        }
        let opened = opening::open(
            &self.context,
            &self.policy,
            &self.roster,
            &self.senders,
            &self.survivors,
            self.layout,
            &unmasks,
            &mut sums,
        );
        same("the opening", &opened, &Ok(()))?;
        let expected: Result<Vec<Vec<i64>>, String> =
            array(&case["sums"])?.iter().map(integers).collect();
        let got: Vec<Vec<i64>> = sums.iter().map(RingVector::integers).collect();
        same("the sums", &got, &expected?)
    }

    fn member(&self, actor: &Actor) -> Result<&Member, String> {
        let member = self.roster.member(actor.number);
        member.ok_or_else(|| "a participant is missing in the roster".to_owned())
    }

    fn participant(&self, actor: &Actor) -> Participant {
        Participant::new(self.context.clone(), actor.number, self.policy, actor.seed)
    }

    fn keys(&self, actor: &Actor, member: &Member, expected: &Value) -> Checked {
        let keys = self.participant(actor).keys(&actor.identity);
        same("the keys", &keys, &member.keys)?;
        same(
            "the identity",
            &actor.identity.public(),
            &bytes(&expected["identity"])?,
        )?;
        same(
            "one key",
            &keys.encryption,
            &bytes(&expected["encryption"])?,
        )?;
        same("the other", &keys.masking, &bytes(&expected["masking"])?)?;
        same(
            "the signature",
            &keys.signature.0,
            &bytes(&expected["signature"])?,
        )?;
        let taken = opening::check_keys(&self.context, member);
        same("that the keys are taken", &taken, &true)
    }

    fn shares(&self, actor: &Actor, participant: &mut Participant) -> Result<Shares, Suspicion> {
        let public = actor.identity.public();
        participant.shares(&public, &self.roster, &BTreeMap::new())
    }

    fn masked(&self, actor: &Actor, participant: &mut Participant) -> Result<Masked, Suspicion> {
        let inbox = actor.inbox.as_ref().ok_or(Suspicion::OutOfOrder)?;
        self.masked_for(actor, participant, inbox)
    }

    fn masked_for(
        &self,
        actor: &Actor,
        participant: &mut Participant,
        inbox: &Inbox,
    ) -> Result<Masked, Suspicion> {
        let vector = RingVector::from_integers(self.layout, &actor.vector);
        let vector = vector.map_err(|_| Suspicion::TooLarge)?;
        participant.masked(&actor.identity, inbox, vector)
    }

    fn confirm(
        &self,
        actor: &Actor,
        participant: &mut Participant,
    ) -> Result<Confirmation, Suspicion> {
        participant.confirm(&actor.identity, &self.told)
    }

    fn unmask(&self, participant: &mut Participant) -> Result<Unmask, Suspicion> {
        participant.unmask(&self.confirmations)
    }

    fn takes_confirmation(&self, from: u32, confirmation: &Confirmation) -> bool {
        let (roster, senders, survivors) = (&self.roster, &self.senders, &self.survivors);
        opening::check_confirmation(
            &self.context,
            roster,
            senders,
            survivors,
            from,
            confirmation,
        )
    }

    fn takes_masked(&self, member: &Member, masked: &Masked) -> bool {
        let (identity, me) = (&member.identity, member.participant);
        opening::check_masked(
            &self.context,
            identity,
            me,
            &self.senders,
            self.layout,
            masked,
        )
    }

    fn takes_unmask(&self, from: u32, unmask: &Unmask) -> bool {
        let (senders, survivors) = (&self.senders, &self.survivors);
        opening::check_unmask(&self.policy, &self.roster, senders, survivors, from, unmask)
    }

    /// Checks participant 21's answer to a message of a malicious server.
    fn suspicion(&self, case: &Value) -> Checked {
        let actor = self.actors.iter().find(|actor| actor.number == 21);
        let actor = actor.ok_or("there is no participant 21")?;
        let public = actor.identity.public();
        let pins: BTreeMap<u32, Bytes32> = self
            .roster
            .members
            .iter()
            .map(|member| (member.participant, member.identity))
            .collect();
        let mut participant = self.participant(actor);
        let step = text(&case["step"])?;
        let wire = &case["message"];
        let steps = ["roster", "inbox", "survivors", "confirmations"];
        let second = step.strip_prefix("second-");
        let at = steps.iter().position(|s| *s == second.unwrap_or(step));
        // Everything before that step (and, for a second request, that step too) goes as it should.
        let done = at.ok_or("no such step")? + usize::from(second.is_some());
        if done > 0 {
            self.shares(actor, &mut participant).map_err(words)?;
        }
        if done > 1 {
            self.masked(actor, &mut participant).map_err(words)?;
        }
        if done > 2 {
            self.confirm(actor, &mut participant).map_err(words)?;
        }
        let before = participant.clone();
        // A participant who was never seen before may have any identity, but only if the keys are
        // signed by it.
        let none = BTreeMap::new();
        let expected = text(&case["suspicion"])?;
        let pins = if expected == Suspicion::IdentityChanged.code() {
            &pins
        } else {
            &none
        };
        let answer = match second.unwrap_or(step) {
            "roster" => participant.shares(&public, &message(wire)?, pins).err(),
            "inbox" => {
                let inbox = message(wire)?;
                self.masked_for(actor, &mut participant, &inbox).err()
            }
            "survivors" => {
                let survivors = message(wire)?;
                participant.confirm(&actor.identity, &survivors).err()
            }
            _ => participant.unmask(&message(wire)?).err(),
        };
        let code = answer.map(Suspicion::code);
        let name = text(&case["name"])?;
        same(name, &code, &Some(expected)).and_then(|()| same(name, &participant, &before))
    }

    /// Checks what the aggregator must refuse.
    fn not_taken(&self, case: &Value) -> Checked {
        let from = number(&case["from"])? as u32;
        let wire = &case["message"];
        let taken = match text(&case["kind"])? {
            "keys" => opening::check_keys(&self.context, &message(wire)?),
            "shares" => {
                let shares: Shares = message(wire)?;
                opening::check_shares(&self.context, &self.policy, &self.roster, from, &shares)
            }
            "masked" => {
                let member = self.roster.member(from).ok_or("no such participant")?;
                self.takes_masked(member, &message(wire)?)
            }
            "confirmation" => self.takes_confirmation(from, &message(wire)?),
            "unmask" => self.takes_unmask(from, &message(wire)?),
            other => return Err(format!("no message is called {other}")),
        };
        same(text(&case["name"])?, &taken, &false)
    }
}

fn words(suspicion: Suspicion) -> String {
    format!("an honest step was refused: {suspicion}")
}
