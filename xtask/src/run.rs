//! Runs programs: quietly with one line per step, or aloud with the output kept for parsing.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// Runs `work` as a named step and prints one line with its time.
pub fn step<T>(name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let started = Instant::now();
    // The name comes first: a first build takes minutes, and people want to know what they wait
    // for.
    print!("  {name:<44} ");
    std::io::stdout().flush()?;
    let outcome = work();
    let mark = if outcome.is_ok() { "done" } else { "FAILED" };
    println!("{mark} {}", seconds(started.elapsed()));
    outcome
}

/// Runs `work` in its own thread during `meanwhile`, and then waits for it as a named step.
pub fn alongside<T: Send>(
    name: &str,
    work: impl FnOnce() -> Result<T> + Send,
    meanwhile: impl FnOnce() -> Result<()>,
) -> Result<T> {
    std::thread::scope(|scope| {
        let work = scope.spawn(work);
        let outcome = meanwhile();
        let worked = step(name, || {
            work.join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        outcome.and(worked)
    })
}

/// Runs `command` without a terminal; shows its whole output only if it fails.
pub fn quietly(command: &mut Command) -> Result<String> {
    let shown = show(command);
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start `{shown}`"))?;
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        // The line of a step is still open.
        print!("\n{stdout}");
        eprint!("{}", String::from_utf8_lossy(&output.stderr));
        bail!("`{shown}` failed ({})", output.status);
    }
    Ok(stdout)
}

/// A finished program: whether it succeeded and what it wrote to its standard output.
pub struct Finished {
    /// Whether its exit status is 0.
    pub success: bool,
    /// All of its standard output, bytes that are not UTF-8 replaced.
    pub stdout: String,
}

/// Runs `command`, letting its output through as it comes and keeping its standard output.
pub fn aloud(command: &mut Command) -> Result<Finished> {
    let shown = show(command);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start `{shown}`"))?;
    let mut kept = String::new();
    if let Some(pipe) = child.stdout.take() {
        let mut reader = BufReader::new(pipe);
        let mut line = Vec::new();
        while reader.by_ref().read_until(b'\n', &mut line)? > 0 {
            let mut out = std::io::stdout().lock();
            out.write_all(&line)?;
            out.flush()?;
            kept.push_str(&String::from_utf8_lossy(&line));
            line.clear();
        }
    }
    let status = child.wait()?;
    Ok(Finished {
        success: status.success(),
        stdout: kept,
    })
}

/// Runs `command` aloud and requires success.
pub fn aloud_or_fail(command: &mut Command) -> Result<String> {
    let shown = show(command);
    let finished = aloud(command)?;
    if !finished.success {
        bail!("`{shown}` failed");
    }
    Ok(finished.stdout)
}

/// The output of `command`, trimmed; `None` if it cannot be started or fails.
pub fn ask(command: &mut Command) -> Option<String> {
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Finds a program in `PATH`.
pub fn find_in_path(name: &str) -> Option<std::path::PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(format!("{name}{}", std::env::consts::EXE_SUFFIX)))
        .find(|candidate| candidate.is_file())
}

/// The command as a person would type it.
pub fn show(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy().into_owned()];
    words.extend(
        command
            .get_args()
            .map(|word| word.to_string_lossy().into_owned()),
    );
    words.join(" ")
}

/// A duration as text, such as `12.3 s`.
pub fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

/// Replaces this process by the program, so that signals and the exit code are its own.
#[cfg(unix)]
pub fn hand_over(program: &mut Command) -> Result<()> {
    use std::os::unix::process::CommandExt;
    Err(program.exec().into())
}

#[cfg(not(unix))]
pub fn hand_over(program: &mut Command) -> Result<()> {
    std::process::exit(program.status()?.code().unwrap_or(1))
}
