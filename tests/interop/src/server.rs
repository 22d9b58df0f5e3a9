//! A `fed-bbpt model-api` for one script.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use xtask::workspace::root;

/// How long a server may take to answer its readiness route.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// A running server of the Open Inference Protocol; dropping this ends it.
pub struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    /// Our model API, with `flags` besides the address.
    pub fn model_api(binary: &Path, flags: &[String]) -> Result<Self> {
        let address = free_address()?;
        let mut command = Command::new(binary);
        command
            .args(["model-api", "--listen", &address.to_string()])
            .args(flags)
            // A line for each request would hide what the script says.
            .env("RUST_LOG", "warn")
            .stdout(Stdio::null());
        Self::start(&mut command, address)
    }

    /// Starts any program that will serve `address`.
    pub fn start(command: &mut Command, address: SocketAddr) -> Result<Self> {
        let program = command.get_program().to_string_lossy().into_owned();
        let child = command
            .current_dir(root())
            .stdin(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot start {program}"))?;
        let mut server = Self { child, address };
        server.wait_until_ready(&program)?;
        Ok(server)
    }

    /// The server's address as a URL, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The address and port at which the server listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    fn wait_until_ready(&mut self, program: &str) -> Result<()> {
        let deadline = Instant::now() + READY_WITHIN;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait()? {
                bail!("`{program}` ended at once ({status})");
            }
            if is_ready(self.address) {
                return Ok(());
            }
            // Another program's start gives no event to wait for.
            std::thread::sleep(Duration::from_millis(50));
        }
        bail!(
            "`{program}` was not ready within {} s",
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

/// A free port on the loopback interface.
///
/// # Errors
/// The operating system has none to give.
pub fn free_address() -> Result<SocketAddr> {
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
