//! Every refusal of the routes of a secure sum.

use crate::player::*;
use crate::secure::{audited, secure_task};
use crate::support::*;
use aggregator::TestClock;
use federation::round::client::{Action, Event};
use federation::round::messages::{Invite, SumInput, SumMessage};
use federation::round::phase::Phase;
use federation::task::Task;
use ground::wire;
use reqwest::{Method, Response};
use secure_sum::identity::Identity;
use secure_sum::messages::{
    Confirmation, SecretKind, Signature, Unmask, hash_senders, hash_survivors,
};
use serde_json::json;
use std::sync::Arc;

struct Table {
    _home: Home,
    server: Server,
    invite: Invite,
    task: Task,
    live: Live,
    players: Vec<Player>,
    /// A participant who has joined but not enrolled.
    outsider: Member,
}

impl Table {
    /// Five participants in a federation of one round, about to send their keys.
    async fn laid() -> Self {
        let source = secure_task(1, 5, 4, 3);
        let task = Task::from_value(source.clone()).unwrap();
        let home = Home::new();
        let clock = Arc::new(TestClock::at(1_700_000_000_000));
        let server = Server::start(home.config(), clock.clone()).await;
        let invite = server.api.create(source).await;
        let players = Player::many(&task, 5);
        let live = Live::join(&server.api, &invite, &players)
            .await
            .with(&clock);
        let outsider = server.api.join_as(99, &invite).await;
        let mut table = Self {
            _home: home,
            server,
            invite,
            task,
            live,
            players,
            outsider,
        };
        table.reach(Phase::Keys).await;
        table
    }

    /// Brings all that remain to the point of sending their message in this phase.
    async fn reach(&mut self, phase: Phase) {
        for _ in 0..60 {
            for player in &mut self.players {
                if !sends(&player.open(), phase) {
                    player.turn(&mut self.live).await;
                }
            }
        }
        // The outsider's own federation must be open, not only the table.
        self.outsider.view().await;
    }

    fn message(&mut self, number: usize) -> SumMessage {
        match self.players[number].open() {
            Action::Send { message, .. } => message,
            other => panic!("{number}: {other:?}"),
        }
    }

    async fn refused(&self, number: usize, message: &SumMessage, status: u16, code: &str) {
        let before = self.live.members[number].view().await;
        let response = self.live.members[number]
            .send_sum(0, wire::encode(message))
            .await;
        let problem = problem(response).await;
        assert_eq!(
            (problem.status, &problem.code[..]),
            (status, code),
            "{message:?}: {problem:?}"
        );
        // Nothing has changed.
        let after = self.live.members[number].view().await;
        assert_eq!(before.version, after.version);
    }

    /// Lets these participants send what they have to send.
    async fn send(&mut self, numbers: impl IntoIterator<Item = usize>) {
        for number in numbers {
            let action = self.players[number].open();
            let answer = self.live.answer(number as u32, &action).await;
            assert_eq!(answer, Event::Accepted);
            self.players[number].tell(answer);
        }
    }

    /// What a member is told for this phase.
    async fn input(&self, number: usize, phase: Phase) -> SumInput {
        let response = self.live.members[number].fetch(0, phase).await;
        assert_eq!(response.status(), 200);
        wire::decode(&response.bytes().await.unwrap()).unwrap()
    }

    async fn fetch(&self, member: &Member, phase: Phase, status: u16, code: &str) {
        expect(member.fetch(0, phase).await, status, code).await;
    }
}

impl Member {
    /// As the client asks, but the answer with its status.
    async fn fetch(&self, round: u32, phase: Phase) -> Response {
        let word = serde_json::to_value(phase).unwrap();
        let rest = format!("rounds/{round}/sum?phase={}", word.as_str().unwrap());
        self.request(Method::GET, &rest).send().await.unwrap()
    }

    /// Any bytes as a message.
    async fn send_sum(&self, round: u32, body: Vec<u8>) -> Response {
        self.request(Method::POST, &format!("rounds/{round}/sum"))
            .header("content-type", wire::CONTENT_TYPE)
            .body(body)
            .send()
            .await
            .unwrap()
    }
}

/// A signature by a key that has nothing to do with the federation.
fn forged() -> Signature {
    Identity::from_seed([250; 32]).signature(b"nothing")
}

