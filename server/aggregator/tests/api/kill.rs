//! `kill -9` in the middle of uploads, and a restart over the same file.

use crate::support::*;
use federation::round::client::Action;
use federation::round::phase::Phase;
use participant::api::ApiError;
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// The aggregator as a separate process; killed when dropped.
pub struct Process {
    child: Child,
    pub api: Api,
}

impl Process {
    pub async fn start(home: &Home) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_aggregator-only"))
            .args(["--listen", "127.0.0.1:0", "--database"])
            .arg(home.database())
            .env("FED_BBPT_ADMIN_TOKEN", ADMIN)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let url = loop {
            let line = lines.next().expect("it says where it listens").unwrap();
            if let Some(url) = line.strip_prefix("aggregator at ") {
                break url.to_owned();
            }
        };
        let api = Api::new(url);
        api.wait_until_healthy().await;
        Self { child, api }
    }

    /// Sends SIGKILL.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_accepted_update_is_lost_or_counted_twice() {
    const MEMBERS: usize = 24;
    let home = Home::new();
    let process = Process::start(&home).await;
    let limits = (MEMBERS as u32, MEMBERS as u32, 600_000, 600_000);
    let invite = process.api.create(task_with(2, 600, limits, limits)).await;
    let members = process.api.members(&invite, MEMBERS).await;
    let before = process.api.theta(&invite.federation).await;
    for member in &members {
        member.enrol().await;
    }
    let view = members[0].view().await;
    assert_eq!(view.phase, Phase::Upload);

    // Everyone sends at once; the process dies after some have been answered.
    let (answered, mut answers) = tokio::sync::mpsc::unbounded_channel();
    for member in members.clone() {
        let update = update(&view, member.number as f32 + 1.0, 1);
        let answered = answered.clone();
        tokio::spawn(async move {
            // What matters is what the sender knows: an answer, or a broken connection.
            let taken = match member.ask(&Action::Upload(update)).await {
                Ok(_) => true,
                Err(ApiError::Unreachable { .. }) => false,
                Err(refused) => panic!("{refused:?}"),
            };
            let _ = answered.send((member.number, taken));
        });
    }
    drop(answered);
    let mut accepted = BTreeMap::new();
    let mut process = Some(process);
    while let Some((number, taken)) = answers.recv().await {
        accepted.insert(number, taken);
        if accepted.values().filter(|taken| **taken).count() >= MEMBERS / 4
            && let Some(process) = process.take()
        {
            process.kill();
        }
    }
    assert_eq!(accepted.len(), MEMBERS);
    let sure = accepted.values().filter(|taken| **taken).count();
    assert!(sure < MEMBERS, "killed too late to test anything");

    let process = Process::start(&home).await;
    let at = |member: &Member| Member {
        api: process.api.clone(),
        ..member.clone()
    };
    let delivered = at(&members[0]).view().await.delivered as usize;
    assert!(
        delivered >= sure,
        "{sure} were answered, {delivered} are there"
    );
    // Everyone sends again, as a client does that knows no better.
    for member in &members {
        let body = update(&view, member.number as f32 + 1.0, 1);
        let status = at(member).send(&body).await.status().as_u16();
        let known = accepted[&member.number];
        assert!(
            status == 409 || (!known && status == 200),
            "{} got {status}",
            member.number
        );
    }
    let view = at(&members[0]).view().await;
    assert_eq!((view.step, view.round), (1, 1));
    let mean = (1..=MEMBERS).sum::<usize>() as f32 / MEMBERS as f32;
    let expected: Vec<f32> = before.iter().map(|t| t + mean).collect();
    assert_eq!(process.api.theta(&invite.federation).await, expected);
    let record = process
        .api
        .detail(&invite.federation)
        .await
        .rounds
        .pop()
        .unwrap();
    assert_eq!(record.delivered as usize, MEMBERS);
    // The next round works.
    at(&members[0]).enrol().await;
    process.kill();
}

#[tokio::test]
async fn wrong_settings_end_with_code_2_and_all_faults() {
    let output = Command::new(env!("CARGO_BIN_EXE_aggregator-only"))
        .args([
            "--listen",
            "nowhere",
            "--admin-token",
            "short",
            "--database",
        ])
        .arg(Path::new("/does/not/exist/a.sqlite"))
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    for fault in ["listen:", "admin_token:", "database:"] {
        assert!(said.contains(fault), "{said}");
    }
    assert!(!said.contains("short"), "the token is shown: {said}");
}
