//! `fed-bbpt` as a separate process.

// A helper of tests, in which a failure fails the test.
#![allow(clippy::expect_used)]

use serde_json::Value;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};

use crate::PATIENCE;

/// The organiser's token in all tests.
pub const ADMIN: &str = "the-organisers-token";

/// The binary under test: `FED_BBPT`, or cargo's.
///
/// # Panics
/// If it was not built, because a test that cannot run must not pass.
#[must_use]
pub fn binary() -> PathBuf {
    let name = format!("fed-bbpt{}", std::env::consts::EXE_SUFFIX);
    let built = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../target/debug")
        .join(name);
    let path = std::env::var_os("FED_BBPT").map_or(built, PathBuf::from);
    assert!(
        path.is_file(),
        "{} is not there: run `cargo xtask build` first, or let FED_BBPT point to it",
        path.display()
    );
    path
}

fn command(arguments: &[&str]) -> Command {
    ours(Command::new(binary()), arguments)
}

/// Completes a command of which the program, or what starts it, is known.
fn ours(mut command: Command, arguments: &[&str]) -> Command {
    // Nothing from outside decides what happens here.
    for name in [
        "RUST_LOG",
        "http_proxy",
        "HTTP_PROXY",
        "FED_BBPT_MODEL_API_KEY",
        "FED_BBPT_MODEL_KEY",
        "FED_BBPT_LLM_KEY",
    ] {
        command.env_remove(name);
    }
    command
        .args(arguments)
        .env("FED_BBPT_ADMIN_TOKEN", ADMIN)
        .env("NO_PROXY", "*")
        .stdin(Stdio::null());
    command
}

/// Runs a command to its end.
///
/// # Panics
/// If it cannot be started.
#[must_use]
pub fn run(arguments: &[&str]) -> Ended {
    run_with(arguments, &[])
}

/// Runs a command to its end, with variables in its environment.
///
/// # Panics
/// If it cannot be started.
#[must_use]
pub fn run_with(arguments: &[&str], environment: &[(&str, &str)]) -> Ended {
    let Output {
        status,
        stdout,
        stderr,
    } = command(arguments)
        .envs(environment.iter().copied())
        .output()
        .expect("fed-bbpt can be started");
    Ended {
        code: status.code(),
        out: String::from_utf8_lossy(&stdout).into_owned(),
        err: String::from_utf8_lossy(&stderr).into_owned(),
    }
}

/// How a command ended, and what it wrote.
#[derive(Debug)]
pub struct Ended {
    /// The exit code; `None` after a signal.
    pub code: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Ended {
    /// The standard output as JSON.
    ///
    /// # Panics
    /// If the command failed, or its output is not JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        assert_eq!(self.code, Some(0), "{self:?}");
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    /// Checks the exit code, and that standard error contains all of these texts.
    ///
    /// # Panics
    /// If it does not.
    pub fn expect(&self, code: i32, texts: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:?}");
        for text in texts {
            assert!(self.err.contains(text), "{text:?} is not said: {self:?}");
        }
        assert!(!self.err.contains("panicked"), "{self:?}");
    }
}

/// A running process; killed when dropped.
pub struct Process {
    child: Child,
    lines: Receiver<String>,
    /// The lines that it has written so far.
    pub said: Vec<String>,
}

impl Process {
    /// Starts a process and reads both its outputs, line by line.
    ///
    /// # Panics
    /// If it cannot be started.
    #[must_use]
    pub fn start(arguments: &[&str]) -> Self {
        Self::start_with(arguments, &[])
    }

    /// Starts a process with variables in its environment.
    ///
    /// # Panics
    /// If it cannot be started.
    #[must_use]
    pub fn start_with(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        Self::spawn(command(arguments), environment)
    }

    /// The same after the shell has set `limits`, such as `ulimit -Sn 1024`.
    ///
    /// # Panics
    /// If it cannot be started.
    #[cfg(unix)]
    #[must_use]
    pub fn start_under(limits: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(format!("{limits}; exec \"$0\" \"$@\""));
        shell.arg(binary());
        Self::spawn(ours(shell, arguments), environment)
    }