#[tokio::test]
async fn messages_of_a_sum_that_are_not_taken() {
    let mut table = Table::laid().await;
    let ann = table.live.members[0].clone();
    let outsider = table.outsider.clone();

    // Refused in any phase: wrong senders, wrong places, wrong forms.
    let keys = table.message(0);
    let body = wire::encode(&keys);
    let mut stranger = ann.clone();
    stranger.token = "0".repeat(64);
    expect(
        stranger.send_sum(0, body.clone()).await,
        401,
        "unauthorized",
    )
    .await;
    expect(ann.send_sum(1, body.clone()).await, 409, "wrong_round").await;
    expect(
        outsider.send_sum(0, body.clone()).await,
        409,
        "not_in_cohort",
    )
    .await;
    let mut longer = body.clone();
    longer.push(0);
    for bytes in [
        vec![],
        vec![9, 9],
        vec![1, 200],
        body[..body.len() - 1].to_vec(),
        longer,
    ] {
        expect(ann.send_sum(0, bytes).await, 422, "malformed").await;
    }
    // A page or a program from before the wire format changed is told what to do.
    for version in [1, 2, 4] {
        let mut old = body.clone();
        old[0] = version;
        let problem = problem(ann.send_sum(0, old).await).await;
        assert_eq!((problem.status, &problem.code[..]), (422, "malformed"));
        let words = format!("of version {version}; this side speaks version 3: reload the page");
        let detail = problem.detail.unwrap();
        assert!(detail.contains(&words), "{detail}");
    }
    let limit = 1024 + 2 * table.task.contribution().unwrap().layout().bytes();
    expect(ann.send_sum(0, vec![1; limit + 1]).await, 413, "too_large").await;
    let json = ann
        .request(Method::POST, "rounds/0/sum")
        .json(&json!({}))
        .send()
        .await
        .unwrap();
    expect(json, 415, "bad_request").await;
    let update = ann.send(&update(&ann.view().await, 1.0, 1)).await;
    expect(update, 422, "malformed").await;

    // Keys.
    let SumMessage::Keys(round_keys) = &keys else {
        panic!()
    };
    let mut bad = round_keys.clone();
    bad.signature = forged();
    table
        .refused(0, &SumMessage::Keys(bad), 403, "bad_identity")
        .await;
    let mut bad = round_keys.clone();
    bad.masking[3] ^= 1;
    table
        .refused(0, &SumMessage::Keys(bad), 403, "bad_identity")
        .await;
    // Signed, but by another member.
    table.refused(1, &keys, 403, "bad_identity").await;
    table.send([0]).await;
    table.refused(0, &keys, 409, "duplicate").await;
    for phase in [Phase::Shares, Phase::Masked, Phase::Confirm, Phase::Unmask] {
        table.fetch(&ann, phase, 409, "too_early").await;
        table.fetch(&outsider, phase, 409, "not_in_cohort").await;
    }
    table.send(1..5).await;

    // Shares. What comes in later phases is not taken in this one.
    table.reach(Phase::Shares).await;
    table.refused(0, &keys, 409, "duplicate").await;
    table.fetch(&ann, Phase::Masked, 409, "too_early").await;
    let roster = match table.input(0, Phase::Shares).await {
        SumInput::Roster(roster) => roster,
        other => panic!("{other:?}"),
    };
    let shares = table.message(0);
    let SumMessage::Shares(dealt) = &shares else {
        panic!()
    };
    let changes: [fn(&mut secure_sum::messages::Shares); 7] = [
        |s| s.roster[0] ^= 1,
        |s| s.envelopes.truncate(3),
        |s| s.envelopes.clear(),
        |s| s.envelopes.swap(0, 1),
        |s| s.envelopes[2].peer = 7,
        |s| s.envelopes[2].sealed.truncate(79),
        |s| {
            let twice = s.envelopes[1].clone();
            s.envelopes.insert(1, twice);
        },
    ];
    for change in changes {
        let mut bad = dealt.clone();
        change(&mut bad);
        table
            .refused(0, &SumMessage::Shares(bad), 422, "malformed")
            .await;
    }
    // One deals to other holders than the rest.
    table.refused(1, &shares, 422, "malformed").await;
    table.send([0]).await;
    table.refused(0, &shares, 409, "duplicate").await;
    let late = table.message(4);
    table.send(1..4).await;
    // The fifth sends nothing in time.
    table.live.pass().await;
    assert_eq!(ann.view().await.phase, Phase::Masked);
    table.refused(4, &late, 409, "too_late").await;
    table
        .fetch(&table.live.members[4], Phase::Masked, 409, "not_in_cohort")
        .await;

    // Masked updates.
    table.players.truncate(4);
    table.reach(Phase::Masked).await;
    let masked = table.message(0);
    let SumMessage::Masked(vector) = &masked else {
        panic!()
    };
    let changes: [fn(&mut secure_sum::messages::Masked); 5] = [
        |m| m.signature = forged(),
        |m| m.vector[40] ^= 1,
        |m| {
            m.vector.pop();
        },
        |m| m.vector.clear(),
        |m| m.senders = hash_senders(&[0, 1, 2]),
    ];
    for change in changes {
        let mut bad = vector.clone();
        change(&mut bad);
        table
            .refused(0, &SumMessage::Masked(bad), 422, "malformed")
            .await;
    }
    table.refused(1, &masked, 422, "malformed").await;
    for phase in [Phase::Confirm, Phase::Unmask] {
        table.fetch(&ann, phase, 409, "too_early").await;
    }
    table.send(0..4).await;

    // Confirmations of the survivors. Nobody is told yet which of them have confirmed.
    table.reach(Phase::Confirm).await;
    table.refused(0, &masked, 409, "duplicate").await;
    table.fetch(&ann, Phase::Unmask, 409, "too_early").await;
    let told = match table.input(0, Phase::Confirm).await {
        SumInput::Survivors(survivors) => survivors,
        other => panic!("{other:?}"),
    };
    let survivors = [0, 1, 2, 3];
    assert_eq!(told.participants(), survivors);
    let early = SumMessage::Unmask(Unmask {
        survivors: hash_survivors(&survivors),
        shares: Vec::new(),
    });
    table.refused(0, &early, 409, "too_early").await;
    let confirmation = table.message(0);
    let SumMessage::Confirmation(signed) = &confirmation else {
        panic!()
    };
    let mut bad = signed.clone();
    bad.signature = forged();
    table
        .refused(0, &SumMessage::Confirmation(bad), 422, "malformed")
        .await;
    let mut bad = signed.clone();
    bad.survivors = hash_survivors(&[0, 1, 2]);
    table
        .refused(0, &SumMessage::Confirmation(bad), 422, "malformed")
        .await;
    // Signed by another survivor.
    table.refused(1, &confirmation, 422, "malformed").await;
    // Signed by the right one, who was told something else: another roster, other senders or other survivors.
    let context = table.context().await;
    let (right, senders) = (roster.hash(), hash_senders(&survivors));
    let sign = |roster, senders, survivors| {
        let bytes = Confirmation::signed(&context, 0, &roster, &senders, &survivors);
        let signature = table.players[0].identity().signature(&bytes);
        SumMessage::Confirmation(Confirmation {
            survivors: hash_survivors(&[0, 1, 2, 3]),
            signature,
        })
    };
    let (all, few) = (hash_survivors(&survivors), hash_survivors(&[0, 1, 2]));
    let others = [
        sign([7; 32], senders, all),
        sign(right, hash_senders(&[0, 1, 2, 3, 4]), all),
        sign(right, senders, few),
    ];
    assert_eq!(sign(right, senders, all), confirmation);
    for other in &others {
        table.refused(0, other, 422, "malformed").await;
    }
    table.send([0]).await;
    table.refused(0, &confirmation, 409, "duplicate").await;
    table.fetch(&ann, Phase::Unmask, 409, "too_early").await;
    table
        .fetch(&table.live.members[4], Phase::Confirm, 409, "not_in_cohort")
        .await;
    table.send(1..4).await;

    // What opens the sum.
    table.reach(Phase::Unmask).await;
    table.refused(0, &confirmation, 409, "duplicate").await;
    match table.input(0, Phase::Unmask).await {
        SumInput::Confirmations(confirmations) => {
            let numbers: Vec<u32> = confirmations.members.iter().map(|m| m.0).collect();
            assert_eq!(numbers, survivors);
        }
        other => panic!("{other:?}"),
    }
    let unmask = table.message(0);
    let SumMessage::Unmask(revealed) = &unmask else {
        panic!()
    };
    let changes: [fn(&mut secure_sum::messages::Unmask); 5] = [
        |u| u.survivors = hash_survivors(&[0, 1, 2]),
        |u| u.shares.truncate(2),
        |u| u.shares.swap(0, 1),
        |u| u.shares[1].kind = SecretKind::MaskingKey,
        |u| u.shares[3].of = 4,
    ];
    for change in changes {
        let mut bad = revealed.clone();
        change(&mut bad);
        table
            .refused(0, &SumMessage::Unmask(bad), 422, "malformed")
            .await;
    }
    table.send(0..4).await;

    // All is over, and the last message is sent again.
    let last = wire::encode(&unmask);
    expect(ann.send_sum(0, last.clone()).await, 409, "duplicate").await;
    expect(outsider.send_sum(0, last).await, 410, "federation_finished").await;
    table
        .fetch(&ann, Phase::Unmask, 410, "federation_finished")
        .await;
    let (record, _) = audited(&table.server.api, &table.invite.federation, &table.task).await;
    assert_eq!(record.step(), 1);
    table.server.stop().await;
}

