//! A store: the one in memory, with a list of the transactions that were committed. A store that keeps its tables itself
//! implements the table traits for its transaction, too, as the server's SQLite store does.

use std::sync::Mutex;

use federation::engine::CommandError;
use federation::engine::local::Blocking;
use federation::engine::memory::{Memory, MemoryTx};
use federation::engine::store::Store;

#[derive(Default)]
pub struct Logged {
    inner: Memory,
    pub committed: Mutex<Vec<&'static str>>,
}

impl Store for Logged {
    type Error = CommandError;
    type Tx = MemoryTx;

    async fn run_tx<T>(
        &self,
        federation: &str,
        name: &'static str,
        body: impl AsyncFn(&mut MemoryTx) -> Result<T, CommandError>,
    ) -> Result<T, CommandError> {
        let value = self.inner.run_tx(federation, name, body).await?;
        self.committed.lock().unwrap().push(name);
        Ok(value)
    }

    async fn read<T>(
        &self,
        federation: &str,
        body: impl AsyncFn(&mut MemoryTx) -> Result<T, CommandError>,
    ) -> Result<T, CommandError> {
        self.inner.read(federation, body).await
    }
}

impl Blocking for Logged {
    fn block_on<T>(&self, command: impl Future<Output = T>) -> T {
        self.inner.block_on(command)
    }
}