    fn spawn(mut command: Command, environment: &[(&str, &str)]) -> Self {
        let mut child = command
            .envs(environment.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("fed-bbpt can be started");
        let (sender, lines) = channel();
        let outputs: [Option<Box<dyn std::io::Read + Send>>; 2] = [
            child.stdout.take().map(|o| Box::new(o) as _),
            child.stderr.take().map(|e| Box::new(e) as _),
        ];
        for output in outputs.into_iter().flatten() {
            let sender = sender.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(output).lines().map_while(Result::ok) {
                    // The test may be over.
                    let _ = sender.send(line);
                }
            });
        }
        Self {
            child,
            lines,
            said: Vec::new(),
        }
    }

    /// Its number in the system.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for a line that `pick` takes.
    ///
    /// # Panics
    /// If the process ends or [`PATIENCE`] runs out.
    pub fn line<T>(&mut self, what: &str, pick: impl Fn(&str) -> Option<T>) -> T {
        loop {
            let line = self.lines.recv_timeout(PATIENCE);
            let line =
                line.unwrap_or_else(|e| panic!("{what} was not said ({e}): {:#?}", self.said));
            let picked = pick(&line);
            self.said.push(line);
            if let Some(picked) = picked {
                return picked;
            }
        }
    }

    /// Sends a signal: `-TERM`, as a service manager does, or `-HUP`.
    ///
    /// # Panics
    /// If the signal cannot be sent.
    #[cfg(unix)]
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args([name, &self.child.id().to_string()])
            .status();
        assert!(
            status.is_ok_and(|status| status.success()),
            "it cannot be told"
        );
    }

    /// Sends SIGKILL, which leaves no chance to tidy up.
    ///
    /// # Panics
    /// If the process cannot be killed.
    pub fn kill(mut self) {
        self.child.kill().expect("the process can be killed");
        self.child.wait().expect("it was running");
    }

    /// Sends SIGKILL; returns all lines that were written.
    ///
    /// # Panics
    /// If the process cannot be killed.
    #[must_use]
    pub fn killed(mut self) -> Vec<String> {
        self.child.kill().expect("the process can be killed");
        self.child.wait().expect("it was running");
        while let Ok(line) = self.lines.recv_timeout(PATIENCE) {
            self.said.push(line);
        }
        std::mem::take(&mut self.said)
    }

    /// Waits for the process to end; returns the exit code and all lines that were written.
    ///
    /// # Panics
    /// If it hangs.
    pub fn end(mut self) -> (Option<i32>, Vec<String>) {
        while let Ok(line) = self.lines.recv_timeout(PATIENCE) {
            self.said.push(line);
        }
        let said = std::mem::take(&mut self.said);
        let status = self.child.try_wait().expect("it can be asked");
        // Its outputs are closed, so it is ending; but a process that hangs must not make the test
        // hang.
        let status = crate::eventually(&format!("the end of {said:#?}"), || {
            status.or_else(|| self.child.try_wait().ok()?)
        });
        (status.code(), said)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts `fed-bbpt serve` over a database; returns the process and its address.
///
/// # Panics
/// If it does not start.
#[must_use]
pub fn serve(database: &Path, listen: &str) -> (Process, String) {
    let database = database.to_str().expect("a plain path");
    let mut process = Process::start(&["serve", "--listen", listen, "--database", database]);
    let url = process.line("the aggregator's address", |l| {
        l.strip_prefix("aggregator at ").map(str::to_owned)
    });
    crate::eventually("the aggregator answers", || {
        (run(&["federation", "--server", &url, "list"]).code == Some(0)).then_some(())
    });
    (process, url)
}

/// Starts `fed-bbpt model-api` with the embedded model; returns the process and its address.
///
/// # Panics
/// If it does not start.
#[must_use]
pub fn model_api() -> (Process, String) {
    model_api_of(&[])
}

/// Starts `fed-bbpt model-api` with the model that these flags describe; returns the process and
/// its address.
///
/// # Panics
/// If it does not start.
#[must_use]
pub fn model_api_of(flags: &[&str]) -> (Process, String) {
    let mut process = Process::start(&[&["model-api", "--listen", "127.0.0.1:0"], flags].concat());
    let url = process.line("the model API's address", |l| {
        l.split_once(" at http://")
            .map(|(_, rest)| format!("http://{rest}"))
    });
    (process, url)
}

/// Creates a federation of the built-in handwriting task with some settings replaced; returns its
/// id and its invite link.
///
/// # Panics
/// If the aggregator refuses.
#[must_use]
pub fn create(server: &str, model: &str, set: &[&str]) -> (String, String) {
    create_task(server, "handwriting", model, set)
}

/// Creates a federation of any task with some settings replaced; returns its id and its invite
/// link.
///
/// # Panics
/// If the aggregator refuses.
#[must_use]
pub fn create_task(server: &str, task: &str, model: &str, set: &[&str]) -> (String, String) {
    let url = format!("model.url={model}");
    let mut arguments = vec![
        "federation",
        "--server",
        server,
        "--json",
        "create",
        task,
        "--set",
        &url,
    ];
    set.iter().for_each(|s| arguments.extend(["--set", s]));
    let invite = run(&arguments).json();
    let text = |name: &str| {
        invite[name]
            .as_str()
            .expect("an invite holds texts")
            .to_owned()
    };
    let link = format!(
        "{server}/f/{}/#invite={}",
        text("federation"),
        text("invite")
    );
    (text("federation"), link)
}

/// A federation's details.
///
/// # Panics
/// If the aggregator does not answer.
#[must_use]
pub fn show(server: &str, federation: &str) -> Value {
    run(&[
        "federation",
        "--server",
        server,
        "--json",
        "show",
        federation,
    ])
    .json()
}