#[tokio::test]
async fn what_a_sum_needs_is_asked_for_in_words_that_exist() {
    let mut table = Table::laid().await;
    let ann = table.live.members[0].clone();
    for rest in [
        "rounds/0/sum",
        "rounds/0/sum?phase=",
        "rounds/0/sum?phase=nonsense",
        "rounds/0/sum?phase=keys",
        "rounds/0/sum?phase=open",
        "rounds/0/sum?phase=upload",
        "rounds/0/sum?phase=done",
    ] {
        let response = ann.request(Method::GET, rest).send().await.unwrap();
        expect(response, 400, "bad_request").await;
    }
    let far = ann.request(Method::GET, "rounds/x/sum?phase=shares");
    expect(far.send().await.unwrap(), 404, "not_found").await;
    let mut stranger = ann.clone();
    stranger.token = "0".repeat(64);
    expect(stranger.fetch(0, Phase::Shares).await, 401, "unauthorized").await;
    expect(ann.fetch(1, Phase::Shares).await, 409, "wrong_round").await;
    let body = wire::encode(&table.message(0));
    table.send(0..5).await;
    let roster = ann.fetch(0, Phase::Shares).await;
    assert_eq!(roster.status(), 200);
    assert_eq!(roster.headers()["content-type"], wire::CONTENT_TYPE);
    let closed = table.server.api.close(&table.invite.federation).await;
    assert_eq!(closed.id, table.invite.federation);
    table
        .fetch(&ann, Phase::Shares, 410, "federation_closed")
        .await;
    expect(ann.send_sum(0, body).await, 410, "federation_closed").await;
    table.server.stop().await;
}

