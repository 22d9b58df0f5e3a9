//! Sizes as a browser downloads them.

use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};
use flate2::Compression;
use flate2::write::GzEncoder;

/// The length in bytes of `path`'s content, gzipped at the highest level.
pub fn size(path: &Path) -> Result<u64> {
    let content = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&content)?;
    Ok(encoder.finish()?.len() as u64)
}
