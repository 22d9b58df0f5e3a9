//! `cargo xtask interop`: third-party clients from PyPI drive our model API unmodified.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::build;
use crate::python;
use crate::run::aloud;
use crate::workspace::{Profile, root, tests};

#[derive(clap::Args)]
pub struct Arguments {
    /// Only this script of tests/interop, without `.py`.
    name: Option<String>,
}

/// How long the model API may take to answer its readiness route.
const READY_WITHIN: Duration = Duration::from_secs(60);

pub fn command(arguments: &Arguments) -> Result<()> {
    let scripts = scripts(arguments.name.as_deref())?;
    let python = virtual_environment()?;
    let binary = build::binary(Profile::Dev)?;

    let (mut passed, mut failed) = (0, 0);
    for script in scripts {
        println!(
            "== {}",
            script.file_stem().unwrap_or_default().to_string_lossy()
        );
        let server = Server::start(&binary, &flags(&std::fs::read_to_string(&script)?))?;
        let finished = aloud(
            Command::new(&python)
                .current_dir(root())
                .arg(&script)
                .args(["--url", &server.url()]),
        )?;
        let (script_passed, script_failed) = closing_line(&finished.stdout).unwrap_or((0, 0));
        passed += script_passed;
        // A script that breaks, or that reports nothing, is one failure.
        let broke = !finished.success || script_passed + script_failed == 0;
        failed += if script_failed == 0 && broke {
            1
        } else {
            script_failed
        };
    }
    println!("\n{passed} passed, {failed} failed");
    if failed > 0 {
        bail!("{failed} failed");
    }
    Ok(())
}

fn scripts(name: Option<&str>) -> Result<Vec<PathBuf>> {
    let folder = tests().join("interop");
    let mut scripts: Vec<PathBuf> = std::fs::read_dir(&folder)
        .with_context(|| format!("cannot list {}", folder.display()))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "py"))
        .filter(|path| name.is_none_or(|name| path.file_stem().is_some_and(|stem| stem == name)))
        .collect();
    scripts.sort();
    match (scripts.is_empty(), name) {
        (true, Some(name)) => bail!(
            "there is no {}",
            folder.join(format!("{name}.py")).display()
        ),
        (true, None) => bail!("{} holds no scripts", folder.display()),
        (false, _) => Ok(scripts),
    }
}

/// `target/interop` with what `requirements.txt` lists; its python.
fn virtual_environment() -> Result<PathBuf> {
    let requirements = tests().join("interop/requirements.txt");
    let wanted = std::fs::read_to_string(&requirements)
        .with_context(|| format!("cannot read {}", requirements.display()))?;
    let packages: Vec<&str> = wanted.lines().filter(|line| !line.is_empty()).collect();
    python::environment("interop", &packages)
}

/// A running `fed-bbpt model-api`; dropped, it is ended.
struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    /// With `flags` besides the address.
    fn start(binary: &Path, flags: &[&str]) -> Result<Self> {
        let address = free_address()?;
        let child = Command::new(binary)
            .current_dir(root())
            .args(["model-api", "--listen", &address.to_string()])
            .args(flags)
            .stdin(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot start {}", binary.display()))?;
        let mut server = Self { child, address };
        server.wait_until_ready()?;
        Ok(server)
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        let deadline = Instant::now() + READY_WITHIN;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait()? {
                bail!("`fed-bbpt model-api` ended at once ({status})");
            }
            if is_ready(self.address) {
                return Ok(());
            }
            // Another program's start gives no event to wait for.
            std::thread::sleep(Duration::from_millis(50));
        }
        bail!(
            "`fed-bbpt model-api` was not ready within {} s",
            READY_WITHIN.as_secs()
        )
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Nothing can be done about a process that is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// Asks the Open Inference Protocol's readiness route.
fn is_ready(address: SocketAddr) -> bool {
    let ask = || -> std::io::Result<bool> {
        let limit = Duration::from_secs(2);
        let mut stream = TcpStream::connect_timeout(&address, limit)?;
        stream.set_read_timeout(Some(limit))?;
        stream.write_all(
            b"GET /v2/health/ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        )?;
        let mut head = [0; 12];
        stream.read_exact(&mut head)?;
        Ok(&head == b"HTTP/1.1 200")
    };
    ask().unwrap_or(false)
}

/// The flags of the model API that a script needs: the words of its line `# model-api: FLAGS`, if it has
/// one. Paths in it are relative to the repository's root.
fn flags(script: &str) -> Vec<&str> {
    script
        .lines()
        .find_map(|line| line.strip_prefix("# model-api:"))
        .map(|flags| flags.split_whitespace().collect())
        .unwrap_or_default()
}

/// Reads a script's last `N passed, M failed`.
fn closing_line(output: &str) -> Option<(u64, u64)> {
    output.lines().rev().find_map(|line| {
        let (passed, failed) = line.trim().split_once(" passed, ")?;
        let failed = failed.split_once(" failed")?.0;
        Some((passed.parse().ok()?, failed.parse().ok()?))
    })
}

#[cfg(test)]
mod tests {
    use super::{closing_line, flags};

    #[test]
    fn a_script_states_its_servers_flags() {
        let script =
            "#!/usr/bin/env python3\n# model-api: --model-dir a/b --name words\nimport sys\n";
        assert_eq!(flags(script), ["--model-dir", "a/b", "--name", "words"]);
        assert!(flags("import sys\n").is_empty());
    }

    #[test]
    fn reads_a_scripts_closing_line() {
        assert_eq!(
            closing_line("ok a\nok b\n2 passed, 1 failed\n"),
            Some((2, 1))
        );
        assert_eq!(
            closing_line("2 passed, 0 failed, 1 skipped\n"),
            Some((2, 0))
        );
        assert_eq!(closing_line("Traceback\n"), None);
    }
}