#[tokio::test]
async fn a_key_of_somebody_else_is_no_key() {
    let mut table = Table::laid().await;
    let SumMessage::Keys(first) = table.message(0) else {
        panic!()
    };
    let SumMessage::Keys(mut second) = table.message(1) else {
        panic!()
    };
    table.send([0]).await;
    // The signature is valid, but all members would refuse a roster in which a key occurs twice.
    second.encryption = first.masking;
    let context = table.context().await;
    let signed =
        secure_sum::messages::RoundKeys::signed(&context, 1, &second.encryption, &second.masking);
    second.signature = table.players[1].identity().signature(&signed);
    table
        .refused(1, &SumMessage::Keys(second), 403, "bad_identity")
        .await;
    // With keys of their own they are accepted, and the sum is correct.
    table.send(1..5).await;
    play(&mut table.live, &mut table.players, u32::MAX).await;
    let (record, _) = audited(&table.server.api, &table.invite.federation, &table.task).await;
    assert_eq!(record.step(), 1);
    table.server.stop().await;
}

impl Table {
    /// What this round's keys are bound to.
    async fn context(&self) -> [u8; 32] {
        let (record, _) = audited(&self.server.api, &self.invite.federation, &self.task).await;
        record.context(&self.task, 0).unwrap().digest()
    }
}

#[tokio::test]
async fn without_an_identity_nobody_joins_a_secure_federation() {
    let (_home, server) = Server::fresh().await;
    let invite = server.api.create(secure_task(1, 4, 4, 3)).await;
    let anonymous = server
        .api
        .try_join(&invite.federation, &invite.invite)
        .await;
    expect(anonymous, 403, "bad_identity").await;
    assert_eq!(server.api.participants(&invite.federation).await, 0);
    assert_eq!(server.api.join_as(1, &invite).await.number, 0);
    server.stop().await;
}

#[tokio::test]
async fn plain_federations_have_no_sums() {
    let (_home, server) = Server::fresh().await;
    let invite = server.api.create(task(1, 2)).await;
    let members = server.api.members(&invite, 2).await;
    for member in &members {
        member.enrol().await;
    }
    // Otherwise it would be too early, or a duplicate.
    let mut table = Table::laid().await;
    let body = wire::encode(&table.message(0));
    expect(members[0].send_sum(0, body).await, 422, "malformed").await;
    expect(members[0].fetch(0, Phase::Shares).await, 422, "malformed").await;
    table.server.stop().await;
    server.stop().await;
}
